"""Who hears of the end of a call, when, and how often that is tried."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from control_plane.outcome_webhook import LAST_WORDS_SECONDS, PAUSES_SECONDS, OutcomeWebhooks
from phonebridge.call.call import Call, Fault, Hangup
from phonebridge.call.config import CallConfig
from phonebridge.call.events import (
    CallAnswered,
    CallFailed,
    CallHungUp,
    CallRequested,
    DialAccepted,
    MediaAttached,
)
from phonebridge.call.usage import ModelUsage, Usage
from phonebridge.call.webhook_delivery import WebhookDelivery, WebhookDeliveryState
from phonebridge.jobs import RetryLater
from phonebridge.outcomes import SendOutcome
from phonebridge.storage.call_store import CallRecord, DynamoCallStore
from tests.support.calls import LEG, after, outbound_call
from tests.support.clock import Clock

URL = "https://crm.example/calls"


@dataclass
class RecordedErrands:
    added: list[tuple[object, int]] = field(default_factory=list)

    def add(self, errand: object, delay_seconds: int = 0) -> None:
        self.added.append((errand, delay_seconds))


@pytest.fixture
def errands() -> RecordedErrands:
    return RecordedErrands()


@pytest.fixture
def outcomes(store: DynamoCallStore, errands: RecordedErrands, clock: Clock) -> OutcomeWebhooks:
    return _outcomes(store, errands, "", clock)


def _outcomes(store: DynamoCallStore, errands: Any, url: str, clock: Clock) -> OutcomeWebhooks:
    return OutcomeWebhooks(store, errands, url, clock)


def ended_call(*, streamed: bool = True, hung_up: bool = True) -> Call:
    dialled = (CallRequested(), DialAccepted(LEG), CallAnswered(LEG, 2_000))
    stream = (MediaAttached(1, "task-1", 3_000),) if streamed else ()
    end = (
        CallHungUp(LEG, Hangup("normal_clearing", "caller", 9_000))
        if hung_up
        else CallFailed(Fault("media_lost", "", 9_000))
    )
    return after(outbound_call(), *dialled, *stream, end)


def test_an_end_is_announced_once_however_often_it_is_heard(
    outcomes: OutcomeWebhooks, store: DynamoCallStore, errands: RecordedErrands
) -> None:
    call = replace(ended_call(), has_own_webhook=True)
    store.create(call, CallConfig(webhook_url=URL))
    for _ in range(3):
        outcomes.announce(call)
    notice = store.webhook_delivery("call-1")
    assert notice
    assert [job for job, _ in errands.added] == [SendOutcome("call-1", notice.job)]
    assert (notice.state, notice.attempts) == (WebhookDeliveryState.WAITING, 0)


def test_where_nobody_wants_to_hear_of_it_nothing_is_announced(
    outcomes: OutcomeWebhooks, store: DynamoCallStore, errands: RecordedErrands
) -> None:
    store.create(ended_call(), CallConfig())
    outcomes.announce(ended_call())
    assert (errands.added, store.webhook_delivery("call-1")) == ([], None)


def test_the_operators_server_hears_of_calls_that_name_none(
    store: DynamoCallStore, errands: RecordedErrands, clock: Clock
) -> None:
    store.create(ended_call(), CallConfig())
    outcomes = _outcomes(store, errands, "https://ops.example", clock)
    outcomes.announce(ended_call())
    assert len(errands.added) == 1
    assert outcomes.url(None) == "https://ops.example"
    assert outcomes.url(URL) == URL


USED = (ModelUsage(1, "gpt-realtime-2.1", "gpt-transcribe", Usage()),)


@pytest.mark.parametrize(
    ("call", "usages", "complete"),
    [
        (ended_call(), USED, True),
        (ended_call(), (), False),
        (ended_call(streamed=False), (), True),
        (ended_call(hung_up=False), USED, False),
    ],
)
def test_a_record_is_complete_when_the_carrier_and_the_container_have_said_their_last(
    outcomes: OutcomeWebhooks,
    clock: Clock,
    call: Call,
    usages: tuple[ModelUsage, ...],
    complete: bool,
) -> None:
    call = replace(call, ended_at_ms=clock.now_ms)
    record = CallRecord(call, CallConfig(), (), (), usages=usages)
    assert outcomes.is_complete(record) is complete
    clock.pass_seconds(LAST_WORDS_SECONDS + 1)
    assert outcomes.is_complete(record)


def test_a_failed_attempt_is_put_off_longer_each_time_and_then_given_up(
    outcomes: OutcomeWebhooks, store: DynamoCallStore
) -> None:
    notice = WebhookDelivery(event_id="event-1")
    pauses: list[int | None] = []
    for attempt in range(1, len(PAUSES_SECONDS) + 2):
        with pytest.raises(RetryLater, match="it answered 500") as raised:
            outcomes.mark_failed("call-1", notice, attempt, "it answered 500")
        pauses.append(raised.value.pause_seconds)
        last = store.webhook_delivery("call-1")
        assert last
        assert (last.event_id, last.attempts) == ("event-1", attempt)
        over = attempt > len(PAUSES_SECONDS)
        assert last.state is (
            WebhookDeliveryState.GIVEN_UP if over else WebhookDeliveryState.WAITING
        )
    assert pauses == [*PAUSES_SECONDS, 0]
    assert sorted(PAUSES_SECONDS) == list(PAUSES_SECONDS)


def test_the_queue_gives_up_when_we_do(state: Mapping[str, str]) -> None:
    from tests.support.translated import TEMPLATE

    queue = TEMPLATE["Resources"]["OutcomesQueue"]["Properties"]
    assert queue["RedrivePolicy"]["maxReceiveCount"] == len(PAUSES_SECONDS) + 1
    assert queue["MessageRetentionPeriod"] > sum(PAUSES_SECONDS)
