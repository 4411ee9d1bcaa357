"""Which calls are silent for too long, and what the carrier's answer about a leg means."""

from dataclasses import replace

import pytest

from phonebridge.call.call import (
    FAREWELL,
    FOUND_ENDED,
    MAX_FAILURES,
    MAX_STREAMS,
    Call,
    CallStatus,
    EndedBy,
    Fault,
    Hangup,
)
from phonebridge.call.commands import HangUp, StartStreaming, StopStreaming
from phonebridge.call.events import (
    AnnouncementEnded,
    CallAnswered,
    CallArrived,
    CallerInformed,
    CallEvent,
    CallFailed,
    CallHungUp,
    CallRequested,
    DialAccepted,
    DigitsRequested,
    DigitsSettled,
    EndRequested,
    MediaAttached,
    MediaReported,
    NextStreamRequested,
    StreamClosed,
    StreamingFailed,
    StreamingStopped,
    StreamsGivenUp,
)
from phonebridge.call.overdue import (
    ANNOUNCED_TIMEOUT_MS,
    ANSWER_TIMEOUT_MS,
    HANGUP_TIMEOUT_MS,
    MEDIA_TIMEOUT_MS,
    NO_NEWS,
    PARKED_TIMEOUT_MS,
    RETRY_MS,
    RING_TIMEOUT_MS,
    STREAM_TIMEOUT_MS,
    TRANSFER_TIMEOUT_MS,
    TRANSFERRED_TIMEOUT_MS,
    LegState,
    event_of_leg_state,
    event_of_live_leg,
    overdue,
)
from phonebridge.call.owed import FINAL_AFTER_MS
from phonebridge.call.streams import MAX_FAILURES_AT_ONCE
from phonebridge.call.transfer import (
    CallTransferred,
    TargetInitiated,
    TransferRefused,
    TransferRequested,
)
from tests.support.calls import LEG, NOW_MS, after, inbound_call, outbound_call, sent

ANSWERED = CallAnswered(LEG, 5_000)
ATTACHED = MediaAttached(1, "task-1", 6_000)
HUNG_UP = CallHungUp(LEG, Hangup("normal_clearing", "caller", 90_000))
STREAM_FAILED = StreamingFailed(Fault("stream_failed", "connection_failed", 5_500))
ONE_MORE_STREAM = (NextStreamRequested(1), StreamClosed(1))
SECOND_ATTACHED = MediaAttached(2, "task-2", 6_500)
REQUESTED = TransferRequested("+15550142")
MAX_CALL_MS = 1_800_000
SAVED_AT_MS = NOW_MS + 700_000
REPORTED = MediaReported(1)


def dialing() -> Call:
    return after(outbound_call(), CallRequested(), DialAccepted(LEG))


def incoming() -> Call:
    return after(inbound_call(), CallArrived(LEG))


def as_saved(call: Call) -> Call:
    """Return the call as the switchboard saved it, by our clock, which is not the carrier's."""
    return replace(call, changed_at_ms=SAVED_AT_MS)


def sweep(
    call: Call,
    now_ms: int,
    is_task_lost: bool = False,
    has_room: bool = True,
    fallback: str = "",
) -> CallEvent | None:
    return overdue(
        call,
        is_task_lost=is_task_lost,
        max_call_ms=MAX_CALL_MS,
        now_ms=now_ms,
        has_room=has_room,
        fallback=fallback,
    )


@pytest.mark.parametrize(
    ("call", "timeout_ms", "reason"),
    [
        (incoming(), ANSWER_TIMEOUT_MS, "never_answered"),
        (after(dialing(), ANSWERED, *ONE_MORE_STREAM), MEDIA_TIMEOUT_MS, "no_media"),
    ],
)
def test_a_call_that_nobody_hears_any_more_fails(call: Call, timeout_ms: int, reason: str) -> None:
    call = as_saved(call)
    assert sweep(call, SAVED_AT_MS + timeout_ms) is None
    event = sweep(call, SAVED_AT_MS + timeout_ms + 1)
    assert isinstance(event, CallFailed)
    assert event.fault.reason == reason
    assert after(call, event).status is CallStatus.ENDED


def test_a_call_whose_first_stream_nobody_claims_gets_one_more() -> None:
    """The table may have been unavailable when a container wanted to claim it, or the webhook of
    its failure got lost."""
    call = as_saved(after(dialing(), ANSWERED))
    late_ms = SAVED_AT_MS + STREAM_TIMEOUT_MS + 1
    assert sweep(call, late_ms - 1) is None
    for has_room in (True, False):
        event = sweep(call, late_ms, has_room=has_room)
        assert event == NextStreamRequested(1)
        assert sent(call, event, StreamClosed(1)) == [StopStreaming(1), StartStreaming(2)]


def test_a_leg_that_is_alive_after_the_longest_ringing_was_answered() -> None:
    call = as_saved(dialing())
    assert sweep(call, SAVED_AT_MS + RING_TIMEOUT_MS) is None
    event = sweep(call, SAVED_AT_MS + RING_TIMEOUT_MS + 1)
    assert event == CallAnswered(LEG, call.created_at_ms, is_estimated=True)
    assert event_of_live_leg(LegState(True, started_at_ms=2_000), event) == CallAnswered(
        LEG, 2_000, is_estimated=True
    )


def test_a_dial_that_nothing_confirms_is_given_up() -> None:
    call = replace(after(outbound_call(), CallRequested()), changed_at_ms=NOW_MS)
    assert sweep(call, NOW_MS + FINAL_AFTER_MS - 1) is None
    event = sweep(call, NOW_MS + FINAL_AFTER_MS)
    assert isinstance(event, CallFailed)
    assert event.fault.reason == "dial_failed"


@pytest.mark.parametrize("carriers_ms", [-1, 0, 5_000, 10**15])
def test_no_clock_of_the_carriers_hastens_or_delays_the_sweep(carriers_ms: int) -> None:
    arrived = after(inbound_call(created_at_ms=carriers_ms), CallArrived(LEG))
    answered = after(arrived, CallAnswered(LEG, carriers_ms))
    for call, timeout_ms in ((arrived, ANSWER_TIMEOUT_MS), (answered, STREAM_TIMEOUT_MS)):
        assert sweep(as_saved(call), SAVED_AT_MS + timeout_ms) is None
        assert sweep(as_saved(call), SAVED_AT_MS + timeout_ms + 1) is not None


def test_a_call_whose_task_is_lost_gets_its_next_stream() -> None:
    call = after(dialing(), ANSWERED, ATTACHED)
    assert sweep(call, 600_000) is None
    assert sweep(call, 600_000, is_task_lost=True) == NextStreamRequested(1)


def test_a_stream_that_no_task_claims_in_time_is_replaced_too() -> None:
    call = after(dialing(), ANSWERED, ATTACHED, StreamingStopped(1))
    assert sweep(call, NOW_MS + STREAM_TIMEOUT_MS - 1, is_task_lost=True) is None
    assert sweep(call, NOW_MS + STREAM_TIMEOUT_MS) == NextStreamRequested(2)
    claimed = after(call, SECOND_ATTACHED)
    assert sweep(claimed, NOW_MS + STREAM_TIMEOUT_MS) is None


def test_a_call_that_no_task_can_take_waits_for_one_and_then_fails() -> None:
    call = after(dialing(), ANSWERED, ATTACHED)
    event = sweep(call, 600_000, is_task_lost=True, has_room=False)
    assert event == NextStreamRequested(1, has_room=False)
    waiting = as_saved(after(call, event, StreamClosed(1), CallerInformed(1)))
    assert sweep(waiting, SAVED_AT_MS + PARKED_TIMEOUT_MS, has_room=False) is None
    assert sweep(waiting, SAVED_AT_MS + PARKED_TIMEOUT_MS) == NextStreamRequested(1)
    given_up = sweep(waiting, SAVED_AT_MS + PARKED_TIMEOUT_MS + 1, has_room=False)
    assert given_up == StreamsGivenUp(1)
    assert_ends_after_farewell(after(waiting, given_up), "container_lost")


def assert_ends_after_farewell(call: Call, reason: str) -> None:
    told = as_saved(after(call, CallerInformed(FAREWELL)))
    assert sweep(told, SAVED_AT_MS + ANNOUNCED_TIMEOUT_MS) is None
    spoken = as_saved(after(told, AnnouncementEnded(FAREWELL)))
    for ended, at_ms in ((spoken, SAVED_AT_MS), (told, SAVED_AT_MS + ANNOUNCED_TIMEOUT_MS + 1)):
        failed = sweep(ended, at_ms)
        assert isinstance(failed, CallFailed)
        assert failed.fault.reason == reason


def test_the_last_streams_are_not_wasted_on_a_balancer_that_has_noticed_nothing() -> None:
    call = after(dialing(), ANSWERED, ATTACHED, StreamingStopped(1))
    for number in range(2, MAX_FAILURES_AT_ONCE + 1):
        call = as_saved(after(call, replace(STREAM_FAILED, stream_number=number)))
    for number in range(MAX_FAILURES_AT_ONCE + 1, MAX_FAILURES + 1):
        call = after(call, replace(STREAM_FAILED, stream_number=number), CallerInformed(number))
        call, at_ms = as_saved(call), SAVED_AT_MS + RETRY_MS.get(number, 0)
        assert sweep(call, at_ms - 1) is None
        assert sweep(call, at_ms) == NextStreamRequested(number)
        call = after(call, NextStreamRequested(number))
    last = MAX_FAILURES + 1
    call = as_saved(after(call, replace(STREAM_FAILED, stream_number=last), CallerInformed(last)))
    assert isinstance(sweep(call, SAVED_AT_MS + ANNOUNCED_TIMEOUT_MS + 1), CallFailed)


def test_a_caller_whom_no_task_can_take_is_connected_with_the_fallback_once() -> None:
    waits = (NextStreamRequested(1, has_room=False), StreamClosed(1), CallerInformed(1))
    call = as_saved(after(dialing(), ANSWERED, ATTACHED, *waits))
    at_ms = SAVED_AT_MS + ANNOUNCED_TIMEOUT_MS
    assert sweep(call, at_ms, has_room=False, fallback="+15550142") is None
    event = sweep(call, at_ms + 1, has_room=False, fallback="+15550142")
    assert event == TransferRequested("+15550142")
    spoken = as_saved(after(call, AnnouncementEnded()))
    assert sweep(spoken, SAVED_AT_MS, has_room=False, fallback="+15550142") == event
    refused = as_saved(after(spoken, event, TransferRefused(1, "busy")))
    given_up = sweep(refused, SAVED_AT_MS, has_room=False, fallback="+15550142")
    assert given_up == StreamsGivenUp(1)
    assert_ends_after_farewell(after(refused, given_up), "container_lost")


def test_the_fallback_is_tried_although_a_transfer_of_the_agents_has_failed() -> None:
    earlier = (TransferRequested("+15550143"), TransferRefused(1, "busy"))
    call = after(dialing(), ANSWERED, ATTACHED, *earlier, NextStreamRequested(1, has_room=False))
    call = as_saved(after(call, StreamClosed(1), CallerInformed(1), AnnouncementEnded()))
    event = sweep(call, SAVED_AT_MS, has_room=False, fallback="+15550142")
    assert event == TransferRequested("+15550142")


def call_without_further_streams() -> Call:
    call = after(dialing(), ANSWERED, ATTACHED)
    for number in range(2, MAX_STREAMS + 1):
        call = after(call, StreamingStopped(number - 1), MediaAttached(number, "task-2", 7_000))
    return as_saved(after(call, StreamingStopped(MAX_STREAMS), CallerInformed(MAX_STREAMS)))


def test_a_call_that_has_lost_its_last_stream_fails_after_a_goodbye() -> None:
    waiting = call_without_further_streams()
    assert sweep(waiting, SAVED_AT_MS + ANNOUNCED_TIMEOUT_MS) is None
    failed = sweep(waiting, SAVED_AT_MS + ANNOUNCED_TIMEOUT_MS + 1)
    assert isinstance(failed, CallFailed)
    assert failed.fault.reason == "media_lost"


def test_the_end_of_the_goodbye_is_not_waited_for_once_the_carrier_has_reported_it() -> None:
    waiting = as_saved(after(call_without_further_streams(), AnnouncementEnded()))
    assert isinstance(sweep(waiting, SAVED_AT_MS), CallFailed)
    asked = TransferRequested("+15550142")
    assert sweep(waiting, SAVED_AT_MS, fallback="+15550142") == asked
    refused = as_saved(after(waiting, asked, TransferRefused(1, "busy")))
    given_up = sweep(refused, SAVED_AT_MS, fallback="+15550142")
    assert given_up == StreamsGivenUp(MAX_STREAMS)
    assert_ends_after_farewell(after(refused, given_up), "media_lost")


def call_that_heard_nothing() -> Call:
    failed = (replace(STREAM_FAILED, stream_number=n) for n in range(1, MAX_STREAMS + 1))
    return as_saved(after(dialing(), ANSWERED, *failed, CallerInformed(MAX_STREAMS)))


def test_a_caller_who_never_heard_the_agent_hears_a_goodbye_before_the_call_fails() -> None:
    waiting = call_that_heard_nothing()
    assert sweep(waiting, SAVED_AT_MS + ANNOUNCED_TIMEOUT_MS) is None
    spoken = as_saved(after(waiting, AnnouncementEnded(MAX_STREAMS)))
    for over, at_ms in ((waiting, SAVED_AT_MS + ANNOUNCED_TIMEOUT_MS + 1), (spoken, SAVED_AT_MS)):
        failed = sweep(over, at_ms)
        assert isinstance(failed, CallFailed)
        ended = after(over, failed)
        assert (ended.status, ended.reason) == (CallStatus.ENDED, STREAM_FAILED.fault.reason)
        assert sent(over, failed) == [HangUp()]


def test_a_caller_who_never_heard_the_agent_is_connected_with_the_fallback_once() -> None:
    spoken = as_saved(after(call_that_heard_nothing(), AnnouncementEnded(MAX_STREAMS)))
    asked = TransferRequested("+15550142")
    assert sweep(spoken, SAVED_AT_MS, fallback="+15550142") == asked
    refused = as_saved(after(spoken, asked, TransferRefused(1, "busy")))
    given_up = sweep(refused, SAVED_AT_MS, fallback="+15550142")
    assert given_up == StreamsGivenUp(MAX_STREAMS)
    told = as_saved(after(refused, given_up, CallerInformed(FAREWELL), AnnouncementEnded(FAREWELL)))
    failed = sweep(told, SAVED_AT_MS, fallback="+15550142")
    assert isinstance(failed, CallFailed)
    assert after(told, failed).reason == STREAM_FAILED.fault.reason


def parked_calls() -> tuple[Call, ...]:
    waits = (NextStreamRequested(1, has_room=False), StreamClosed(1), CallerInformed(1))
    return call_that_heard_nothing(), as_saved(after(dialing(), ANSWERED, ATTACHED, *waits))


@pytest.mark.parametrize("parked", parked_calls())
def test_a_fallback_of_which_nothing_is_heard_is_given_up(parked: Call) -> None:
    asked = after(parked, TransferRequested("+15550142"))
    ringing = after(asked, TargetInitiated(1, "v3:target"))
    for call, timeout_ms in ((asked, FINAL_AFTER_MS), (ringing, TRANSFER_TIMEOUT_MS + 1)):
        call = replace(call, changed_at_ms=NOW_MS)
        assert sweep(call, NOW_MS + timeout_ms - 1, fallback="+15550142") is None
        assert isinstance(sweep(call, NOW_MS + timeout_ms, fallback="+15550142"), TransferRefused)


def test_a_stop_that_nothing_confirms_is_given_up_and_the_next_stream_begins() -> None:
    call = after(dialing(), ANSWERED, ATTACHED, NextStreamRequested(1))
    event = sweep(call, NOW_MS + FINAL_AFTER_MS)
    assert event == StreamClosed(1)
    assert sent(call, event) == [StartStreaming(2)]


def test_no_heartbeat_helps_a_call_over_its_longest_time() -> None:
    call = after(dialing(), ANSWERED, ATTACHED)
    event = sweep(call, ATTACHED.at_ms + MAX_CALL_MS + MEDIA_TIMEOUT_MS + 1)
    assert isinstance(event, CallFailed)
    assert event.fault.reason == "max_duration_overrun"


def test_a_leg_that_outlives_its_media_gets_its_next_stream() -> None:
    """Its container has left it, and no webhook reports that it is over. The carrier was asked."""
    call = as_saved(after(dialing(), ANSWERED, ATTACHED, REPORTED))
    at_ms = SAVED_AT_MS + HANGUP_TIMEOUT_MS
    assert sweep(call, at_ms) is None
    assert sweep(call, at_ms + 1) == NextStreamRequested(1)
    assert sweep(after(call, HUNG_UP), 10_000_000) is None
    is_to_end = as_saved(after(call, EndRequested(EndedBy.AGENT, 8_000)))
    assert sweep(is_to_end, at_ms + 1) is None


def test_the_report_of_an_old_stream_does_not_tell_that_the_media_are_over() -> None:
    call = as_saved(after(dialing(), ANSWERED, STREAM_FAILED, SECOND_ATTACHED, REPORTED))
    assert sweep(call, SAVED_AT_MS + HANGUP_TIMEOUT_MS + 1) is None
    over = as_saved(after(call, MediaReported(2)))
    assert sweep(over, SAVED_AT_MS + HANGUP_TIMEOUT_MS + 1) is not None


@pytest.mark.parametrize("settled", [(), (TransferRefused(1, NO_NEWS),)])
def test_a_call_that_may_have_been_transferred_outlives_its_media(
    settled: tuple[CallEvent, ...],
) -> None:
    rings = TargetInitiated(1, "v3:target")
    call = as_saved(after(dialing(), ANSWERED, ATTACHED, REQUESTED, rings, *settled, REPORTED))
    assert sweep(call, SAVED_AT_MS + HANGUP_TIMEOUT_MS + 1) is None


def test_a_transferred_call_needs_no_container_but_ends_before_the_carriers_longest() -> None:
    call = as_saved(after(dialing(), ANSWERED, ATTACHED, REQUESTED, CallTransferred(60_000)))
    at_ms = SAVED_AT_MS + TRANSFERRED_TIMEOUT_MS
    assert sweep(call, at_ms) is None
    assert sweep(call, at_ms + 1) == EndRequested(EndedBy.MAX_DURATION, at_ms + 1)


def test_a_transfer_that_the_carrier_does_not_confirm_is_given_up_and_the_call_goes_on() -> None:
    requested = after(dialing(), ANSWERED, ATTACHED, REQUESTED)
    call, at_ms = replace(requested, changed_at_ms=NOW_MS), NOW_MS + FINAL_AFTER_MS
    assert sweep(call, at_ms - 1) is None
    event = sweep(call, at_ms)
    assert event == TransferRefused(1, NO_NEWS)
    given_up = after(call, event)
    assert given_up.status is CallStatus.STREAMING
    assert sweep(given_up, at_ms + 1) is None


def test_a_transfer_of_whose_target_nothing_more_is_heard_is_given_up() -> None:
    rings = TargetInitiated(1, "v3:target")
    call = as_saved(after(dialing(), ANSWERED, ATTACHED, REQUESTED, rings))
    at_ms = SAVED_AT_MS + TRANSFER_TIMEOUT_MS
    assert sweep(call, at_ms) is None
    assert sweep(call, at_ms + 1) == TransferRefused(1, NO_NEWS)


def test_keys_that_nothing_confirms_are_given_up() -> None:
    call = after(dialing(), ANSWERED, ATTACHED, DigitsRequested("1", 250))
    assert sweep(call, NOW_MS + FINAL_AFTER_MS) == DigitsSettled(1)


# What the carrier says of a leg.


def test_a_leg_that_is_alive_has_not_ended() -> None:
    assert event_of_leg_state(dialing(), LegState(is_alive=True), NOW_MS) is None


@pytest.mark.parametrize("call", [dialing(), after(dialing(), ANSWERED, ATTACHED)])
def test_a_leg_that_is_over_ended_when_the_carrier_says(call: Call) -> None:
    state = LegState(is_alive=False, ended_at_ms=77_000)
    event = event_of_leg_state(call, state, NOW_MS)
    assert event == CallHungUp(LEG, Hangup(FOUND_ENDED, "unknown", 77_000))
    assert after(call, event).ended_at_ms == 77_000


def test_a_leg_without_a_time_of_its_end_is_over_once_it_can_ring_no_more() -> None:
    """The answer to a dial says that the leg is not alive."""
    state = LegState(is_alive=False)
    call = dialing()
    rings_until_ms = call.created_at_ms + RING_TIMEOUT_MS
    assert event_of_leg_state(call, state, rings_until_ms) is None
    assert event_of_leg_state(call, state, rings_until_ms + 1) is not None
    assert event_of_leg_state(after(call, ANSWERED), state, rings_until_ms) is not None
