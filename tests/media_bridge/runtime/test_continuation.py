"""What the container of a later stream knows of the streams before it."""

from dataclasses import replace

from media_bridge.runtime.continuation import (
    MIN_SECONDS_LEFT,
    NOTHING_BEFORE,
    Continuation,
    continuation_of,
)
from phonebridge.call.call import Call
from phonebridge.call.config import CallConfig
from phonebridge.call.events import CallAnswered, CallRequested, DialAccepted, MediaAttached
from phonebridge.call.resume import Resume
from phonebridge.call.turn import Speaker, Turn
from phonebridge.storage.call_store import CallRecord
from tests.support.calls import LEG, after, outbound_call

ANSWERED = (CallRequested(), DialAccepted(LEG), CallAnswered(LEG, 5_000))


def turn(number: int) -> Turn:
    return Turn(number=number, who=Speaker.CALLER, text="Hello.", started_ms=0, ended_ms=900)


def record(call: Call, turns: int = 0) -> CallRecord:
    said = tuple(turn(number) for number in range(1, turns + 1))
    resume = Resume(is_muted=True)
    return CallRecord(call, CallConfig(), said, timeline=(), resume=resume)


def streaming() -> Call:
    return after(outbound_call(), *ANSWERED, MediaAttached(1, "task-1", 6_000))


def continuation(turns: int, now_ms: int) -> Continuation:
    found = continuation_of(record(streaming(), turns), now_ms)
    assert found
    return found


def test_a_call_that_no_stream_has_carried_has_no_past() -> None:
    assert continuation_of(record(after(outbound_call(), *ANSWERED)), 9_000) is None


def test_the_turns_and_what_else_was_stored_become_the_history() -> None:
    before = continuation(45, 66_000)
    assert len(before.turns) == 45
    assert before.resume.is_muted


def test_turns_are_timed_from_the_start_of_the_first_stream() -> None:
    said = continuation(3, 66_000).in_call(turn(1))
    assert (said.number, said.started_ms, said.ended_ms) == (1, 60_000, 60_900)
    assert NOTHING_BEFORE.in_call(turn(1)) == turn(1)


def test_the_longest_duration_counts_from_the_first_stream() -> None:
    config = replace(CallConfig(), max_duration_seconds=100)
    assert continuation(0, 66_000).rest_of(config).max_duration_seconds == 40
    assert continuation(0, 600_000).rest_of(config).max_duration_seconds == MIN_SECONDS_LEFT
