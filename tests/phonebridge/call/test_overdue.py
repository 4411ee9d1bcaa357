"""Which calls the sweeper ends, and when."""

from dataclasses import replace

import pytest

from phonebridge.call.call import Activity, Call, CallStatus, EndedBy, Fault, Hangup
from phonebridge.call.commands import HangUp
from phonebridge.call.events import (
    CallAnswered,
    CallArrived,
    CallEvent,
    CallFailed,
    CallHungUp,
    CallRequested,
    DialAccepted,
    EndRequested,
    LegOutlivedCall,
    MediaAttached,
    MediaReported,
    StreamingFailed,
)
from phonebridge.call.lifecycle import advance
from phonebridge.call.overdue import (
    DIAL_TIMEOUT_MS,
    HEARTBEAT_TIMEOUT_MS,
    LEG_TIMEOUT_MS,
    MEDIA_TIMEOUT_MS,
    TRANSFER_TIMEOUT_MS,
    TRANSFERRED_TIMEOUT_MS,
    overdue,
)
from phonebridge.call.transfer import CallTransferred, TransferRefused, TransferRequested
from tests.support.calls import LEG, after, inbound_call, outbound_call

ANSWERED = CallAnswered(LEG, 5_000)
ATTACHED = MediaAttached(1, "task-1", 6_000)
HUNG_UP = CallHungUp(LEG, Hangup("normal_clearing", "caller", 90_000))
STREAM_FAILED = StreamingFailed(Fault("stream_failed", "connection_failed", 5_500))
SECOND_ATTACHED = MediaAttached(2, "task-2", 6_500)
CONTAINER_LOST = CallFailed(Fault("container_lost", "no heartbeat", 45_000))
MAX_CALL_MS = 1_800_000
SAVED_AT_MS = 700_000
REPORTED = MediaReported(Activity(turns=4, frames_in=4_250))


def dialing() -> Call:
    return after(outbound_call(), CallRequested(), DialAccepted(LEG))


def ringing() -> Call:
    """A stream was asked for with the dial."""
    return after(outbound_call(), CallRequested(with_stream=True), DialAccepted(LEG))


def incoming() -> Call:
    return after(inbound_call(), CallArrived(LEG))


def saved(call: Call) -> Call:
    """As the switchboard saved it, by our clock, which is not the carrier's."""
    return replace(call, changed_at_ms=SAVED_AT_MS)


def sweep(call: Call, now_ms: int, is_task_lost: bool = False) -> CallEvent | None:
    return overdue(call, is_task_lost=is_task_lost, max_call_ms=MAX_CALL_MS, now_ms=now_ms)


@pytest.mark.parametrize(
    ("call", "deadline_ms", "reason"),
    [
        (saved(dialing()), SAVED_AT_MS + DIAL_TIMEOUT_MS, "never_answered"),
        (saved(incoming()), SAVED_AT_MS + DIAL_TIMEOUT_MS, "never_answered"),
        (saved(after(ringing(), ATTACHED)), SAVED_AT_MS + DIAL_TIMEOUT_MS, "never_answered"),
        (saved(after(ringing(), ATTACHED, ANSWERED)), SAVED_AT_MS + MEDIA_TIMEOUT_MS, "no_media"),
        (saved(after(dialing(), ANSWERED)), SAVED_AT_MS + MEDIA_TIMEOUT_MS, "no_media"),
    ],
)
def test_a_call_that_nobody_hears_any_more_fails(call: Call, deadline_ms: int, reason: str) -> None:
    assert sweep(call, deadline_ms) is None
    event = sweep(call, deadline_ms + 1)
    assert isinstance(event, CallFailed)
    assert event.fault.reason == reason
    assert after(call, event).status is CallStatus.ENDED


@pytest.mark.parametrize("carriers_ms", [-1, 0, 5_000, 10**15])
def test_no_clock_of_the_carriers_hastens_or_delays_the_sweeper(carriers_ms: int) -> None:
    arrived = after(inbound_call(created_at_ms=carriers_ms), CallArrived(LEG))
    answered = after(arrived, CallAnswered(LEG, carriers_ms))
    failed = CallFailed(replace(CONTAINER_LOST.fault, at_ms=carriers_ms))
    for call, patience_ms in (
        (arrived, DIAL_TIMEOUT_MS),
        (answered, MEDIA_TIMEOUT_MS),
        (after(answered, failed), LEG_TIMEOUT_MS),
    ):
        assert sweep(saved(call), SAVED_AT_MS + patience_ms) is None
        assert sweep(saved(call), SAVED_AT_MS + patience_ms + 1) is not None


def test_a_call_fails_once_its_task_is_lost() -> None:
    call = after(dialing(), ANSWERED, ATTACHED)
    assert sweep(call, 600_000) is None
    event = sweep(call, 600_000, is_task_lost=True)
    assert isinstance(event, CallFailed)
    assert event.fault.reason == "container_lost"
    assert after(call, event).status is CallStatus.ENDED


def test_a_call_that_a_task_has_just_taken_is_given_the_time_of_a_heartbeat() -> None:
    call = after(dialing(), ANSWERED, ATTACHED)
    at_ms = ATTACHED.at_ms + HEARTBEAT_TIMEOUT_MS
    assert sweep(call, at_ms, is_task_lost=True) is None
    assert sweep(call, at_ms + 1, is_task_lost=True) is not None


def test_no_heartbeat_helps_a_call_over_its_longest_time() -> None:
    call = after(dialing(), ANSWERED, ATTACHED)
    now_ms = 6_000 + MAX_CALL_MS + MEDIA_TIMEOUT_MS + 1
    event = sweep(call, now_ms)
    assert isinstance(event, CallFailed)
    assert event.fault.reason == "max_duration_overrun"


def test_a_leg_that_outlives_its_call_is_hung_up_until_it_ends() -> None:
    call = saved(after(dialing(), ANSWERED, CONTAINER_LOST))
    assert sweep(call, SAVED_AT_MS + LEG_TIMEOUT_MS) is None
    event = sweep(call, SAVED_AT_MS + LEG_TIMEOUT_MS + 1)
    assert event == LegOutlivedCall()
    assert advance(call, event)[1] == (HangUp(),)
    assert sweep(after(call, HUNG_UP), 10_000_000) is None


@pytest.mark.parametrize("is_task_lost", [False, True])
def test_a_call_whose_media_are_over_is_hung_up_until_it_ends(is_task_lost: bool) -> None:
    """The webhook that told of its end got lost; its container beats for others, or has gone."""
    call = saved(after(dialing(), ANSWERED, ATTACHED, REPORTED))
    at_ms = SAVED_AT_MS + LEG_TIMEOUT_MS
    assert sweep(call, at_ms, is_task_lost) is None
    event = sweep(call, at_ms + 1, is_task_lost)
    assert event == LegOutlivedCall()
    assert advance(call, event) == (call, (HangUp(),))
    assert sweep(after(call, HUNG_UP), 10_000_000) is None


def test_a_report_does_not_tell_which_of_two_streams_is_over() -> None:
    call = saved(after(dialing(), ANSWERED, STREAM_FAILED, SECOND_ATTACHED, REPORTED))
    at_ms = SAVED_AT_MS + LEG_TIMEOUT_MS + 1
    assert sweep(call, at_ms) is None


@pytest.mark.parametrize("settled", [(), (TransferRefused(1, "nothing was heard of it"),)])
def test_a_call_that_may_have_been_transferred_outlives_its_media(
    settled: tuple[CallEvent, ...],
) -> None:
    told = (ANSWERED, ATTACHED, TransferRequested("+15550142"), *settled, REPORTED)
    call = saved(after(dialing(), *told))
    at_ms = SAVED_AT_MS + LEG_TIMEOUT_MS + 1
    assert sweep(call, at_ms) is None


@pytest.mark.parametrize("transferred", [False, True])
def test_a_hangup_of_which_nothing_came_is_asked_for_again(transferred: bool) -> None:
    handed_over = (TransferRequested("+15550142"), CallTransferred(60_000)) if transferred else ()
    told = (ANSWERED, ATTACHED, *handed_over, EndRequested(EndedBy.API))
    call = saved(after(dialing(), *told))
    at_ms = SAVED_AT_MS + LEG_TIMEOUT_MS
    assert sweep(call, at_ms) is None
    event = sweep(call, at_ms + 1)
    assert event == EndRequested(EndedBy.API)
    assert advance(call, event) == (call, (HangUp(),))
    assert sweep(after(call, HUNG_UP), 10_000_000) is None


def test_a_transferred_call_needs_no_container_but_ends_before_the_carriers_longest() -> None:
    told = (ANSWERED, ATTACHED, TransferRequested("+15550142"), CallTransferred(60_000))
    call = saved(after(dialing(), *told))
    assert sweep(call, SAVED_AT_MS + TRANSFERRED_TIMEOUT_MS) is None
    event = sweep(call, SAVED_AT_MS + TRANSFERRED_TIMEOUT_MS + 1)
    assert event == EndRequested(EndedBy.MAX_DURATION)


def test_a_transfer_of_which_nothing_is_heard_is_given_up_and_the_call_goes_on() -> None:
    call = saved(after(dialing(), ANSWERED, ATTACHED, TransferRequested("+15550142")))
    at_ms = SAVED_AT_MS + TRANSFER_TIMEOUT_MS
    assert sweep(call, at_ms) is None
    event = sweep(call, at_ms + 1)
    assert event == TransferRefused(1, "nothing was heard of it")
    given_up = after(call, event)
    assert given_up.status is CallStatus.STREAMING
    assert sweep(given_up, at_ms + 1) is None
