"""Whether an arrangement of tests would notice a permission that is missing."""

from typing import Any

import pytest
from botocore.config import Config

from tests.support.permissions import Caller, Permission, granted, role_of

TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/CallsTable"


@pytest.fixture
def caller() -> Caller:
    return Caller({"calls-1": "CallsTable", "bucket-1": "RecordingsBucket"})


def ask(caller: Caller, **query: Any) -> None:
    config = Config(connect_timeout=0.01, retries={"total_max_attempts": 1})
    client = caller.session().client(
        "dynamodb",
        region_name="us-east-1",
        endpoint_url="http://127.0.0.1:9",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=config,
    )
    with pytest.raises(Exception, match="Could not connect"):
        client.query(
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": "x"}},
            **query,
        )
    client.close()


def test_what_a_role_does_not_allow_is_noticed(caller: Caller) -> None:
    caller.role = role_of("telnyx_webhook")
    ask(caller, TableName="calls-1")
    assert caller.refused == [("TelnyxWebhookFunctionRole", Permission("dynamodb:Query", TABLE))]


def test_an_index_is_a_resource_of_its_own(caller: Caller) -> None:
    caller.role = role_of("sweep_calls")
    ask(caller, TableName="calls-1", IndexName="live")
    assert caller.refused == []
    ask(caller, TableName="calls-1", IndexName="ended")
    [(_, refused)] = caller.refused
    assert refused.resource == f"{TABLE}/index/ended"


def test_what_is_arranged_by_the_test_itself_needs_no_role(caller: Caller) -> None:
    ask(caller, TableName="calls-1")
    assert caller.asked == {}


def test_a_pattern_allows_what_it_matches() -> None:
    recordings = Permission("s3:PutObject", "arn:aws:s3:::RecordingsBucket/recordings/*")
    bucket = "arn:aws:s3:::RecordingsBucket"
    assert recordings.allows(Permission("s3:PutObject", f"{bucket}/recordings/call-1.mp3"))
    assert not recordings.allows(Permission("s3:PutObject", f"{bucket}/elsewhere.mp3"))
    assert not recordings.allows(Permission("s3:GetObject", f"{bucket}/recordings/call-1.mp3"))


def test_some_partitions_alone_may_be_allowed() -> None:
    names = Permission("dynamodb:DeleteItem", TABLE, frozenset({"AGENTS", "NUMBERS"}))
    assert names.allows(Permission("dynamodb:DeleteItem", TABLE, frozenset({"AGENTS"})))
    assert not names.allows(Permission("dynamodb:DeleteItem", TABLE, frozenset({"CALL#1"})))


def test_the_authorizer_may_do_nothing() -> None:
    role = role_of("authorizer")
    assert role
    assert granted(role) == set()
