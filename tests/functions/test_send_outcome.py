"""The outcome webhook, from the queue to the server of somebody who verifies it."""

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest

import send_outcome
from control_plane import services
from control_plane.outcome_webhook import LAST_WORDS_SECONDS
from phonebridge.call.call import FOUND_ENDED, Hangup
from phonebridge.call.config import CallConfig
from phonebridge.call.events import (
    CallAnswered,
    CallHungUp,
    CallRequested,
    DialAccepted,
    MediaAttached,
)
from phonebridge.call.turn import Speaker, Turn
from phonebridge.call.usage import ModelUsage, Usage
from phonebridge.call.webhook_delivery import WebhookDelivery, WebhookDeliveryState
from phonebridge.outcomes import SendOutcome
from phonebridge.storage.call_store import DynamoCallStore
from tests.support.calls import LEG, after, outbound_call
from tests.support.clock import Clock
from tests.support.permissions import Caller
from tests.support.recorded_files import Posted, RecordedFiles, recorded_files

SECRET = "a secret of the operator's"
BUSINESS = Usage(input_text=1_000, responses=1)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, state: Mapping[str, str]) -> Iterator[RecordedFiles]:
    with recorded_files() as served:
        monkeypatch.setenv("TOOL_HOSTS_ALLOWED", served.host)
        monkeypatch.setenv("OUTCOME_WEBHOOK_SECRET", SECRET)
        services.control_plane.cache_clear()
        yield served


def end(
    store: DynamoCallStore,
    clock: Clock,
    url: str,
    caller: Caller,
    cause: str = "normal_clearing",
) -> None:
    """A call that has ended, and is announced; the container has still to say what it used."""
    call = after(
        outbound_call(),
        CallRequested(),
        DialAccepted(LEG),
        CallAnswered(LEG, clock.now_ms - 30_000),
        MediaAttached(1, "task-1", clock.now_ms - 29_000),
        CallHungUp(LEG, Hangup(cause, "caller", clock.now_ms)),
    )
    call = replace(call, changed_at_ms=clock.now_ms, has_own_webhook=url is not None)
    store.create(call, CallConfig(webhook_url=url))
    said = Turn(number=1, who=Speaker.AGENT, text="Hello!", started_ms=120, ended_ms=900)
    store.add_turns([("call-1", said)])
    caller.role, own = "TelnyxWebhookFunctionRole", caller.role
    services.control_plane().outcome_webhooks.announce(call)
    caller.role = own


def report(store: DynamoCallStore) -> None:
    store.add_usage("call-1", ModelUsage(1, "gpt-realtime-2.1", "gpt-transcribe", BUSINESS))


def delivery(store: DynamoCallStore) -> WebhookDelivery:
    found = store.webhook_delivery("call-1")
    assert found
    return found


def send(store: DynamoCallStore, attempt: int = 1, receipt: str = "r-1") -> bool:
    """Deliver the announced job. Return whether it is done with."""
    announced = store.webhook_delivery("call-1")
    return deliver(SendOutcome("call-1", announced.job if announced else ""), attempt, receipt)


def deliver(job: SendOutcome, attempt: int = 1, receipt: str = "r-1") -> bool:
    message = {
        "messageId": "m-1",
        "receiptHandle": receipt,
        "body": msgspec.json.encode(job).decode(),
        "attributes": {"ApproximateReceiveCount": str(attempt)},
    }
    return not send_outcome.handler({"Records": [message]}, None)["batchItemFailures"]


def receipt_of(sqs: Any, state: Mapping[str, str], store: DynamoCallStore) -> str:
    """Return the receipt of a message like the one in progress, so that its visibility can be
    changed."""
    sqs.send_message(QueueUrl=state["OutcomesQueue"], MessageBody="{}")
    [message] = sqs.receive_message(QueueUrl=state["OutcomesQueue"])["Messages"]
    return str(message["ReceiptHandle"])


def signature(posted: Posted) -> str:
    """Calculate the signature as a receiver does."""
    signed = posted.headers["phonebridge-timestamp"].encode() + b"|" + posted.body
    return "v1=" + hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()


class TestTheWholeRecord:
    def test_waits_for_the_webhook_that_says_who_hung_up(
        self, server: RecordedFiles, store: DynamoCallStore, clock: Clock, caller: Caller
    ) -> None:
        """The refusal of a command has shown the end, and nothing else about it."""
        end(store, clock, f"{server.base}/calls", caller, cause=FOUND_ENDED)
        report(store)

        assert send(store)
        assert server.posted == []

        clock.pass_seconds(LAST_WORDS_SECONDS + 1)
        assert send(store)
        [posted] = server.posted
        assert json.loads(posted.body)["call"]["reason"] == "unknown"

    def test_is_posted_and_signed(
        self, server: RecordedFiles, store: DynamoCallStore, clock: Clock, caller: Caller
    ) -> None:
        end(store, clock, f"{server.base}/calls", caller)
        report(store)

        assert send(store)

        [posted] = server.posted
        assert posted.headers["phonebridge-signature"] == signature(posted)
        assert posted.headers["phonebridge-timestamp"] == str(clock.now_ms // 1000)
        event = json.loads(posted.body)
        assert event["type"] == "call.ended"
        assert event["event_id"] == posted.headers["phonebridge-event-id"]
        assert event["call"]["call_id"] == "call-1"
        assert (event["call"]["outcome"], event["call"]["duration_seconds"]) == ("completed", 30.0)
        assert [turn["text"] for turn in event["call"]["turns"]] == ["Hello!"]
        assert event["call"]["cost"]["model"] == 0.004
        notice = delivery(store)
        assert (notice.state, notice.attempts) == (WebhookDeliveryState.DELIVERED, 1)

    def test_is_posted_once_though_two_events_announce_it_at_the_same_moment(
        self, server: RecordedFiles, store: DynamoCallStore, clock: Clock, caller: Caller
    ) -> None:
        end(store, clock, f"{server.base}/calls", caller)
        report(store)
        assert deliver(SendOutcome("call-1", "the job of the other event"))
        assert server.posted == []
        assert send(store)
        assert len(server.posted) == 1

    def test_is_posted_once_though_it_is_asked_for_twice(
        self, server: RecordedFiles, store: DynamoCallStore, clock: Clock, caller: Caller
    ) -> None:
        end(store, clock, f"{server.base}/calls", caller)
        report(store)

        assert [send(store), send(store)] == [True, True]

        assert len(server.posted) == 1

    def test_waits_for_what_the_container_says_last_but_not_for_ever(
        self,
        server: RecordedFiles,
        store: DynamoCallStore,
        clock: Clock,
        caller: Caller,
        sqs: Any,
        state: Mapping[str, str],
    ) -> None:
        end(store, clock, f"{server.base}/calls", caller)

        assert send(store)

        assert server.posted == []
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed"]
        found = sqs.get_queue_attributes(QueueUrl=state["OutcomesQueue"], AttributeNames=names)
        assert sum(int(found["Attributes"][name]) for name in names) == 2
        clock.pass_seconds(LAST_WORDS_SECONDS + 1)
        assert send(store)
        assert len(server.posted) == 1

    def test_is_posted_again_after_a_failure_as_the_same_event(
        self,
        server: RecordedFiles,
        store: DynamoCallStore,
        clock: Clock,
        caller: Caller,
        sqs: Any,
        state: Mapping[str, str],
    ) -> None:
        server.statuses = [500]
        end(store, clock, f"{server.base}/calls", caller)
        report(store)

        assert not send(store, 1, receipt_of(sqs, state, store))
        notice = delivery(store)
        assert (notice.state, notice.problem) == (
            WebhookDeliveryState.WAITING,
            "The server answered 500.",
        )
        assert send(store, 2)

        assert len({posted.headers["phonebridge-event-id"] for posted in server.posted}) == 1
        assert len(server.posted) == 2
        notice = delivery(store)
        assert (notice.state, notice.attempts) == (WebhookDeliveryState.DELIVERED, 2)

    @pytest.mark.parametrize(
        ("url", "problem"),
        [
            ("https://127.0.0.1:1/", "The server has an address that is not public."),
            ("https://169.254.169.254/", "The server has an address that is not public."),
            ("http://crm.example/", "The URL is not https."),
        ],
    )
    def test_goes_to_nobody_within(
        self,
        url: str,
        problem: str,
        server: RecordedFiles,
        store: DynamoCallStore,
        clock: Clock,
        caller: Caller,
        sqs: Any,
        state: Mapping[str, str],
    ) -> None:
        end(store, clock, url, caller)
        report(store)

        assert not send(store, 1, receipt_of(sqs, state, store))

        notice = delivery(store)
        assert notice.problem == problem

    def test_of_a_call_that_has_expired_is_not_sent(self, server: RecordedFiles) -> None:
        assert deliver(SendOutcome("call-1", "job-1"))
        assert server.posted == []
