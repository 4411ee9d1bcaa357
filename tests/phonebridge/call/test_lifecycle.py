"""Stories of calls, and the laws that hold in every order in which webhooks may come."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise, permutations, product
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonebridge.call.call import (
    CLOCK_SKEW_MS,
    FAREWELL,
    FOUND_ENDED,
    MAX_FAILURES,
    MAX_STREAMS,
    Call,
    CallStatus,
    Direction,
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
    ReportAnswer,
    ReportMachine,
    SendDigits,
    StartStreaming,
    StopStreaming,
)
from phonebridge.call.events import (
    AnnouncementEnded,
    BrowserCallRequested,
    BrowserEvent,
    BrowserLeft,
    CallAnswered,
    CallArrived,
    CallerInformed,
    CallEvent,
    CallFailed,
    CallHungUp,
    CallInitiated,
    CallRequested,
    CallTurnedAway,
    DialAccepted,
    DigitsRequested,
    DigitsSettled,
    EndRequested,
    LastStreamEnding,
    MediaAttached,
    MediaReported,
    MediaStarted,
    NextStreamRequested,
    StreamClosed,
    StreamingFailed,
    StreamingLost,
    StreamingStopped,
    StreamRequested,
    StreamsGivenUp,
)
from phonebridge.call.lifecycle import TRANSITIONS, advance
from phonebridge.call.machine_detection import AnsweredBy, DetectionEnded, GreetingEnded, OnMachine
from phonebridge.call.owed import new_commands
from phonebridge.call.transfer import (
    BridgeLegs,
    BriefingStarted,
    CallTransferred,
    DialTarget,
    HangUpTarget,
    ReportTransfer,
    SpeakSummary,
    TargetAnswered,
    TargetBriefed,
    TargetHungUp,
    TargetInitiated,
    TransferLeg,
    TransferRefused,
    TransferRequested,
)
from phonebridge.errors import InvalidTransition
from tests.support.calls import (
    LEG,
    NOW_MS,
    after,
    inbound_call,
    outbound_call,
    sent,
    unasked,
)

DIALLED_LEG = Leg("v3:as-dialled", "leg-1", "session-1")
INITIATED = CallInitiated(LEG)
ANSWERED = CallAnswered(LEG, 5_000)
ATTACHED = MediaAttached(1, "task-1", 6_000)
TRANSFER = TransferRequested("+15550142")
WARM_TRANSFER = TransferRequested("+15550142", summary="The caller wants to move an appointment.")
TRANSFERRED = CallTransferred(60_000)
HUNG_UP = CallHungUp(LEG, Hangup("normal_clearing", "caller", 90_000))
STREAM_FAILED = StreamingFailed(Fault("streaming_failed", "connection_failed", 50_000))
LAST_STREAM_FAILED = replace(STREAM_FAILED, stream_number=MAX_STREAMS)
STOPPED = StreamingStopped(1)
STARTED = MediaStarted(6_500)
NEVER_STARTED = MediaReported(1, started=False)
UNSURE, DETECTED = DetectionEnded(AnsweredBy.UNSURE), DetectionEnded(AnsweredBy.MACHINE)
FAX, GREETED = DetectionEnded(AnsweredBy.FAX), GreetingEnded()
CONTAINER_LOST = CallFailed(Fault("container_lost", "no heartbeat", 45_000))


def dialing() -> Call:
    return after(outbound_call(), CallRequested(), DialAccepted(LEG))


def ringing() -> Call:
    """A call whose media stream was asked for with the dial."""
    return after(outbound_call(), CallRequested(with_stream=True), DialAccepted(LEG))


def incoming() -> Call:
    return after(inbound_call(), CallArrived(LEG))


def hung_up(cause: str, source: str = "callee") -> CallHungUp:
    return CallHungUp(LEG, Hangup(cause, source, 20_000))


# Stories.


def test_an_outbound_call_from_dial_to_goodbye() -> None:
    call = after(outbound_call(), CallRequested(), DialAccepted(LEG), INITIATED, ANSWERED)
    assert call.status is CallStatus.ANSWERED
    call = after(call, ATTACHED, HUNG_UP)
    assert call.status is CallStatus.ENDED
    assert (call.outcome, call.reason) == (Outcome.COMPLETED, "caller_hung_up")
    assert (call.answered_at_ms, call.streaming_at_ms, call.ended_at_ms) == (5_000, 6_000, 90_000)
    assert not call.may_be_up


def test_each_step_asks_for_the_next() -> None:
    assert sent(outbound_call(), CallRequested()) == [Dial()]
    assert sent(inbound_call(), CallArrived(LEG)) == [Answer()]
    assert sent(inbound_call(), CallTurnedAway(LEG)) == [Reject()]
    assert sent(dialing(), INITIATED, ANSWERED) == [StartStreaming(1)]
    assert sent(incoming(), ANSWERED) == [StartStreaming(1)]
    assert sent(dialing(), ANSWERED, ATTACHED, HUNG_UP, HUNG_UP) == [StartStreaming(1)]


def test_an_event_that_is_delivered_again_asks_again_until_the_command_is_confirmed() -> None:
    assert sent(dialing(), ANSWERED, ANSWERED) == [StartStreaming(1)] * 2
    assert sent(dialing(), ANSWERED, ATTACHED, ANSWERED) == [StartStreaming(1)]


@pytest.mark.parametrize(
    ("cause", "outcome"),
    [
        ("user_busy", Outcome.BUSY),
        ("call_rejected", Outcome.REJECTED),
        ("timeout", Outcome.NO_ANSWER),
        ("no_answer", Outcome.NO_ANSWER),
        ("originator_cancel", Outcome.CANCELED),
        ("normal_clearing", Outcome.CANCELED),
        ("not_found", Outcome.FAILED),
        ("a_cause_of_next_year", Outcome.FAILED),
    ],
)
def test_a_call_that_nobody_answered(cause: str, outcome: Outcome) -> None:
    call = after(dialing(), hung_up(cause))
    assert (call.outcome, call.reason) == (outcome, cause)


def test_an_answered_call_that_ends_for_another_reason_names_it() -> None:
    call = after(dialing(), ANSWERED, hung_up("time_limit", "unknown"))
    assert (call.outcome, call.reason) == (Outcome.COMPLETED, "time_limit")


@pytest.mark.parametrize("by", EndedBy)
def test_who_asked_for_the_end_is_the_reason(by: EndedBy) -> None:
    call = after(dialing(), ANSWERED, ATTACHED, EndRequested(by, 10_000), HUNG_UP)
    assert (call.outcome, call.reason) == (Outcome.COMPLETED, by)


def test_a_call_that_is_ended_before_anybody_answered_is_canceled() -> None:
    assert sent(dialing(), EndRequested(EndedBy.API, 10_000)) == [HangUp()]
    call = after(dialing(), EndRequested(EndedBy.API, 10_000), hung_up("normal_clearing"))
    assert (call.outcome, call.reason) == (Outcome.CANCELED, EndedBy.API)


def test_the_first_to_ask_for_the_end_is_the_reason() -> None:
    earlier = EndRequested(EndedBy.MAX_DURATION, 9_000)
    later = EndRequested(EndedBy.API, 10_000)
    assert after(dialing(), earlier, later, HUNG_UP).reason == "max_duration"
    assert after(dialing(), later, earlier, HUNG_UP).reason == "max_duration"


def test_an_end_that_was_asked_for_in_time_is_the_reason_even_if_it_is_written_later() -> None:
    call = after(dialing(), ANSWERED, ATTACHED, HUNG_UP)
    late = EndRequested(EndedBy.AGENT, HUNG_UP.hangup.at_ms - 1_000)
    assert after(call, late).reason == EndedBy.AGENT
    assert after(dialing(), ANSWERED, ATTACHED, late, HUNG_UP).reason == EndedBy.AGENT


def test_an_end_that_was_asked_for_after_the_hangup_is_no_reason() -> None:
    call = after(dialing(), ANSWERED, ATTACHED)
    late = EndRequested(EndedBy.API, HUNG_UP.hangup.at_ms + CLOCK_SKEW_MS + 1)
    assert after(call, late, HUNG_UP).reason == "caller_hung_up"
    assert after(call, HUNG_UP, late).reason == "caller_hung_up"


@pytest.mark.parametrize(
    ("events", "outcome"), [((), Outcome.FAILED), ((ANSWERED, ATTACHED), Outcome.COMPLETED)]
)
def test_an_end_of_which_nothing_is_known_has_no_reason(
    events: tuple[CallEvent, ...], outcome: Outcome
) -> None:
    found = CallHungUp(LEG, Hangup(FOUND_ENDED, "unknown", 89_000))
    call = after(dialing(), *events, found)
    assert (call.outcome, call.reason, call.ended_at_ms) == (outcome, "unknown", 89_000)


def test_an_end_asked_for_while_we_dial_hangs_up_as_soon_as_there_is_a_leg() -> None:
    call = after(outbound_call(), CallRequested())
    assert sent(call, EndRequested(EndedBy.API, 10_000)) == []
    call = after(call, EndRequested(EndedBy.API, 10_000))
    assert sent(call, DialAccepted(LEG)) == [HangUp()]
    assert sent(call, INITIATED) == [HangUp()]
    assert sent(call, ANSWERED) == [HangUp()], "no stream is opened"


def test_a_fault_ends_the_call_and_the_leg() -> None:
    call = after(dialing(), ANSWERED)
    assert sent(call, CONTAINER_LOST) == [HangUp()]
    call = after(call, CONTAINER_LOST)
    assert (call.outcome, call.reason) == (Outcome.FAILED, CONTAINER_LOST.fault.reason)
    assert call.ended_at_ms == CONTAINER_LOST.fault.at_ms
    assert call.may_be_up, "until the hangup is heard of"
    assert not after(call, HUNG_UP).may_be_up


def test_a_stream_that_could_not_be_opened_is_opened_once_more() -> None:
    """Its container was full, or about to end; the balancer may choose another one now."""
    call = after(dialing(), ANSWERED)
    assert sent(call, STREAM_FAILED) == [StartStreaming(2)]
    call = after(call, STREAM_FAILED)
    assert call.status is CallStatus.ANSWERED
    call = after(call, replace(ATTACHED, stream_number=2), STREAM_FAILED)
    assert call.status is CallStatus.STREAMING, "the webhook came again"
    assert after(call, HUNG_UP).outcome is Outcome.COMPLETED


def failure_of(stream_number: int) -> StreamingFailed:
    fault = Fault("streaming_failed", "connection_failed", 50_000 + stream_number)
    return StreamingFailed(fault, stream_number)


GOODBYE = InformCaller(MAX_STREAMS, is_goodbye=True)


def test_a_call_whose_streams_all_fail_hears_a_goodbye_and_then_fails() -> None:
    failures = [failure_of(number) for number in range(1, MAX_STREAMS + 1)]
    call = after(dialing(), ANSWERED)
    streams = [StartStreaming(number) for number in range(2, MAX_STREAMS + 1)]
    assert sent(call, *failures) == [*streams, GOODBYE]
    waiting = after(call, *failures, CallerInformed(MAX_STREAMS))
    assert (waiting.status, waiting.fault) == (CallStatus.ANSWERED, failures[-1].fault)
    for end in (CallFailed(Fault("no_media", "", 60_000)), HUNG_UP):
        ended = after(waiting, end)
        assert (ended.outcome, ended.reason) == (Outcome.FAILED, "streaming_failed")


@pytest.mark.parametrize("order", [*permutations(range(1, MAX_STREAMS + 1))])
def test_a_goodbye_is_spoken_once_in_whatever_order_the_streams_fail(order: Sequence[int]) -> None:
    asked = sent(after(dialing(), ANSWERED), *map(failure_of, order), failure_of(order[0]))
    assert asked.count(GOODBYE) >= 1
    assert {each for each in asked if isinstance(each, InformCaller)} == {GOODBYE}


def test_a_last_failure_that_comes_before_the_answer_waits_for_it() -> None:
    call = after(dialing(), LAST_STREAM_FAILED)
    assert call.status is CallStatus.DIALING
    assert sent(call, ANSWERED) == [GOODBYE]


def test_a_caller_who_never_heard_the_agent_is_connected_with_the_fallback() -> None:
    call = after(dialing(), ANSWERED, LAST_STREAM_FAILED, CallerInformed(MAX_STREAMS))
    assert sent(call, TRANSFER) == [TransferLeg()]
    known = after(call, TRANSFER, TargetInitiated(1, "v3:target"))
    talked = after(known, TRANSFERRED, HUNG_UP)
    assert (talked.outcome, talked.reason) == (Outcome.COMPLETED, "transferred")
    refused = after(known, TargetHungUp(1, "user_busy"))
    assert sent(refused, StreamsGivenUp(MAX_STREAMS)) == [InformCaller(FAREWELL, is_goodbye=True)]


def test_the_failure_of_an_old_stream_changes_nothing() -> None:
    call = after(dialing(), ANSWERED, failure_of(1), replace(ATTACHED, stream_number=2))
    assert after(call, failure_of(1)) == call


def test_no_stream_is_opened_again_for_a_call_that_is_to_end() -> None:
    call = after(dialing(), ANSWERED, EndRequested(EndedBy.API, 10_000))
    assert sent(call, STREAM_FAILED) == []


def test_a_dial_that_failed_leaves_no_leg_to_hang_up() -> None:
    refused = CallFailed(Fault("dial_failed", "not allowed", 2_000))
    call = after(outbound_call(), CallRequested())
    assert sent(call, refused) == []
    assert not after(call, refused).may_be_up


def test_a_dial_that_worked_after_all_is_hung_up() -> None:
    """Its answer was lost on the way, and so it counted as failed."""
    failed = CallFailed(Fault("dial_failed", "no answer", 2_000))
    call = after(outbound_call(), CallRequested(), failed)
    assert sent(call, INITIATED) == [HangUp()]


def test_a_stream_is_attached_once() -> None:
    call = after(dialing(), ANSWERED, ATTACHED)
    assert call.owner_task == "task-1"
    with pytest.raises(InvalidTransition, match="used before"):
        after(call, replace(ATTACHED, task_id="task-2"))


def test_a_stream_that_was_never_opened_cannot_be_attached() -> None:
    with pytest.raises(InvalidTransition, match="never opened"):
        after(dialing(), ANSWERED, replace(ATTACHED, stream_number=2))


def test_a_call_that_has_ended_takes_no_media() -> None:
    with pytest.raises(InvalidTransition):
        after(dialing(), ANSWERED, HUNG_UP, ATTACHED)


def test_a_report_after_the_end_is_no_news() -> None:
    call = after(dialing(), ANSWERED, ATTACHED, HUNG_UP)
    assert after(call, MediaReported(1)) == call


def test_a_webhooks_leg_outlives_the_one_that_the_dial_named() -> None:
    assert after(dialing(), INITIATED, DialAccepted(DIALLED_LEG)).leg == LEG
    call = after(outbound_call(), CallRequested(), DialAccepted(DIALLED_LEG), INITIATED)
    assert call.leg == LEG


def test_a_webhook_that_leaves_out_ids_of_the_leg_takes_none_away() -> None:
    whole = Leg("v3:leg", "leg", "session")
    partial = [Leg("v3:renamed"), Leg("", "leg"), Leg("", "", "session")]
    for leg in partial:
        call = after(dialing(), CallInitiated(whole), CallAnswered(leg, 5_000))
        assert call.leg == replace(whole, call_control_id=leg.call_control_id or "v3:leg")
    call = after(outbound_call(), CallRequested(), CallInitiated(Leg("v3:leg")))
    assert after(call, DialAccepted(Leg("v3:dialled", "leg"))).leg == Leg("v3:leg", "leg")


def test_a_webhook_without_a_control_id_makes_no_leg_that_could_be_told_anything() -> None:
    call = after(outbound_call(), CallRequested(), CallInitiated(Leg("", "leg")))
    assert call.leg is None


@pytest.mark.parametrize("found_first", [True, False])
def test_a_webhook_knows_better_why_a_call_ended_than_a_refused_command(found_first: bool) -> None:
    found = CallHungUp(LEG, Hangup(FOUND_ENDED, "unknown", 19_000))
    events = [found, hung_up("user_busy")] if found_first else [hung_up("user_busy"), found]
    call = after(dialing(), *events)
    assert (call.outcome, call.ended_at_ms) == (Outcome.BUSY, 20_000)


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_ends_the_earlier_counts_whichever_is_heard_of_first(order: int) -> None:
    later = CallHungUp(LEG, Hangup("time_limit", "unknown", 95_000))
    call = after(dialing(), ANSWERED, *[HUNG_UP, later][::order])
    assert (call.reason, call.ended_at_ms) == ("caller_hung_up", 90_000)
    later_fault = Fault("streaming_failed", "dns_failed", 60_000)
    failures = [LAST_STREAM_FAILED, replace(LAST_STREAM_FAILED, fault=later_fault)]
    call = after(dialing(), ANSWERED, *failures[::order], CallFailed(later_fault))
    assert (call.fault, call.ended_at_ms) == (STREAM_FAILED.fault, 50_000)


CALLEE_HUNG_UP = CallHungUp(LEG, Hangup("normal_clearing", "callee", 90_000))


def test_a_failure_of_ours_after_the_end_is_no_news() -> None:
    """A socket breaks because the callee hung up, and its time may yet be the earlier one."""
    ended = after(dialing(), ANSWERED, CALLEE_HUNG_UP)
    assert after(ended, CONTAINER_LOST) == ended


@pytest.mark.parametrize("source", ["caller", "unknown"])
def test_a_failure_because_of_which_we_hung_up_is_the_reason_even_if_it_is_written_later(
    source: str,
) -> None:
    hung_up = CallHungUp(LEG, Hangup("normal_clearing", source, CONTAINER_LOST.fault.at_ms + 500))
    call = after(dialing(), ANSWERED, ATTACHED)
    events: tuple[CallEvent, ...] = (CONTAINER_LOST, hung_up)
    for order in permutations(events):
        ended = after(call, *order)
        assert (ended.outcome, ended.reason) == (Outcome.FAILED, "container_lost")
        assert ended.ended_at_ms == hung_up.hangup.at_ms


@pytest.mark.parametrize("hung_up", [HUNG_UP, CALLEE_HUNG_UP])
def test_a_failure_of_the_model_is_the_reason_even_if_the_person_hung_up_before_we_did(
    hung_up: CallHungUp,
) -> None:
    """They have heard the apology."""
    failed = CallFailed(Fault("model_silent", "no reply", hung_up.hangup.at_ms - 1_000))
    call = after(dialing(), ANSWERED, ATTACHED)
    events: tuple[CallEvent, ...] = (failed, hung_up)
    for order in permutations(events):
        ended = after(call, *order)
        assert (ended.outcome, ended.reason) == (Outcome.FAILED, "model_silent")
        assert ended.ended_at_ms == hung_up.hangup.at_ms


def test_a_failure_after_the_hangup_that_was_requested_is_no_reason() -> None:
    call = after(dialing(), ANSWERED, ATTACHED, EndRequested(EndedBy.AGENT, 44_000), HUNG_UP)
    assert after(call, CONTAINER_LOST) == call


def test_a_failure_of_the_carriers_counts_after_the_end_too() -> None:
    hung_up_first = after(dialing(), ANSWERED, HUNG_UP, LAST_STREAM_FAILED)
    assert (hung_up_first.outcome, hung_up_first.reason) == (Outcome.FAILED, "streaming_failed")
    assert hung_up_first.ended_at_ms == 90_000
    earlier = replace(STREAM_FAILED.fault, at_ms=44_999)
    failed_first = replace(LAST_STREAM_FAILED, fault=earlier)
    call = after(dialing(), ANSWERED, CONTAINER_LOST, failed_first)
    assert (call.reason, call.ended_at_ms) == ("streaming_failed", 44_999)


def test_a_call_that_has_talked_is_not_failed_by_a_stream_that_is_not_opened() -> None:
    call = after(dialing(), ANSWERED, ATTACHED)
    assert after(call, LAST_STREAM_FAILED).status is CallStatus.STREAMING
    assert after(call, LAST_STREAM_FAILED, HUNG_UP).outcome is Outcome.COMPLETED
    assert after(call, HUNG_UP, LAST_STREAM_FAILED).outcome is Outcome.COMPLETED


def test_an_end_asked_for_after_the_end_changes_nothing_but_hangs_up_what_is_up() -> None:
    ended = after(dialing(), ANSWERED, CONTAINER_LOST)
    assert after(ended, EndRequested(EndedBy.API, 10_000)) == ended
    assert sent(ended, EndRequested(EndedBy.API, 10_000)) == [HangUp()]
    assert sent(after(ended, HUNG_UP), EndRequested(EndedBy.API, 10_000)) == []


def test_what_repeats_itself_has_nothing_to_save() -> None:
    call = after(dialing(), INITIATED, ANSWERED, ATTACHED, HUNG_UP)
    assert after(call, INITIATED, ANSWERED, HUNG_UP, DialAccepted(LEG)) == call


# Calls whose stream is asked for with the dial.


def test_a_stream_that_is_there_when_somebody_answers_needs_no_command() -> None:
    assert sent(outbound_call(), CallRequested(with_stream=True)) == [Dial(1)]
    assert sent(ringing(), ATTACHED, ANSWERED, STARTED, ANSWERED, HUNG_UP) == [ReportAnswer()], (
        "so that its container waits no longer than it must"
    )
    call = after(ringing(), ATTACHED)
    assert (call.status, call.streaming_at_ms) == (CallStatus.DIALING, None)
    call = after(call, ANSWERED, STARTED)
    assert (call.status, call.streaming_at_ms) == (CallStatus.STREAMING, STARTED.at_ms)
    call = after(call, HUNG_UP)
    assert (call.outcome, call.reason) == (Outcome.COMPLETED, "caller_hung_up")


@pytest.mark.parametrize("order", [*permutations((ATTACHED, ANSWERED, STARTED))])
def test_a_stream_is_found_in_whatever_order_its_news_come(order: Sequence[CallEvent]) -> None:
    assert StartStreaming(2) not in sent(ringing(), *order)
    call = after(ringing(), *order)
    assert (call.status, call.streaming_at_ms) == (CallStatus.STREAMING, STARTED.at_ms)


@pytest.mark.parametrize("lost", [STREAM_FAILED, NEVER_STARTED])
@pytest.mark.parametrize("answered_first", [True, False])
def test_a_stream_lost_while_the_phone_rings_is_replaced_on_the_answer(
    lost: StreamingFailed | MediaReported, answered_first: bool
) -> None:
    events = [ATTACHED, *([ANSWERED, lost] if answered_first else [lost, ANSWERED])]
    asked = sent(ringing(), *events)
    assert [each for each in asked if each != ReportAnswer()] == [StartStreaming(2)]
    call = after(ringing(), *events, replace(ATTACHED, stream_number=2))
    assert (call.status, call.attached_stream) == (CallStatus.STREAMING, 2)
    assert call.fault is None
    assert call.streaming_at_ms == ATTACHED.at_ms, "the stream that replaces it begins at once"


def test_nobody_answers_and_the_lost_stream_is_no_fault() -> None:
    call = after(ringing(), ATTACHED, NEVER_STARTED, STREAM_FAILED, hung_up("timeout"))
    assert (call.outcome, call.reason) == (Outcome.NO_ANSWER, "timeout")
    assert sent(ringing(), ATTACHED, NEVER_STARTED, hung_up("timeout")) == []


def test_no_stream_replaces_the_lost_one_of_a_call_that_is_to_end() -> None:
    call = after(ringing(), ATTACHED, EndRequested(EndedBy.API, 10_000))
    assert sent(call, NEVER_STARTED, ANSWERED) == []


def test_a_call_whose_media_began_was_answered_even_if_no_webhook_says_so() -> None:
    call = after(ringing(), ATTACHED, STARTED, HUNG_UP)
    assert (call.outcome, call.reason) == (Outcome.COMPLETED, "caller_hung_up")


# Transfer.


def streaming() -> Call:
    return after(dialing(), ANSWERED, ATTACHED)


def test_a_blind_transfer_takes_the_agent_off_the_line_and_the_call_goes_on() -> None:
    assert sent(streaming(), TRANSFER) == [TransferLeg()]
    call = after(streaming(), TRANSFER)
    assert sent(call, TargetInitiated(1, "v3:target")) == []
    assert sent(call, TRANSFERRED) == [StopStreaming(1), ReportTransfer()]
    assert sent(call, TRANSFERRED, MediaReported(1), TRANSFERRED) == [
        StopStreaming(1),
        ReportTransfer(),
        ReportTransfer(),
    ], "a report has a key: read once, however often it is sent"
    call = after(call, TRANSFERRED)
    assert call.status is CallStatus.TRANSFERRED
    call = after(call, MediaReported(1), TargetHungUp(1, "normal"), HUNG_UP)
    assert (call.outcome, call.reason) == (Outcome.COMPLETED, "transferred")


def test_a_target_that_is_busy_leaves_the_caller_with_the_agent() -> None:
    call = after(streaming(), TRANSFER)
    busy = TargetHungUp(1, "user_busy")
    assert sent(call, busy) == [ReportTransfer()]
    call = after(call, busy)
    assert call.status is CallStatus.STREAMING
    assert sent(call, TRANSFER) == [TransferLeg()], "another attempt"
    again = after(call, TRANSFER)
    assert again.transfer
    assert again.transfer.number == 2
    assert after(again, busy) == again, "that was the first"


def test_one_transfer_at_a_time() -> None:
    call = after(streaming(), TRANSFER)
    assert sent(streaming(), TRANSFER, TRANSFER) == [TransferLeg()] * 2, "a repetition"
    with pytest.raises(InvalidTransition, match="under way"):
        after(call, WARM_TRANSFER)
    with pytest.raises(InvalidTransition, match="under way"):
        after(call, TargetInitiated(1, "v3:target"), TRANSFER)


def test_a_refused_transfer_leaves_the_caller_with_the_agent() -> None:
    call = after(streaming(), TRANSFER)
    refused = TransferRefused(1, "not allowed")
    assert sent(call, refused) == [ReportTransfer()]
    assert after(call, refused).status is CallStatus.STREAMING


def test_the_target_of_a_warm_transfer_hears_the_summary_before_the_caller() -> None:
    call = streaming()
    steps: list[tuple[CallEvent, list[CallCommand]]] = [
        (WARM_TRANSFER, [DialTarget()]),
        (TargetInitiated(1, "v3:target"), []),
        (TargetAnswered(1, "v3:target"), [SpeakSummary()]),
        (BriefingStarted(1), []),
        (TargetBriefed(1), [BridgeLegs()]),
        (TRANSFERRED, [StopStreaming(1), ReportTransfer()]),
    ]
    for event, commands in steps:
        assert sent(call, event) == commands
        call = after(call, event)
    assert after(call, HUNG_UP).reason == "transferred"


def test_a_target_that_hangs_up_during_the_summary_leaves_the_caller_with_the_agent() -> None:
    call = after(streaming(), WARM_TRANSFER, TargetAnswered(1, "v3:target"))
    hung_up = TargetHungUp(1, "normal_clearing")
    assert sent(call, hung_up, TargetBriefed(1)) == [ReportTransfer()]


def test_a_summary_that_cannot_be_spoken_sends_the_target_away() -> None:
    call = after(streaming(), WARM_TRANSFER, TargetAnswered(1, "v3:target"))
    refused = TransferRefused(1, "speak refused")
    assert sent(call, refused) == [HangUpTarget(), ReportTransfer()]


def test_a_caller_who_hangs_up_during_a_consultation_takes_the_target_off_the_line() -> None:
    call = after(streaming(), WARM_TRANSFER, TargetInitiated(1, "v3:target"))
    assert sent(call, HUNG_UP) == [HangUpTarget()]
    assert sent(call, CONTAINER_LOST) == [HangUp(), HangUpTarget()]
    early = after(streaming(), WARM_TRANSFER, HUNG_UP)
    assert sent(early, TargetInitiated(1, "v3:target")) == [HangUpTarget()]
    assert sent(early, TargetAnswered(1, "v3:target")) == [HangUpTarget()]
    gone = after(streaming(), WARM_TRANSFER, TargetHungUp(1, "no_answer"))
    assert sent(gone, HUNG_UP) == []


def test_no_failure_of_ours_ends_a_call_that_was_transferred() -> None:
    call = after(streaming(), TRANSFER, TRANSFERRED)
    assert after(call, CONTAINER_LOST) == call
    assert sent(call, STREAM_FAILED) == []
    assert after(call, STREAM_FAILED).status is CallStatus.TRANSFERRED


def test_a_transferred_call_can_be_ended_by_the_api() -> None:
    call = after(streaming(), TRANSFER, TRANSFERRED)
    assert sent(call, EndRequested(EndedBy.API, 10_000)) == [HangUp()]
    assert after(call, EndRequested(EndedBy.API, 10_000), HUNG_UP).reason == "ended_by_api"


def test_keys_are_pressed_each_time_that_they_are_asked_for() -> None:
    digits = DigitsRequested("12#", 250)
    first, second = SendDigits("12#", 250, 1), SendDigits("12#", 250, 2)
    assert sent(streaming(), digits, DigitsSettled(1), digits) == [first, second]


def test_keys_with_the_name_of_the_latest_request_are_a_repetition_of_it() -> None:
    digits = DigitsRequested("12#", 250, "request-1")
    assert sent(streaming(), digits, DigitsSettled(1), digits) == [SendDigits("12#", 250)]


def test_the_same_keys_again_while_the_first_are_not_settled_are_a_repetition() -> None:
    digits, other = DigitsRequested("12#", 250), DigitsRequested("3", 250)
    first = SendDigits("12#", 250, 1)
    assert sent(streaming(), digits, digits) == [first, first]
    assert sent(streaming(), digits, other) == [first, SendDigits("3", 250, 2)]


# Who answered.


def placed(on_machine: OnMachine) -> Call:
    return after(outbound_call(), CallRequested(on_machine=on_machine), DialAccepted(LEG))


@pytest.mark.parametrize("told", [DETECTED, GREETED])
def test_a_machine_is_hung_up_on_where_that_is_wished(told: CallEvent) -> None:
    call = after(placed(OnMachine.HANG_UP), ANSWERED, ATTACHED)
    assert sent(call, told) == [HangUp()]
    ended = after(call, told, hung_up("normal_clearing", "caller"))
    assert (ended.outcome, ended.reason) == (Outcome.VOICEMAIL, "machine_detected")


def test_a_machine_that_is_heard_of_before_the_answer_gets_no_stream() -> None:
    assert sent(placed(OnMachine.HANG_UP), DETECTED, ANSWERED) == [HangUp()]


def test_the_container_is_told_of_a_machine_that_takes_a_message() -> None:
    call = placed(OnMachine.LEAVE_MESSAGE)
    assert sent(call, ANSWERED, DETECTED) == [StartStreaming(1)], "it will read the call"
    call = after(call, ANSWERED, ATTACHED)
    assert sent(call, DETECTED, GREETED) == [ReportMachine(), ReportMachine()]
    call = after(call, DETECTED)
    assert sent(call, DETECTED) == [ReportMachine()], "a post that failed is made up for"


def test_a_message_that_was_left() -> None:
    call = after(placed(OnMachine.LEAVE_MESSAGE), ANSWERED, ATTACHED, DETECTED, GREETED)
    left = after(call, EndRequested(EndedBy.MESSAGE_LEFT, 10_000), HUNG_UP)
    assert (left.outcome, left.reason) == (Outcome.VOICEMAIL, "message_left")
    cut_short = after(call, hung_up("normal_clearing"))
    assert (cut_short.outcome, cut_short.reason) == (Outcome.VOICEMAIL, "callee_hung_up")


def test_a_fax_takes_no_message() -> None:
    call = after(placed(OnMachine.LEAVE_MESSAGE), ANSWERED, ATTACHED)
    assert sent(call, FAX) == [HangUp()]
    assert after(call, FAX, HUNG_UP).reason == "fax_detected"


@pytest.mark.parametrize("mode", OnMachine)
@pytest.mark.parametrize("told", [UNSURE, DetectionEnded(AnsweredBy.HUMAN)])
def test_a_human_is_talked_with(mode: OnMachine, told: CallEvent) -> None:
    call = after(placed(mode), ANSWERED, ATTACHED)
    assert sent(call, told) == []
    assert after(call, told, HUNG_UP).outcome is Outcome.COMPLETED


@pytest.mark.parametrize("told", [DETECTED, FAX, GREETED])
def test_a_call_that_goes_on_all_the_same_tells_who_answered(told: CallEvent) -> None:
    for call in (placed(OnMachine.CONTINUE), dialing()):
        call = after(call, ANSWERED, ATTACHED)
        assert sent(call, told) == []
        ended = after(call, told, HUNG_UP)
        assert ended.outcome is Outcome.COMPLETED
        assert ended.detection
        assert ended.detection.answered_by is not AnsweredBy.HUMAN


# Laws.

OUTBOUND = (DialAccepted(DIALLED_LEG), INITIATED, ANSWERED, HUNG_UP)
MACHINE = (*OUTBOUND[:-1], UNSURE, DetectionEnded(AnsweredBy.HUMAN), DETECTED, GREETED, HUNG_UP)
INBOUND = (CallArrived(LEG), ANSWERED, HUNG_UP)
SECOND_FAILURE = StreamingFailed(Fault("streaming_failed", "timeout", 40_000), 2)
LAST_FAILURE = StreamingFailed(Fault("streaming_failed", "timeout", 45_000), MAX_STREAMS)
FAILURES = (STREAM_FAILED, SECOND_FAILURE, LAST_FAILURE)
STOPS = tuple(StreamingStopped(number) for number in range(1, MAX_FAILURES + 1))
LOSSES: tuple[CallEvent, ...] = (*FAILURES, *STOPS)
FOUND = CallHungUp(LEG, Hangup(FOUND_ENDED, "unknown", 89_000))

TRANSFERS = (
    (TRANSFER, TargetInitiated(1, "v3:target"), TRANSFERRED, TargetHungUp(1, "normal_clearing")),
    (TRANSFER, TargetInitiated(1, "v3:target"), TargetHungUp(1, "user_busy")),
    (TRANSFER, TransferRefused(1, "not allowed")),
    (
        WARM_TRANSFER,
        TargetInitiated(1, "v3:target"),
        TargetAnswered(1, "v3:target"),
        TargetBriefed(1),
        TRANSFERRED,
        TargetHungUp(1, "normal_clearing"),
    ),
)

BEGINNINGS: list[tuple[Call, tuple[CallEvent, ...]]] = [
    (after(outbound_call(), CallRequested()), OUTBOUND),
    *((after(outbound_call(), CallRequested(on_machine=mode)), MACHINE) for mode in OnMachine),
    (incoming(), INBOUND),
    (after(inbound_call(), CallTurnedAway(LEG)), (CallArrived(LEG), HUNG_UP)),
    # What is told of a target comes after the transfer was asked for; for the rest, in any order.
    *(
        (after(dialing(), ANSWERED, ATTACHED, asked), (ANSWERED, *told, HUNG_UP))
        for asked, *told in TRANSFERS
    ),
]
RINGING = after(outbound_call(), CallRequested(with_stream=True))


@st.composite
def histories(
    draw: st.DrawFn, ours: tuple[CallEvent, ...] = ()
) -> tuple[Call, Sequence[CallEvent], Sequence[CallEvent]]:
    """A call that has just begun; its events in their natural order; the same as they may come:
    each once or more, in any order. `ours` are events of our own side that may be among them."""
    begun, natural = draw(st.sampled_from(BEGINNINGS))
    left_out = [ANSWERED] if draw(st.booleans()) else []
    faults = [e for e in (*LOSSES, FOUND, *ours) if draw(st.booleans())]
    events: list[CallEvent] = [e for e in (*natural, *faults) if e not in left_out]
    delivered = [e for e in events for _ in range(draw(st.integers(1, 3)))]
    return begun, events, draw(st.permutations(delivered))


@st.composite
def early_histories(
    draw: st.DrawFn,
) -> tuple[Call, Sequence[CallEvent], Sequence[CallEvent]]:
    """The same of a call whose stream was asked for with the dial. The container claims it once
    at most, at any time; `start` and the report come after that, in this order."""
    left_out = [ANSWERED] if draw(st.booleans()) else []
    faults = [e for e in (*LOSSES, FOUND) if draw(st.booleans())]
    webhooks: list[CallEvent] = [e for e in (*OUTBOUND, *faults) if e not in left_out]
    delivered = draw(st.permutations([e for e in webhooks for _ in range(draw(st.integers(1, 2)))]))
    ours = draw(st.sampled_from(OF_THE_CONTAINER))
    return RINGING, [*ours, *webhooks], _interleaved(draw, delivered, ours)


OF_THE_CONTAINER: list[tuple[CallEvent, ...]] = [
    (),
    (ATTACHED,),
    (ATTACHED, NEVER_STARTED),
    (ATTACHED, STARTED),
    (ATTACHED, STARTED, MediaReported(1)),
]


def _interleaved(
    draw: st.DrawFn, theirs: Sequence[CallEvent], ours: Sequence[CallEvent]
) -> list[CallEvent]:
    places = sorted(draw(st.integers(0, len(theirs))) for _ in ours)
    mixed: list[CallEvent] = []
    for place, event in enumerate([*theirs, None]):
        mixed += [own for own, at in zip(ours, places, strict=True) if at == place]
        mixed += [event] if event else []
    return mixed


def after_all(call: Call, events: Sequence[CallEvent]) -> tuple[Call, list[CallCommand]]:
    """A container that comes for a call that has ended, or with a stream that was lost, is turned
    away, and reports nothing."""
    asked: list[CallCommand] = []
    for event in events:
        if _is_ours(event) and not call.attached_stream and not _can_attach(call, event):
            continue
        before, call = call, advance(call, event, NOW_MS)
        asked += new_commands(before, call)
    return call, asked


def _is_ours(event: CallEvent) -> bool:
    return isinstance(event, MediaAttached | MediaStarted | MediaReported)


def _can_attach(call: Call, event: CallEvent) -> bool:
    is_over = call.status in (CallStatus.ENDED, CallStatus.TRANSFERRED)
    is_claim = isinstance(event, MediaAttached)
    return is_claim and not is_over and call.lost_stream < 1


def terminal_record(call: Call) -> Call:
    """`version` counts the changes on the way, and `asked_at` says when a need arose. All the rest
    must not depend on the order of the events. (`changed_at_ms`, the third that does, is the
    switchboard's: nothing here sets it.)"""
    assert call.status is CallStatus.ENDED
    return replace(unasked(call), version=0)


@given(early_histories())
def test_every_order_of_an_early_stream_and_its_webhooks_ends_in_the_same_record(
    history: tuple[Call, Sequence[CallEvent], Sequence[CallEvent]],
) -> None:
    begun, natural, delivered = history
    ended, _ = after_all(begun, delivered)
    claimed = ended.attached_stream > 0
    expected, _ = after_all(begun, natural if claimed else [e for e in natural if not _is_ours(e)])
    assert terminal_record(ended) == terminal_record(expected)


@given(early_histories())
def test_no_order_replaces_an_early_stream_twice_or_without_need(
    history: tuple[Call, Sequence[CallEvent], Sequence[CallEvent]],
) -> None:
    begun, _, delivered = history
    _, commands = after_all(begun, delivered)
    streams = [each for each in commands if isinstance(each, StartStreaming)]
    numbers = [stream.stream_number for stream in streams]
    assert numbers == sorted(set(numbers))
    lost = {e.stream_number for e in delivered if isinstance(e, StreamingFailed | StreamingStopped)}
    lost |= {1} if NEVER_STARTED in delivered else set()
    assert all(any(1 <= each < number for each in lost) for number in numbers)


@given(histories())
def test_every_order_of_the_same_events_ends_in_the_same_record(
    history: tuple[Call, Sequence[CallEvent], Sequence[CallEvent]],
) -> None:
    begun, natural, delivered = history
    assert terminal_record(after(begun, *delivered)) == terminal_record(after(begun, *natural))


@given(histories(ours=(CONTAINER_LOST,)))
def test_no_order_opens_a_stream_twice_or_one_after_the_end(
    history: tuple[Call, Sequence[CallEvent], Sequence[CallEvent]],
) -> None:
    begun, _, delivered = history
    call, alive, asked = begun, [], list[CallCommand]()
    for event in delivered:
        refused = call.detection is not None and call.detection.ends_call
        if call.status is not CallStatus.ENDED and not refused:
            alive.append(event)
        before, call = call, advance(call, event, NOW_MS)
        asked += new_commands(before, call)
    numbers = [each.stream_number for each in asked if isinstance(each, StartStreaming)]
    assert numbers == sorted(set(numbers))
    assert all(number <= MAX_FAILURES + 1 for number in numbers)
    failed = any(isinstance(event, StreamingFailed | StreamingStopped) for event in alive)
    answered = ANSWERED in alive and not begun.answered_at_ms
    assert failed or len(numbers) == answered


@given(histories(ours=(CONTAINER_LOST,)))
def test_no_order_takes_a_status_back(
    history: tuple[Call, Sequence[CallEvent], Sequence[CallEvent]],
) -> None:
    begun, _, delivered = history
    calls = [begun]
    for event in delivered:
        calls.append(after(calls[-1], event))
    ranks = [list(CallStatus).index(call.status) for call in calls]
    assert all(earlier <= later for earlier, later in pairwise(ranks))
    assert all(
        later.version - earlier.version == (later != earlier) for earlier, later in pairwise(calls)
    )


ONE_OF_EACH: tuple[CallEvent, ...] = (
    CallRequested(),
    CallArrived(LEG),
    CallTurnedAway(LEG),
    DialAccepted(LEG),
    INITIATED,
    ANSWERED,
    ATTACHED,
    STARTED,
    MediaReported(1),
    EndRequested(EndedBy.API, 10_000),
    CONTAINER_LOST,
    STREAM_FAILED,
    StreamingLost(STREAM_FAILED.fault),
    STOPPED,
    NextStreamRequested(1),
    LastStreamEnding(1),
    StreamClosed(1),
    CallerInformed(1),
    StreamsGivenUp(1),
    AnnouncementEnded(),
    HUNG_UP,
    TRANSFER,
    TransferRefused(1, "not allowed"),
    TargetInitiated(1, "v3:target"),
    TargetAnswered(1, "v3:target"),
    BriefingStarted(1),
    TargetBriefed(1),
    TargetHungUp(1, "user_busy"),
    TRANSFERRED,
    DigitsRequested("1", 250),
    DigitsSettled(1),
    DETECTED,
    GREETED,
    BrowserCallRequested(),
    StreamRequested(),
    BrowserLeft(EndRequested(EndedBy.API, 10_000)),
)
IN_EACH_STATUS = (
    replace(outbound_call(), stream_number=1),
    replace(dialing(), stream_number=1),
    incoming(),
    after(dialing(), ANSWERED),
    replace(after(dialing(), ANSWERED, ATTACHED), stream_number=2),
    after(dialing(), ANSWERED, ATTACHED, TRANSFER, TRANSFERRED),
    after(dialing(), ANSWERED, HUNG_UP),
)


def test_one_of_each_is_tried() -> None:
    assert {type(event) for event in ONE_OF_EACH} == set(get_args(CallEvent))
    assert [call.status for call in IN_EACH_STATUS] == list(CallStatus)


@pytest.mark.parametrize(("call", "event"), [*product(IN_EACH_STATUS, ONE_OF_EACH)])
def test_an_event_moves_a_call_as_the_table_says_or_is_refused(
    call: Call, event: CallEvent
) -> None:
    if call.status is CallStatus.STREAMING and isinstance(event, MediaAttached):
        event = replace(event, stream_number=2)
    if isinstance(event, BrowserEvent):
        call = replace(call, direction=Direction.BROWSER)
    if isinstance(event, StreamingFailed):
        call = replace(call, carried_streams=0)  # a call that talked would hear a goodbye first
        event = replace(event, stream_number=MAX_STREAMS)
    target = TRANSITIONS[call.status].get(type(event))
    if target is None:
        with pytest.raises(InvalidTransition, match=f"call-1, which is {call.status}"):
            advance(call, event, NOW_MS)
    else:
        assert after(call, event).status is target


def test_the_webhook_of_the_answer_counts_whatever_was_estimated_before_or_after_it() -> None:
    estimated = CallAnswered(LEG, 1_000, is_estimated=True)
    for events in permutations((estimated, ANSWERED, CallAnswered(LEG, 6_000))):
        call = after(dialing(), *events)
        assert (call.answered_at_ms, call.is_answer_estimated) == (5_000, False)


def test_the_earliest_of_several_estimates_of_the_answer_counts() -> None:
    estimates = (CallAnswered(LEG, 2_000, True), CallAnswered(LEG, 1_000, True))
    for events in permutations(estimates):
        call = after(dialing(), *events)
        assert (call.answered_at_ms, call.is_answer_estimated) == (1_000, True)


def test_a_claim_that_is_written_twice_is_one_claim() -> None:
    claim = MediaAttached(1, "task-1", 6_000)
    claimed = after(dialing(), ANSWERED, claim)
    assert after(claimed, claim) == claimed


def test_a_claim_of_a_later_stream_may_be_repeated_too() -> None:
    lost = after(dialing(), ANSWERED, MediaAttached(1, "task-1", 6_000), StreamingStopped(1))
    claim = MediaAttached(2, "task-2", 9_000)
    claimed = after(lost, claim)
    assert after(claimed, claim) == claimed


def test_the_same_task_cannot_use_a_token_again() -> None:
    claimed = after(dialing(), ANSWERED, MediaAttached(1, "task-1", 6_000))
    with pytest.raises(InvalidTransition):
        after(claimed, MediaAttached(1, "task-1", 7_000))
