"""Which commands a call needs: laws that hold in every state that events can bring a call to."""

from collections.abc import Callable, Mapping
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonebridge.call.call import FAREWELL, Call, EndedBy, Fault, Hangup, Leg
from phonebridge.call.commands import (
    Answer,
    CallCommand,
    Dial,
    HangUp,
    InformCaller,
    Reject,
    ReportAnswer,
    ReportEnd,
    SendDigits,
    StartStreaming,
    StopStreaming,
)
from phonebridge.call.events import (
    BrowserCallRequested,
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
    StreamingStopped,
    StreamRequested,
    StreamsGivenUp,
)
from phonebridge.call.lifecycle import advance
from phonebridge.call.machine_detection import AnsweredBy, DetectionEnded, GreetingEnded, OnMachine
from phonebridge.call.owed import (
    FINAL_AFTER_MS,
    GIVEN_UP,
    REPEAT_AFTER_MS,
    commands_given_up,
    new_commands,
    owed_commands,
    wanted_commands,
)
from phonebridge.call.transfer import (
    BridgeLegs,
    BriefingStarted,
    CallTransferred,
    DialTarget,
    HangUpTarget,
    SpeakSummary,
    TargetAnswered,
    TargetBriefed,
    TargetHungUp,
    TargetInitiated,
    TransferAttempt,
    TransferLeg,
    TransferRefused,
    TransferRequested,
)
from phonebridge.errors import InvalidTransition
from tests.support.calls import LEG, NOW_MS, after, browser_call, inbound_call, outbound_call

ANSWERED = CallAnswered(LEG, 5_000)
FAULT = Fault("streaming_failed", "timeout", 40_000)
EVENTS: tuple[CallEvent, ...] = (
    CallArrived(LEG),
    DialAccepted(LEG),
    CallInitiated(LEG),
    ANSWERED,
    *(MediaAttached(number, f"task-{number}", 6_000) for number in (1, 2)),
    MediaStarted(6_500),
    *(MediaReported(number, started) for number in (1, 2) for started in (True, False)),
    *(StreamingFailed(FAULT, number) for number in (1, 2, 5)),
    *(StreamingStopped(number) for number in (1, 2, 5)),
    *(NextStreamRequested(n, has_room) for n in (1, 2, 5) for has_room in (True, False)),
    *(StreamClosed(number) for number in (1, 2, 5)),
    LastStreamEnding(2),
    *(CallerInformed(number) for number in (1, 2, 5, FAREWELL)),
    *(StreamsGivenUp(number) for number in (1, 2, 5)),
    DigitsRequested("1", 250),
    DigitsSettled(1),
    StreamRequested(),
    EndRequested(EndedBy.API, 50_000),
    CallFailed(FAULT),
    CallHungUp(LEG, Hangup("normal_clearing", "caller", 90_000)),
    DetectionEnded(AnsweredBy.MACHINE),
    GreetingEnded(),
    TransferRequested("+15550142"),
    TransferRequested("+15550142", summary="A caller from Ulm."),
    TransferRefused(1, "not allowed"),
    TargetInitiated(1, "v3:target"),
    TargetAnswered(1, "v3:target"),
    BriefingStarted(1),
    TargetBriefed(1),
    TargetHungUp(1, "user_busy"),
    CallTransferred(60_000),
)
BEGINNINGS: tuple[tuple[Call, CallEvent], ...] = (
    (browser_call(), BrowserCallRequested()),
    *((outbound_call(), CallRequested(on_machine=mode)) for mode in OnMachine),
    (outbound_call(), CallRequested(with_stream=True)),
    (inbound_call(), CallArrived(LEG)),
    (inbound_call(), CallTurnedAway(LEG)),
)


@st.composite
def steps(draw: st.DrawFn) -> list[tuple[Call, Call, int]]:
    """The call before and after each event that can happen to it, and when that was."""
    call, begun = draw(st.sampled_from(BEGINNINGS))
    events = [begun, *draw(st.lists(st.sampled_from(EVENTS), max_size=25))]
    now_ms, taken = NOW_MS, []
    for event in events:
        now_ms += draw(st.sampled_from([1, 900, 7_000, 60_000]))
        with suppress(InvalidTransition):
            before, call = call, advance(call, event, now_ms)
            taken.append((before, call, now_ms))
    return taken


def _transfer(call: Call) -> TransferAttempt:
    assert call.transfer
    return call.transfer


# What shows that a command had its effect.
CONFIRMED: Mapping[type[CallCommand], Callable[[Call], bool]] = {
    Dial: lambda call: call.leg is not None,
    Answer: lambda call: call.answered_at_ms is not None,
    Reject: lambda call: call.hangup is not None,
    HangUp: lambda call: not call.leg_may_be_up,
    StartStreaming: lambda call: call.attached_stream >= call.stream_number,
    StopStreaming: lambda call: (
        max(call.left_stream, call.closed_stream) >= call.attached_stream
        and call.closed_stream >= call.closing_stream
    ),
    InformCaller: lambda call: (
        call.announced_stream >= (FAREWELL if call.is_given_up else call.parked_stream)
    ),
    SendDigits: lambda call: call.keys is None or call.keys.settled,
    ReportAnswer: lambda call: call.streaming_at_ms is not None,
    ReportEnd: lambda call: not call.has_container,
    TransferLeg: lambda call: bool(_transfer(call).target),
    DialTarget: lambda call: bool(_transfer(call).target),
    SpeakSummary: lambda call: _transfer(call).speaking or _transfer(call).briefed,
    BridgeLegs: lambda call: call.transferred_at_ms is not None,
    HangUpTarget: lambda call: _transfer(call).target_ended,
}


@given(steps(), st.integers(0, 100_000))
def test_a_confirmed_command_is_never_owed(
    taken: list[tuple[Call, Call, int]], later_ms: int
) -> None:
    for _, call, now_ms in taken:
        for repeats in (False, True):
            for command in owed_commands(call, now_ms + later_ms, repeats=repeats):
                is_confirmed = CONFIRMED.get(type(command))
                assert is_confirmed is None or not is_confirmed(call), command


@given(steps(), st.integers(0, 100_000))
def test_what_is_owed_is_owed_once(taken: list[tuple[Call, Call, int]], later_ms: int) -> None:
    for _, call, now_ms in taken:
        commands = owed_commands(call, now_ms + later_ms, repeats=True)
        assert len(set(commands)) == len(commands)


@given(steps())
def test_a_new_need_is_owed_later_or_to_a_repetition_until_confirmed_or_given_up(
    taken: list[tuple[Call, Call, int]],
) -> None:
    for before, call, now_ms in taken:
        for command in new_commands(before, call):
            for later_ms in (0, REPEAT_AFTER_MS - 1):
                assert command not in owed_commands(call, now_ms + later_ms), "somebody is at work"
                assert command in owed_commands(call, now_ms + later_ms, repeats=True)
            assert command in owed_commands(call, now_ms + REPEAT_AFTER_MS)
            is_final = isinstance(command, GIVEN_UP)
            at_last_ms = now_ms + FINAL_AFTER_MS
            assert (command in owed_commands(call, at_last_ms, repeats=True)) is not is_final
            assert (command in commands_given_up(call, at_last_ms)) is is_final


@given(steps())
def test_a_need_stays_until_an_event_confirms_or_ends_it(
    taken: list[tuple[Call, Call, int]],
) -> None:
    """An event that changes nothing else may not put the repetition of a command off."""
    for before, call, now_ms in taken:
        for command in set(wanted_commands(before)) & set(wanted_commands(call)) - set(
            new_commands(before, call)
        ):
            is_due = command in owed_commands(before, now_ms)
            assert (command in owed_commands(call, now_ms)) is is_due


def test_a_hangup_that_came_too_early_is_owed_again() -> None:
    """A hangup may overtake the dial at Telnyx, which then does not know the leg."""
    call = after(outbound_call(), CallRequested(), DialAccepted(LEG))
    call = after(call, EndRequested(EndedBy.API, 2_000))
    unknown = advance(call, CallHungUp(LEG, Hangup("found_ended", "unknown", 3_000)), NOW_MS + 1)
    assert wanted_commands(unknown) == ()
    answered = advance(unknown, CallAnswered(LEG, 4_000), NOW_MS + 2)
    assert new_commands(unknown, answered) == (HangUp(),)


def test_no_dial_is_owed_to_a_call_that_is_to_end() -> None:
    """Nobody knows whether the first attempt rings: its webhook will tell."""
    call = after(outbound_call(), CallRequested(), EndRequested(EndedBy.API, 2_000))
    assert wanted_commands(call) == ()
    assert wanted_commands(after(call, CallInitiated(Leg("v3:leg-1")))) == (HangUp(),)


@pytest.mark.parametrize("is_before", [True, False])
def test_a_container_is_not_told_what_it_has_read_in_the_call(is_before: bool) -> None:
    attached, machine = MediaAttached(1, "task-1", 6_000), DetectionEnded(AnsweredBy.MACHINE)
    begun = after(outbound_call(), CallRequested(on_machine=OnMachine.LEAVE_MESSAGE), ANSWERED)
    told: list[CallEvent] = [machine, attached] if is_before else [attached, machine]
    call = after(begun, *told)
    assert bool(owed_commands(call, NOW_MS, repeats=True)) is not is_before
