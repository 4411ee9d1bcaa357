"""The DynamoDB client of both planes."""

import pytest

from phonebridge.storage.dynamodb import dynamodb_client, heartbeat_client

WEBHOOK_SECONDS = 2
"""What Telnyx gives a webhook."""


def test_a_table_that_does_not_answer_is_given_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    config = vars(dynamodb_client().meta.config)
    assert config["connect_timeout"] <= WEBHOOK_SECONDS
    assert config["read_timeout"] <= WEBHOOK_SECONDS
    assert config["retries"] == {"mode": "standard", "total_max_attempts": 3}


def test_each_thread_finds_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    config = vars(dynamodb_client(max_connections=42).meta.config)
    assert config["max_pool_connections"] == 42
    assert config["read_timeout"] <= WEBHOOK_SECONDS


def test_a_heartbeat_is_given_up_after_a_second_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    config = vars(heartbeat_client().meta.config)
    assert (config["connect_timeout"], config["read_timeout"]) == (1, 1)
    assert config["retries"]["total_max_attempts"] == 1
