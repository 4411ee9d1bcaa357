"""The DynamoDB client of both planes."""

import pytest

from phonebridge.aws import dynamodb_client

WEBHOOK_SECONDS = 2
"""What Telnyx gives a webhook."""


def test_a_table_that_does_not_answer_is_given_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    config = vars(dynamodb_client().meta.config)
    assert config["connect_timeout"] <= WEBHOOK_SECONDS
    assert config["read_timeout"] <= WEBHOOK_SECONDS
    assert config["retries"] == {"mode": "standard", "total_max_attempts": 3}
