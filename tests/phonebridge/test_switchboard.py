"""Calls through the switchboard, on the real store; the carrier notes what it is asked for."""

import json
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from phonebridge.call.call import (
    MAX_CALL_ID_LENGTH,
    Call,
    CallStatus,
    EndedBy,
    Fault,
    Hangup,
    Leg,
    Outcome,
)
from phonebridge.call.commands import (
    Answer,
    CallCommand,
    Dial,
    HangUp,
    InformCaller,
    Reject,
    SendDigits,
    StartStreaming,
    StopStreaming,
)
from phonebridge.call.config import CallConfig, StreamSetup
from phonebridge.call.events import (
    AnnouncementEnded,
    CallAnswered,
    CallEvent,
    CallFailed,
    CallHungUp,
    CallInitiated,
    DigitsRequested,
    EndRequested,
    MediaAttached,
    NextStreamRequested,
    StreamingStopped,
)
from phonebridge.call.machine_detection import (
    AnsweredBy,
    DetectionEnded,
    GreetingEnded,
    MachineDetection,
    OnMachine,
)
from phonebridge.call.overdue import LegState
from phonebridge.call.steering import Answered, MachineAnswered, TransferFinished
from phonebridge.call.streams import MAX_FAILURES_AT_ONCE
from phonebridge.call.transfer import (
    BridgeLegs,
    CallTransferred,
    DialTarget,
    SpeakSummary,
    TransferLeg,
    TransferRequested,
)
from phonebridge.errors import (
    CommandFailed,
    InvalidTransition,
    NotConfigured,
    TelnyxError,
    TelnyxRefused,
    TelnyxUnreachable,
    UnknownCall,
)
from phonebridge.observability.log import logger
from phonebridge.ports import TimelineEntry
from phonebridge.storage.call_store import DynamoCallStore
from phonebridge.storage.mailbox import DynamoMailbox
from phonebridge.switchboard import Switchboard
from phonebridge.telnyx.correlation import find
from phonebridge.telnyx.refusals import CALL_ALREADY_ENDED
from phonebridge.telnyx.webhook import Webhook
from phonebridge.telnyx.webhook_payloads import inbound_call_id
from tests.support.calls import LEG, inbound_call, outbound_call
from tests.support.clock import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

HANGUP = Hangup("normal_clearing", "caller", 90_000)
NOT_ALLOWED = TelnyxRefused(403, "10010", "Authorization failed", "No permission (D60)")
ALREADY_ENDED = TelnyxRefused(422, CALL_ALREADY_ENDED, "Call has already ended")


@dataclass
class RecordingCarrier:
    refusals: Mapping[type[CallCommand], TelnyxError | NotConfigured] = field(default_factory=dict)
    target: Leg | None = None
    """Of a warm transfer, as the answer to its dial names it."""
    state: LegState = LegState(is_alive=True)
    questions: int = 0
    executed: list[CallCommand] = field(default_factory=list)
    """Telnyx ignores a command that it has seen before."""
    configs: list[CallConfig] = field(default_factory=list)

    @property
    def effects(self) -> list[CallCommand]:
        return list(dict.fromkeys(self.executed))

    def execute(self, command: CallCommand, call: Call, config: CallConfig) -> Leg | None:
        self.executed.append(command)
        self.configs.append(config)
        if refusal := self.refusals.get(type(command)):
            raise refusal
        return {Dial: LEG, DialTarget: self.target}.get(type(command))

    def look_up(self, leg: Leg) -> LegState:
        self.questions += 1
        return self.state


@dataclass(frozen=True)
class Reception:
    """Answers every number alike, or none."""

    config: CallConfig | None

    def answering(self, number: str) -> CallConfig | None:
        return self.config


SOMEBODY = Reception(CallConfig(greeting="Good morning!"))
NOBODY = Reception(None)


class OvertakenStore(DynamoCallStore):
    """Another writer is faster between this one's load and its save, once."""

    other_writer: Callable[[], object] | None = None
    loads = 0

    def load(self, call_id: str) -> Call | None:
        self.loads += 1
        return super().load(call_id)

    def save(self, call: Call) -> None:
        other_writer, self.other_writer = self.other_writer, None
        if other_writer:
            other_writer()
        super().save(call)


class TimelineLost(Exception):
    """DynamoDB refused a note."""


class ForgetfulStore(DynamoCallStore):
    def add_timeline_entry(self, call_id: str, entry: TimelineEntry) -> None:
        raise TimelineLost


class Throttled(Exception):
    """DynamoDB refused a read."""


class ThrottledStore(DynamoCallStore):
    def config(self, call_id: str) -> CallConfig | None:
        raise Throttled


@pytest.fixture
def carrier() -> RecordingCarrier:
    return RecordingCarrier()


@pytest.fixture
def switchboard(
    store: DynamoCallStore, carrier: RecordingCarrier, mailbox: DynamoMailbox, clock: Clock
) -> Switchboard:
    return Switchboard(store, carrier, mailbox, clock, logger("switchboard"))


def webhook(event: CallEvent | None, event_type: str, event_id: str = "event-1") -> Webhook:
    return Webhook(
        event_id=event_id,
        event_type=event_type,
        occurred_at_ms=5_000,
        leg=LEG,
        client_state="call-1",
        event=event,
        arrival=None,
        detail="",
    )


ANSWERED = webhook(CallAnswered(LEG, 5_000), "call.answered", "answered")
HUNG_UP = webhook(CallHungUp(LEG, HANGUP), "call.hangup", "hung-up")


def arrival() -> Webhook:
    call = inbound_call(inbound_call_id(LEG))
    initiated = webhook(None, "call.initiated", "initiated")
    return replace(initiated, client_state=None, arrival=call)


def deliver(switchboard: Switchboard, webhook: Webhook, directory: Reception) -> Call | None:
    """As the webhook's handler does; None for a webhook about no call of ours."""
    if webhook.arrival:
        return switchboard.receive(webhook, webhook.arrival, directory)
    found = find(switchboard._store, webhook)
    return switchboard.deliver(webhook, found) if found else None


def place(switchboard: Switchboard) -> Call:
    return switchboard.place(outbound_call(), CallConfig(voice="cedar"))


def load(store: DynamoCallStore, call_id: str = "call-1") -> Call:
    call = store.load(call_id)
    assert call is not None
    return call


def timeline(store: DynamoCallStore, call_id: str = "call-1") -> list[str]:
    record = store.record(call_id)
    assert record is not None
    return [entry.what for entry in record.timeline]


def test_a_call_is_stored_and_dialled(
    switchboard: Switchboard, carrier: RecordingCarrier, store: DynamoCallStore
) -> None:
    call = place(switchboard)
    assert (call.status, call.leg) == (CallStatus.DIALING, LEG)
    assert load(store) == call
    assert carrier.executed == [Dial()]
    assert carrier.configs == [CallConfig(voice="cedar")]
    assert store.find_by_leg(LEG) == "call-1"
    assert timeline(store) == [], "a success shows in what follows from it"


def test_an_outbound_call_from_dial_to_goodbye(
    switchboard: Switchboard, carrier: RecordingCarrier, store: DynamoCallStore
) -> None:
    place(switchboard)
    deliver(switchboard, webhook(CallInitiated(LEG), "call.initiated", "initiated"), SOMEBODY)
    deliver(switchboard, ANSWERED, SOMEBODY)
    switchboard.apply("call-1", MediaAttached(1, "task-1", 6_000))
    ended = deliver(switchboard, HUNG_UP, SOMEBODY)
    assert ended == load(store)
    assert (ended.status, ended.outcome) == (CallStatus.ENDED, Outcome.COMPLETED)
    assert carrier.executed == [Dial(), StartStreaming(1)]
    assert carrier.configs[-1] == CallConfig(voice="cedar")
    assert sorted(timeline(store)) == ["call.answered", "call.hangup"]


def test_an_inbound_call_is_answered_once_however_often_it_arrives(
    switchboard: Switchboard, carrier: RecordingCarrier, store: DynamoCallStore
) -> None:
    for _ in range(3):
        deliver(switchboard, arrival(), SOMEBODY)
    call_id = inbound_call_id(LEG)
    assert load(store, call_id).status is CallStatus.INCOMING
    assert carrier.effects == [Answer()]
    assert timeline(store, call_id) == ["call.initiated"]
    deliver(switchboard, replace(ANSWERED, client_state=None), SOMEBODY)
    assert carrier.effects == [Answer(), StartStreaming(1)]
    deliver(switchboard, arrival(), SOMEBODY)
    assert carrier.executed[-1] == StartStreaming(1), "an answered call is answered no more"


def test_an_inbound_call_takes_the_settings_of_who_answers(
    switchboard: Switchboard, store: DynamoCallStore
) -> None:
    deliver(switchboard, arrival(), SOMEBODY)
    assert store.config(inbound_call_id(LEG)) == SOMEBODY.config


def test_a_call_that_nobody_answers_is_rejected_once_and_says_why(
    switchboard: Switchboard, carrier: RecordingCarrier, store: DynamoCallStore
) -> None:
    call_id = inbound_call_id(LEG)
    for _ in range(2):
        deliver(switchboard, arrival(), NOBODY)
    # In the meantime the number was given to an agent: this call stays rejected.
    deliver(switchboard, arrival(), SOMEBODY)
    assert carrier.effects == [Reject()]
    rejected = CallHungUp(LEG, Hangup("not_found", "callee", 6_000))
    deliver(
        switchboard, replace(webhook(rejected, "call.hangup", "hung-up"), client_state=None), NOBODY
    )
    call = load(store, call_id)
    assert (call.outcome, call.reason) == (Outcome.REJECTED, "unknown_number")
    assert sorted(timeline(store, call_id)) == ["call.hangup", "call.initiated"]


def test_a_caller_who_gave_up_before_the_rejection_was_rejected_all_the_same(
    store: DynamoCallStore, mailbox: DynamoMailbox, clock: Clock
) -> None:
    carrier = RecordingCarrier(refusals={Reject: ALREADY_ENDED})
    switchboard = Switchboard(store, carrier, mailbox, clock, logger("switchboard"))
    deliver(switchboard, arrival(), NOBODY)
    call = load(store, inbound_call_id(LEG))
    assert (call.status, call.outcome) == (CallStatus.ENDED, Outcome.REJECTED)


def test_a_refused_dial_leaves_a_record_that_says_why(
    switchboard: Switchboard,
    carrier: RecordingCarrier,
    store: DynamoCallStore,
    capsys: pytest.CaptureFixture[str],
) -> None:
    carrier.refusals = {Dial: NOT_ALLOWED}
    with pytest.raises(TelnyxRefused, match="D60"):
        place(switchboard)
    call = load(store)
    assert (call.outcome, call.reason) == (Outcome.FAILED, "dial_failed")
    assert call.fault is not None
    assert "D60" in call.fault.detail
    assert not call.may_be_up


def test_a_call_is_streamed_once_although_its_answer_is_delivered_five_times_at_once(
    switchboard: Switchboard, carrier: RecordingCarrier, store: DynamoCallStore
) -> None:
    place(switchboard)
    with ThreadPoolExecutor(5) as threads:
        list(threads.map(partial(deliver, switchboard, directory=SOMEBODY), [ANSWERED] * 5))
    assert carrier.effects == [Dial(), StartStreaming(1)]
    assert load(store).stream_number == 1
    assert timeline(store).count("call.answered") == 1


def test_a_call_whose_stream_is_refused_is_ended_and_hung_up(
    switchboard: Switchboard, carrier: RecordingCarrier, store: DynamoCallStore
) -> None:
    place(switchboard)
    carrier.refusals = {StartStreaming: TelnyxRefused(422, "90046", "Streaming failed to start")}
    ended = deliver(switchboard, ANSWERED, SOMEBODY)
    assert ended == load(store)
    assert (ended.outcome, ended.reason) == (Outcome.FAILED, "streaming_start_failed")
    assert carrier.executed == [Dial(), StartStreaming(1), HangUp()]


def test_a_caller_is_spoken_to_while_the_carrier_still_holds_an_old_stream_open(
    switchboard: Switchboard, carrier: RecordingCarrier
) -> None:
    """It takes seconds to close the socket of a frozen task, and refuses another one until then."""
    place(switchboard)
    deliver(switchboard, ANSWERED, SOMEBODY)
    switchboard.apply("call-1", MediaAttached(1, "task-1", 6_000))
    carrier.refusals = {StartStreaming: TelnyxRefused(422, "90045", "Streaming is in use")}
    waiting = switchboard.apply("call-1", NextStreamRequested(1))
    last = 1 + MAX_FAILURES_AT_ONCE
    assert waiting.is_parked
    assert carrier.effects[-1] == InformCaller(last, is_retry=True)
    carrier.refusals = {}
    switchboard.apply("call-1", NextStreamRequested(last))
    assert StartStreaming(last + 1) in carrier.effects


def test_a_refused_stream_is_logged_with_its_reason(
    store: DynamoCallStore,
    carrier: RecordingCarrier,
    mailbox: DynamoMailbox,
    clock: Clock,
    capsys: pytest.CaptureFixture[str],
) -> None:
    switchboard = Switchboard(store, carrier, mailbox, clock, logger("switchboard-refused"))
    place(switchboard)
    carrier.refusals = {StartStreaming: TelnyxRefused(422, "90046", "Streaming failed to start")}
    deliver(switchboard, ANSWERED, SOMEBODY)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    [failed] = [line for line in lines if line["message"] == "streaming_start FAILED"]
    assert failed["level"] == "ERROR"
    assert "90046" in failed["reason"]


def test_an_answer_that_never_reached_telnyx_ends_the_call(
    switchboard: Switchboard, carrier: RecordingCarrier, store: DynamoCallStore
) -> None:
    carrier.refusals = {Answer: TelnyxUnreachable("no answer in 5 s")}
    call = deliver(switchboard, arrival(), SOMEBODY)
    assert call is not None
    assert (call.outcome, call.reason) == (Outcome.FAILED, "answer_failed")
    assert carrier.executed == [Answer(), HangUp()]


def test_a_hangup_goes_to_telnyx_and_the_call_ends_when_telnyx_says_so(
    switchboard: Switchboard, carrier: RecordingCarrier, store: DynamoCallStore
) -> None:
    place(switchboard)
    asked = switchboard.apply("call-1", EndRequested(EndedBy.API, 4_000))
    assert asked.status is CallStatus.DIALING
    assert carrier.executed == [Dial(), HangUp()]
    deliver(switchboard, HUNG_UP, SOMEBODY)
    assert (load(store).outcome, load(store).reason) == (Outcome.CANCELED, EndedBy.API)


def test_a_hangup_of_a_call_that_telnyx_has_ended_already_is_the_end(
    switchboard: Switchboard, carrier: RecordingCarrier, store: DynamoCallStore
) -> None:
    place(switchboard)
    carrier.refusals = {HangUp: ALREADY_ENDED}
    ended = switchboard.apply("call-1", EndRequested(EndedBy.API, 4_000))
    assert ended == load(store)
    assert (ended.status, ended.outcome) == (CallStatus.ENDED, Outcome.CANCELED)
    assert not ended.may_be_up


def test_a_caller_who_hung_up_before_we_streamed_is_no_failure(
    switchboard: Switchboard, carrier: RecordingCarrier, store: DynamoCallStore
) -> None:
    place(switchboard)
    carrier.refusals = {StartStreaming: ALREADY_ENDED}
    deliver(switchboard, ANSWERED, SOMEBODY)
    deliver(switchboard, HUNG_UP, SOMEBODY)
    assert (load(store).outcome, load(store).reason) == (Outcome.COMPLETED, "caller_hung_up")


def test_a_refused_hangup_is_told_to_whoever_asked_and_may_be_asked_for_again(
    switchboard: Switchboard, carrier: RecordingCarrier, store: DynamoCallStore
) -> None:
    place(switchboard)
    carrier.refusals = {HangUp: TelnyxUnreachable("no answer in 5 s")}
    with pytest.raises(TelnyxUnreachable):
        switchboard.apply("call-1", EndRequested(EndedBy.API, 4_000))
    assert load(store).may_be_up
    carrier.refusals = {}
    switchboard.apply("call-1", EndRequested(EndedBy.API, 4_000))
    assert carrier.executed == [Dial(), HangUp(), HangUp()]


ASKED_TO_END = EndRequested(EndedBy.API, 4_000)


@pytest.mark.parametrize(
    ("slower", "faster", "commands"),
    [
        (ANSWERED.event, ASKED_TO_END, [HangUp()]),
        (ASKED_TO_END, ANSWERED.event, [StartStreaming(1), HangUp()]),
    ],
)
def test_the_slower_of_two_writers_starts_over_with_what_the_faster_left(
    client: "DynamoDBClient",
    table_name: str,
    clock: Clock,
    carrier: RecordingCarrier,
    mailbox: DynamoMailbox,
    slower: CallEvent,
    faster: CallEvent,
    commands: list[CallCommand],
) -> None:
    store = OvertakenStore(table_name, client, clock)
    switchboard = Switchboard(store, carrier, mailbox, clock, logger("switchboard"))
    place(switchboard)
    store.other_writer = lambda: switchboard.apply("call-1", faster)
    store.loads = 0
    call = switchboard.apply("call-1", slower)
    assert store.loads == 2, "each event loads the call once, and the refused write returns it"
    assert call == load(store)
    assert (call.answered_at_ms, call.end_requested_by) == (5_000, EndedBy.API)
    assert carrier.executed == [Dial(), *commands]


@pytest.mark.parametrize("url", [None, "https://crm.example/calls"])
def test_the_head_says_whether_the_call_has_a_webhook_of_its_own(
    switchboard: Switchboard, store: DynamoCallStore, url: str | None
) -> None:
    switchboard.place(outbound_call(), CallConfig(webhook_url=url))
    assert load(store).has_own_webhook is (url is not None)


def test_a_call_that_rings_is_known_by_its_leg_whatever_fails_next(
    client: "DynamoDBClient",
    table_name: str,
    clock: Clock,
    carrier: RecordingCarrier,
    mailbox: DynamoMailbox,
    store: DynamoCallStore,
    switchboard: Switchboard,
) -> None:
    forgetful = ForgetfulStore(table_name, client, clock)
    placed = place(Switchboard(forgetful, carrier, mailbox, clock, logger("switchboard")))
    assert placed == load(store), "who asked for it is told that it rings"
    assert store.find_by_leg(LEG) == "call-1"
    assert load(store).leg == LEG, "it can be hung up"
    deliver(switchboard, replace(HUNG_UP, client_state=None), SOMEBODY)
    assert load(store).status is CallStatus.ENDED


@pytest.mark.parametrize(
    "forgotten",
    [
        TelnyxRefused(404, "10005", "Resource not found"),
        TelnyxRefused(422, "90015", "Invalid Call Control ID"),
        TelnyxRefused(404, "404", "Not Found"),
        TelnyxRefused(410, "410", "Gone"),
    ],
    ids=str,
)
@pytest.mark.parametrize("is_answered", [False, True])
def test_a_hangup_of_a_leg_that_telnyx_has_forgotten_is_the_end(
    store: DynamoCallStore,
    mailbox: DynamoMailbox,
    clock: Clock,
    forgotten: TelnyxRefused,
    is_answered: bool,
) -> None:
    carrier = RecordingCarrier(refusals={HangUp: forgotten})
    switchboard = Switchboard(store, carrier, mailbox, clock, logger("switchboard"))
    place(switchboard)
    if is_answered:
        deliver(switchboard, ANSWERED, SOMEBODY)
    ended = switchboard.apply("call-1", EndRequested(EndedBy.API, 4_000))
    assert ended == load(store)
    assert (ended.status, ended.reason) == (CallStatus.ENDED, EndedBy.API)
    assert ended.outcome is (Outcome.COMPLETED if is_answered else Outcome.CANCELED)
    assert not ended.may_be_up
    hangups = carrier.executed.count(HangUp())
    switchboard.apply("call-1", EndRequested(EndedBy.API, 4_000))
    assert carrier.executed.count(HangUp()) == hangups, "nothing is left to hang up"


def test_the_stream_that_a_hangup_closes_does_not_repeat_the_hangup(
    switchboard: Switchboard, carrier: RecordingCarrier
) -> None:
    """`streaming.stopped` comes before `call.hangup`."""
    place(switchboard)
    switchboard.apply("call-1", CallAnswered(LEG, 5_000))
    switchboard.apply("call-1", MediaAttached(1, "task-1", 6_000))
    switchboard.apply("call-1", CallFailed(Fault("model_lost", "closed", 7_000)))
    switchboard.apply("call-1", StreamingStopped(1))
    assert carrier.executed == [Dial(), StartStreaming(1), HangUp()]


def test_a_leg_that_is_answered_after_it_was_unknown_is_hung_up_again(
    switchboard: Switchboard, carrier: RecordingCarrier, store: DynamoCallStore, clock: Clock
) -> None:
    """A hangup may overtake the dial at Telnyx."""
    place(switchboard)
    carrier.refusals = {HangUp: TelnyxRefused(404, "10005", "Resource not found")}
    switchboard.apply("call-1", EndRequested(EndedBy.API, 4_000))
    carrier.refusals = {}
    answered = webhook(CallAnswered(LEG, clock.now_ms + 1), "call.answered", "answered")
    deliver(switchboard, answered, SOMEBODY)
    assert carrier.executed == [Dial(), HangUp(), HangUp()]
    assert load(store).may_be_up, "the sweeper asks again, should this hangup be lost"
    deliver(switchboard, HUNG_UP, SOMEBODY)
    assert not load(store).may_be_up


def test_what_was_done_but_not_noted_holds_up_nothing_else(
    client: "DynamoDBClient",
    table_name: str,
    clock: Clock,
    carrier: RecordingCarrier,
    mailbox: DynamoMailbox,
    store: DynamoCallStore,
    switchboard: Switchboard,
) -> None:
    place(switchboard)
    switchboard.apply("call-1", CallAnswered(LEG, 5_000))
    switchboard.apply("call-1", MediaAttached(1, "task-1", 6_000))
    switchboard.apply("call-1", TransferRequested("+15550142"))
    forgetful = ForgetfulStore(table_name, client, clock)
    fragile = Switchboard(forgetful, carrier, mailbox, clock, logger("switchboard"))
    fragile.apply("call-1", CallTransferred(60_000))
    assert carrier.executed[-1] == StopStreaming(1)
    assert [posted.command for posted in mailbox.collect("task-1")] == [TransferFinished(None)]


def test_a_webhook_that_failed_at_the_settings_of_its_call_is_applied_when_it_comes_again(
    client: "DynamoDBClient",
    table_name: str,
    clock: Clock,
    carrier: RecordingCarrier,
    mailbox: DynamoMailbox,
    switchboard: Switchboard,
) -> None:
    place(switchboard)
    throttled = ThrottledStore(table_name, client, clock)
    fragile = Switchboard(throttled, carrier, mailbox, clock, logger("switchboard"))
    with pytest.raises(Throttled):
        deliver(fragile, ANSWERED, SOMEBODY)
    deliver(switchboard, ANSWERED, SOMEBODY)
    assert carrier.executed == [Dial(), StartStreaming(1)]


def test_a_call_that_two_requests_place_at_once_rings_once(
    switchboard: Switchboard, carrier: RecordingCarrier
) -> None:
    first = place(switchboard)
    assert place(switchboard) == first
    assert carrier.executed == [Dial()]


def test_a_change_is_dated_by_our_clock_whatever_the_carriers_says(
    switchboard: Switchboard, store: DynamoCallStore, clock: Clock
) -> None:
    assert place(switchboard).changed_at_ms == clock.now_ms
    clock.pass_seconds(5)
    answered_at_ms = clock.now_ms
    deliver(switchboard, ANSWERED, SOMEBODY)
    assert load(store).changed_at_ms == answered_at_ms
    clock.pass_seconds(5)
    deliver(switchboard, ANSWERED, SOMEBODY)
    assert load(store).changed_at_ms == answered_at_ms, "a repetition changes nothing"
    clock.pass_seconds(5)
    deliver(switchboard, HUNG_UP, SOMEBODY)
    assert load(store).changed_at_ms == clock.now_ms


def test_a_webhook_about_no_call_of_ours_changes_nothing(
    switchboard: Switchboard, carrier: RecordingCarrier, store: DynamoCallStore
) -> None:
    assert deliver(switchboard, ANSWERED, SOMEBODY) is None
    assert deliver(switchboard, replace(HUNG_UP, client_state=None), SOMEBODY) is None
    assert carrier.executed == []
    assert store.record("call-1") is None


def test_a_webhook_without_client_state_finds_its_call_by_its_leg(
    switchboard: Switchboard, store: DynamoCallStore
) -> None:
    place(switchboard)
    renamed = replace(LEG, call_control_id="v3:renamed")
    hung_up = CallHungUp(renamed, HANGUP)
    deliver(switchboard, replace(HUNG_UP, client_state=None, leg=renamed, event=hung_up), SOMEBODY)
    assert load(store).status is CallStatus.ENDED


def test_a_client_state_of_somebody_else_does_not_hide_an_inbound_call(
    switchboard: Switchboard, store: DynamoCallStore
) -> None:
    deliver(switchboard, arrival(), SOMEBODY)
    deliver(switchboard, replace(HUNG_UP, client_state="not ours"), SOMEBODY)
    assert load(store, inbound_call_id(LEG)).status is CallStatus.ENDED


@pytest.mark.parametrize("length", [MAX_CALL_ID_LENGTH + 1, 4_000])
def test_a_client_state_too_long_for_a_call_of_ours_counts_as_none(
    switchboard: Switchboard, store: DynamoCallStore, length: int
) -> None:
    foreign = "x" * length
    assert deliver(switchboard, replace(HUNG_UP, client_state=foreign), SOMEBODY) is None
    place(switchboard)
    deliver(switchboard, replace(HUNG_UP, client_state=foreign), SOMEBODY)
    assert load(store).status is CallStatus.ENDED, "found by its leg"


def test_a_call_id_may_be_as_long_as_the_longest(
    switchboard: Switchboard, store: DynamoCallStore
) -> None:
    call_id = "x" * MAX_CALL_ID_LENGTH
    switchboard.place(outbound_call(call_id), CallConfig())
    renamed = replace(LEG, call_control_id="v3:renamed")
    hung_up = CallHungUp(renamed, HANGUP)
    deliver(
        switchboard, replace(HUNG_UP, client_state=call_id, leg=renamed, event=hung_up), SOMEBODY
    )
    assert load(store, call_id).status is CallStatus.ENDED


def test_a_webhook_that_moves_nothing_is_noted(
    switchboard: Switchboard, store: DynamoCallStore
) -> None:
    placed = place(switchboard)
    assert deliver(switchboard, webhook(None, "call.dtmf.received"), SOMEBODY) == placed
    assert "call.dtmf.received" in timeline(store)


def test_what_cannot_happen_is_refused(switchboard: Switchboard, store: DynamoCallStore) -> None:
    placed = place(switchboard)
    with pytest.raises(InvalidTransition):
        switchboard.apply("call-1", MediaAttached(1, "task-1", 6_000))
    with pytest.raises(UnknownCall):
        switchboard.apply("call-2", EndRequested(EndedBy.API, 4_000))
    assert load(store) == placed


def test_a_stream_is_claimed_by_one_of_two_containers(
    switchboard: Switchboard, store: DynamoCallStore
) -> None:
    place(switchboard)
    deliver(switchboard, ANSWERED, SOMEBODY)

    def claim(task_id: str) -> bool:
        try:
            switchboard.apply("call-1", MediaAttached(1, task_id, 6_000))
        except InvalidTransition:
            return False
        return True

    with ThreadPoolExecutor(2) as threads:
        claimed = list(threads.map(claim, ["task-1", "task-2"]))
    assert sorted(claimed) == [False, True]
    assert load(store).owner_task == ["task-1", "task-2"][claimed.index(True)]


# Faults of our own while a command is sent.

KEY = "KEY-secret"
BREAKAGES = [
    UnicodeEncodeError("latin-1", f"Bearer {KEY}\u2013", 7, 8, "ordinal not in range(256)"),
    ValueError(f"Invalid header value b'Bearer {KEY}'"),
    OSError("too many open files"),
    RuntimeError("the library broke"),
]


class BrokenCarrier(RecordingCarrier):
    """Its HTTP library raises what no caller foresees."""

    def __init__(self, broken: type[CallCommand], error: Exception) -> None:
        super().__init__()
        self._broken, self._error = broken, error

    def execute(self, command: CallCommand, call: Call, config: CallConfig) -> Leg | None:
        leg = super().execute(command, call, config)
        if isinstance(command, self._broken):
            raise self._error
        return leg


@pytest.mark.parametrize("error", BREAKAGES, ids=lambda error: type(error).__name__)
def test_a_dial_that_breaks_off_leaves_a_record_that_says_so(
    store: DynamoCallStore,
    mailbox: DynamoMailbox,
    clock: Clock,
    error: Exception,
    capsys: pytest.CaptureFixture[str],
) -> None:
    carrier = BrokenCarrier(Dial, error)
    switchboard = Switchboard(store, carrier, mailbox, clock, logger("switchboard-broken"))
    with pytest.raises(CommandFailed, match=type(error).__name__) as failure:
        place(switchboard)
    call = load(store)
    assert (call.status, call.outcome, call.reason) == (
        CallStatus.ENDED,
        Outcome.FAILED,
        "dial_failed",
    )
    assert place(switchboard) == call, "the repeated request finds the failure"
    assert carrier.executed == [Dial()]
    told = "".join(traceback.format_exception(failure.value)) + capsys.readouterr().out
    assert KEY not in told + str(call)
    assert "test_switchboard.py" in told, "where it broke"


@pytest.mark.parametrize("refusal", [NotConfigured("There is no line.")])
def test_a_dial_that_lacks_a_setting_leaves_a_record_that_says_so(
    switchboard: Switchboard,
    carrier: RecordingCarrier,
    store: DynamoCallStore,
    refusal: NotConfigured,
) -> None:
    carrier.refusals = {Dial: refusal}
    with pytest.raises(NotConfigured):
        place(switchboard)
    assert load(store).reason == "dial_failed"


def test_an_answer_that_breaks_off_ends_the_call(
    store: DynamoCallStore, mailbox: DynamoMailbox, clock: Clock
) -> None:
    carrier = BrokenCarrier(Answer, RuntimeError("the library broke"))
    switchboard = Switchboard(store, carrier, mailbox, clock, logger("switchboard"))
    call = deliver(switchboard, arrival(), SOMEBODY)
    assert call
    assert (call.outcome, call.reason) == (Outcome.FAILED, "answer_failed")
    assert carrier.executed == [Answer(), HangUp()]


def test_a_stream_that_breaks_off_ends_the_call(
    store: DynamoCallStore, mailbox: DynamoMailbox, clock: Clock
) -> None:
    carrier = BrokenCarrier(StartStreaming, RuntimeError("the library broke"))
    switchboard = Switchboard(store, carrier, mailbox, clock, logger("switchboard"))
    place(switchboard)
    call = deliver(switchboard, ANSWERED, SOMEBODY)
    assert call
    assert (call.outcome, call.reason) == (Outcome.FAILED, "streaming_start_failed")
    assert carrier.executed[-1] == HangUp()


# Transfers.

TARGET = Leg("v3:target", "target-leg", LEG.call_session_id)


def streaming(switchboard: Switchboard) -> None:
    place(switchboard)
    deliver(switchboard, ANSWERED, NOBODY)
    switchboard.apply("call-1", MediaAttached(1, "task-1", 6_000))


def test_a_container_that_waits_on_a_ringing_phone_is_told_of_the_answer(
    switchboard: Switchboard, carrier: RecordingCarrier, mailbox: DynamoMailbox
) -> None:
    early = CallConfig(stream_setup=StreamSetup.WITH_DIAL)
    switchboard.place(outbound_call(), early)
    switchboard.apply("call-1", MediaAttached(1, "task-1", 1_500))
    deliver(switchboard, ANSWERED, NOBODY)
    deliver(switchboard, ANSWERED, NOBODY)
    assert carrier.executed == [Dial(1)]
    assert [posted.command for posted in mailbox.collect("task-1")] == [Answered()]


def of_target(event: CallEvent | None, event_type: str, state: str | None = None) -> Webhook:
    told = webhook(event, event_type, f"target-{event_type}")
    return replace(told, leg=TARGET, client_state=state)


def target_hung_up(state: str | None = "call-1/transfer/1", cause: str = "user_busy") -> Webhook:
    return of_target(CallHungUp(TARGET, Hangup(cause, "callee", 50_000)), "call.hangup", state)


def test_a_blind_transfer_from_request_to_goodbye(
    switchboard: Switchboard,
    carrier: RecordingCarrier,
    store: DynamoCallStore,
    mailbox: DynamoMailbox,
) -> None:
    streaming(switchboard)
    switchboard.apply("call-1", TransferRequested("+15550142"))
    name = "call-1/transfer/1"
    deliver(switchboard, of_target(CallInitiated(TARGET), "call.initiated", name), NOBODY)
    deliver(switchboard, of_target(CallAnswered(TARGET, 50_000), "call.answered", name), NOBODY)
    deliver(switchboard, webhook(CallTransferred(50_100), "call.bridged", "bridged"), NOBODY)
    call = load(store)
    assert (call.status, call.leg) == (CallStatus.TRANSFERRED, LEG)
    assert carrier.effects[-2:] == [TransferLeg(), StopStreaming(1)]
    assert [posted.command for posted in mailbox.collect("task-1")] == [TransferFinished(None)]
    deliver(switchboard, target_hung_up(name, "normal_clearing"), NOBODY)
    assert load(store).status is CallStatus.TRANSFERRED, "the caller's own leg ends the call"
    deliver(switchboard, HUNG_UP, NOBODY)
    assert load(store).reason == "transferred"


@pytest.mark.parametrize("state", ["call-1/transfer/1", "call-1", None])
def test_a_busy_target_leaves_the_call_up_however_its_leg_is_named(
    switchboard: Switchboard,
    store: DynamoCallStore,
    mailbox: DynamoMailbox,
    state: str | None,
) -> None:
    """Telnyx should name it as we asked; an unanswered leg came back without a name."""
    streaming(switchboard)
    switchboard.apply("call-1", TransferRequested("+15550142"))
    name = state or "call-1/transfer/1"
    deliver(switchboard, of_target(CallInitiated(TARGET), "call.initiated", name), NOBODY)
    deliver(switchboard, target_hung_up(state), NOBODY)
    call = load(store)
    assert (call.status, call.leg) == (CallStatus.STREAMING, LEG)
    [posted] = mailbox.collect("task-1")
    assert posted.command == TransferFinished("user_busy")


def test_a_warm_transfer_dials_tells_and_bridges(
    switchboard: Switchboard, carrier: RecordingCarrier, store: DynamoCallStore
) -> None:
    streaming(switchboard)
    carrier.target = TARGET
    switchboard.apply("call-1", TransferRequested("+15550142", summary="A caller from Ulm."))
    assert store.find_by_leg(TARGET) == "call-1/transfer/1"
    answered = of_target(CallAnswered(TARGET, 50_000), "call.answered", "call-1/transfer/1")
    spoken = of_target(AnnouncementEnded(), "call.speak.ended", "call-1/transfer/1")
    for event in (answered, answered, spoken, spoken):
        deliver(switchboard, event, NOBODY)
    steps = [DialTarget(), SpeakSummary(), BridgeLegs()]
    assert carrier.effects[-3:] == steps
    call = load(store)
    assert call.transfer
    assert call.transfer.target == TARGET.call_control_id
    assert call.leg == LEG


@pytest.mark.parametrize(
    ("step", "refusal"),
    [
        (DialTarget, NOT_ALLOWED),
        (DialTarget, TelnyxUnreachable("Telnyx did not answer")),
        (DialTarget, NotConfigured("There is no line.")),
        (SpeakSummary, ALREADY_ENDED),
        (BridgeLegs, ALREADY_ENDED),
    ],
)
def test_a_step_that_is_refused_leaves_the_call_up_and_is_told(
    switchboard: Switchboard,
    carrier: RecordingCarrier,
    store: DynamoCallStore,
    mailbox: DynamoMailbox,
    step: type[CallCommand],
    refusal: TelnyxError | NotConfigured,
) -> None:
    streaming(switchboard)
    carrier.refusals = {step: refusal}
    carrier.target = TARGET
    switchboard.apply("call-1", TransferRequested("+15550142", summary="A caller from Ulm."))
    answered = of_target(CallAnswered(TARGET, 50_000), "call.answered", "call-1/transfer/1")
    deliver(switchboard, answered, NOBODY)
    deliver(
        switchboard, of_target(AnnouncementEnded(), "call.speak.ended", "call-1/transfer/1"), NOBODY
    )
    assert load(store).status is CallStatus.STREAMING
    [posted] = mailbox.collect("task-1")
    assert isinstance(posted.command, TransferFinished)
    assert posted.command.failure


def test_a_transfer_that_finds_the_caller_gone_ends_the_call(
    switchboard: Switchboard, carrier: RecordingCarrier, store: DynamoCallStore
) -> None:
    streaming(switchboard)
    carrier.refusals = {TransferLeg: ALREADY_ENDED}
    switchboard.apply("call-1", TransferRequested("+15550142"))
    assert load(store).status is CallStatus.ENDED


def test_a_stream_that_cannot_be_stopped_is_left_all_the_same(
    switchboard: Switchboard,
    carrier: RecordingCarrier,
    store: DynamoCallStore,
    mailbox: DynamoMailbox,
) -> None:
    streaming(switchboard)
    carrier.refusals = {StopStreaming: TelnyxRefused(422, "90048", "Streaming is not used")}
    switchboard.apply("call-1", TransferRequested("+15550142"))
    switchboard.apply("call-1", CallTransferred(50_000))
    assert load(store).status is CallStatus.TRANSFERRED
    assert [posted.command for posted in mailbox.collect("task-1")] == [TransferFinished(None)]


def test_keys_that_telnyx_refuses_are_the_askers_business(
    switchboard: Switchboard, carrier: RecordingCarrier, store: DynamoCallStore
) -> None:
    streaming(switchboard)
    carrier.refusals = {SendDigits: NOT_ALLOWED}
    with pytest.raises(TelnyxRefused):
        switchboard.apply("call-1", DigitsRequested("1", 250))
    assert load(store).status is CallStatus.STREAMING
    assert "send_dtmf FAILED" in timeline(store)


def test_the_container_of_a_call_is_told_of_a_machine_by_its_mailbox(
    store: DynamoCallStore, switchboard: Switchboard, mailbox: DynamoMailbox
) -> None:
    wished = MachineDetection(OnMachine.LEAVE_MESSAGE, "Call us back.")
    call = switchboard.place(outbound_call(), CallConfig(machine_detection=wished))
    deliver(switchboard, ANSWERED, SOMEBODY)
    switchboard.apply(call.call_id, MediaAttached(1, "task-1", 6_000))
    events: list[CallEvent] = [DetectionEnded(AnsweredBy.MACHINE), GreetingEnded()]
    for number, event in enumerate(events):
        deliver(switchboard, webhook(event, "call.machine", f"machine-{number}"), SOMEBODY)
    told = [posted.command for posted in mailbox.collect("task-1")]
    assert sorted(told, key=str) == [MachineAnswered(False), MachineAnswered(True)]
