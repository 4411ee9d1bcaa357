"""The doctor notices if the alarms of a stack reach no one."""

from collections.abc import Iterator

import boto3
import pytest

from doctor_checks import alarms
from doctor_checks.findings import Finding, Problem
from tests.support.aws_account import aws_account
from tests.support.aws_front import AwsFront

LIST = "sns:ListSubscriptionsByTopic"


@pytest.fixture
def front(dynamodb_address: str) -> Iterator[AwsFront]:
    with aws_account(dynamodb_address) as front:
        yield front


@pytest.fixture
def topic(front: AwsFront) -> str:
    return str(boto3.client("sns").create_topic(Name="alarms")["TopicArn"])


def find(topic: str) -> Finding:
    [finding] = alarms.check({"AlarmTopicArn": topic}, "us-east-1")
    return finding


def test_a_topic_without_subscriber_is_a_note_and_no_failure(topic: str) -> None:
    finding = find(topic)
    assert finding.problem is Problem.ALARMS_UNHEARD
    assert not finding.is_fatal
    assert str(finding).startswith("note  alarms: nobody gets them")


def test_a_subscription_that_nobody_confirmed(front: AwsFront, topic: str) -> None:
    member = (
        "<member><TopicArn>t</TopicArn><Protocol>email</Protocol><Endpoint>you@example.com"
        "</Endpoint><SubscriptionArn>PendingConfirmation</SubscriptionArn></member>"
    )
    action = "ListSubscriptionsByTopic"
    result = f"<{action}Result><Subscriptions>{member}</Subscriptions></{action}Result>"
    front.answer_always(LIST, f"<{action}Response>{result}</{action}Response>".encode())
    assert "you@example.com has not confirmed" in str(find(topic))


def test_a_confirmed_subscription(topic: str) -> None:
    boto3.client("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint="you@example.com")
    assert str(find(topic)) == "ok    alarms reach you@example.com"


def test_a_stack_that_was_never_complete_has_no_alarms(front: AwsFront) -> None:
    assert list(alarms.check({}, "us-east-1")) == []


def test_a_topic_that_may_not_be_read(front: AwsFront, topic: str) -> None:
    front.answer_always(
        LIST, b"<ErrorResponse><Error><Code>AuthorizationError</Code></Error></ErrorResponse>", 403
    )
    assert find(topic).problem is Problem.ALARMS_UNKNOWN
