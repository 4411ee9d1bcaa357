"""Lines that stall, pause and repeat themselves: time never runs ahead, and no word is lost."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_bridge.audio.codecs import Codec
from media_bridge.audio.jitter_buffer import REORDER_WINDOW_SECONDS, JitterBuffer
from media_bridge.audio.late_frames import CATCH_UP_TIMEOUT_SECONDS, MAX_PAUSE_PIECES, LateFrames
from media_bridge.commands import AppendAudio, BridgeCommand
from media_bridge.events import (
    CallerAudio,
    CallerSpeechStarted,
    CallerSpeechStopped,
    DeadlinePassed,
)
from media_bridge.speech.caller_audio import GAP_TIMEOUT_SECONDS, STALL_LOOKS
from tests.support.bridges import frame, ready_call, sound
from tests.support.playbook import At, Playbook, pass_time

FRAME_SECONDS = 0.02
FRAME_BYTES = 160
SPEECH, PAUSE = 0x22, 0xFF
STALL_SECONDS = STALL_LOOKS * GAP_TIMEOUT_SECONDS


def bytes_in(seconds: float) -> float:
    return seconds * 8000


@dataclass(frozen=True, slots=True)
class Line:
    """What became of each frame of a caller, in the order of its numbers: when it came."""

    arrivals: tuple[tuple[float, int, int], ...] = field(repr=False)
    is_numbered: bool = True

    def events(self) -> list[tuple[float, CallerAudio]]:
        return [
            (at, CallerAudio(bytes([code]) * FRAME_BYTES, chunk if self.is_numbered else None))
            for at, chunk, code in sorted(self.arrivals, key=lambda each: each[0])
        ]


def stalled_line(seconds: float, code: int = SPEECH) -> Line:
    """A caller speaks for 8 s. After 1 s the line stalls, and then delivers everything at once."""
    end = 1.0 + seconds
    times = (number * FRAME_SECONDS for number in range(400))
    return Line(tuple((end if 1.0 < at < end else at, n, code) for n, at in enumerate(times)))


def forward(line: Line, speaks: bool = True) -> list[tuple[float, bytes]]:
    """What the model gets, and when. The caller counts as speaking all the time."""
    bridge = ready_call().bridge
    if speaks:
        bridge.handle(CallerSpeechStarted("item-c"), 0.0)
    got: list[tuple[float, BridgeCommand]] = []
    now = 0.0
    for at, event in line.events():
        got += pass_time(bridge, now, at)
        now = at
        got += [(now, command) for command in bridge.handle(event, now)]
    got += pass_time(bridge, now, now + 1.0)
    return [(at, each.audio) for at, each in got if isinstance(each, AppendAudio)]


def join(got: Iterable[tuple[float, bytes]]) -> bytes:
    return b"".join(audio for _, audio in got)


# Stalls.


@pytest.mark.parametrize("seconds", [0.3, 0.6, 0.76, 1.2, 1.45])
def test_a_sentence_on_a_line_that_stalls_stays_whole(seconds: float) -> None:
    spoken = join(forward(stalled_line(seconds)))
    assert spoken == sound(20, SPEECH) * 400, "no silence in it, and nothing twice"


@pytest.mark.parametrize("seconds", [1.6, 2.0, 3.0])
def test_after_a_long_stall_speech_follows_as_time_allows_and_pauses_are_dropped(
    seconds: float,
) -> None:
    """The caller speaks again after a long pause; both came too late."""
    line = stalled_line(seconds)
    quiet_from = round((1.0 + seconds + 1.0) / FRAME_SECONDS)
    arrivals = tuple((at, n, SPEECH if n < quiet_from else PAUSE) for at, n, _ in line.arrivals)
    got = join(forward(Line(arrivals)))
    assert got.count(SPEECH) == quiet_from * FRAME_BYTES, "no speech was lost"
    assert len(got) <= bytes_in(8.0 + 1.0 + REORDER_WINDOW_SECONDS + FRAME_SECONDS)


def test_speech_that_waits_too_long_is_dropped() -> None:
    """Otherwise, a delay on a line with nothing but noise would last as long as the call."""
    late = LateFrames(JitterBuffer(b"\xff"), Codec.PCMU, began=0.0)
    assert late.fill(0.0, 3.0) == sound(3000, 0xFF)
    burst = [late.push(None, sound(20), 3.0) for _ in range(150)]
    assert b"".join(burst) == sound(60), "as much as the reorder window allows"
    now = 3.0 + CATCH_UP_TIMEOUT_SECONDS
    late.push(None, sound(20), now)
    assert late.push(None, b"\x33" * 160, now + 0.02)[-160:] == b"\x33" * 160


def test_a_pause_in_late_speech_is_shortened_and_not_cut_out() -> None:
    late = LateFrames(JitterBuffer(b"\xff"), Codec.PCMU, began=0.0)
    late.fill(0.0, 3.0)
    got = b""
    for code in [SPEECH] * 10 + [PAUSE] * 100 + [SPEECH] * 10:
        got += late.push(None, bytes([code]) * FRAME_BYTES, 3.0)
    for tick in range(100):
        got += late.due(3.0 + tick * FRAME_SECONDS)
    word = sound(200, SPEECH)
    assert got == word + sound(20 * MAX_PAUSE_PIECES, PAUSE) + word


def test_a_turn_still_ends_on_a_line_that_sends_nothing_more() -> None:
    assert (
        ready_call()
        >> frame(1)
        << AppendAudio(frame(1).payload)
        >> CallerSpeechStarted("item-c")
        >> At(STALL_SECONDS)
        << AppendAudio(sound(1500, 0xFF))
        >> CallerSpeechStopped("item-c")
        >> At(10.0)
    )


def paused_once() -> Playbook:
    """A line that sent nothing while its caller was silent, and nothing for that time later."""
    story = ready_call()
    assert story >> frame(1) << AppendAudio(frame(1).payload) >> At(3.0)
    for number in range(2, 40):
        story.now = round(3.0 + (number - 2) * FRAME_SECONDS, 3)
        assert story >> frame(number) << AppendAudio(frame(number).payload)
    return story


def test_on_a_line_that_has_paused_before_a_turn_ends_sooner() -> None:
    story = paused_once()
    last = story.now
    assert (
        story
        >> CallerSpeechStarted("item-c")
        >> At(last + GAP_TIMEOUT_SECONDS - 0.01)
        >> At(last + GAP_TIMEOUT_SECONDS)
        << AppendAudio(sound(750, 0xFF))
    )


def test_a_line_that_held_frames_up_gets_the_time_of_a_stall_again() -> None:
    story = paused_once()
    assert story >> CallerSpeechStarted("item-c")
    assert story >> At(story.now + 1.0) << AppendAudio(sound(750, 0xFF))
    for number in range(40, 90):
        story.bridge.handle(frame(number), story.now)
    last = story.now
    story.now = last + GAP_TIMEOUT_SECONDS
    [held_up] = story.bridge.handle(DeadlinePassed(), story.now)
    assert isinstance(held_up, AppendAudio)
    assert set(held_up.audio) == {SPEECH}, "what was held up follows, and no silence"
    assert story >> At(last + STALL_SECONDS - 0.01)


def test_after_a_pause_frames_pass_at_once() -> None:
    story = paused_once()
    last = story.now
    assert story >> CallerSpeechStarted("item-c") >> At(last + 1.0) << AppendAudio(sound(750, 0xFF))
    assert story >> frame(40) << AppendAudio(frame(40).payload)


def test_a_gap_in_silence_is_not_filled_and_what_was_held_up_passes_whole() -> None:
    assert join(forward(stalled_line(5.0), speaks=False)) == sound(20, SPEECH) * 400


# The law.

_fates = st.sampled_from(["comes", "comes", "comes", "late", "lost", "twice", "not sent"])


@st.composite
def lines(draw: st.DrawFn) -> Line:
    """Draw the effects of a network on a caller who sends a frame each 20 ms. The frames of a stall
    come together at its end. Some frames overtake each other by 100 ms, and some come twice or
    never. While the line pauses, none is sent."""
    stalls = draw(st.lists(st.tuples(st.floats(0, 8), st.floats(0.1, 5)), max_size=3))
    pauses = draw(st.lists(st.tuples(st.floats(0, 8), st.floats(0.1, 5)), max_size=2))
    is_numbered = draw(st.booleans())
    fates = draw(st.lists(_fates, min_size=30, max_size=30))
    code = draw(st.sampled_from([SPEECH, PAUSE, 0x60]))
    arrivals: list[tuple[float, int, int]] = []
    chunk = 0
    for number in range(500):
        sent = number * FRAME_SECONDS
        if any(begin <= sent < begin + length for begin, length in pauses):
            continue
        fate = fates[number % len(fates)] if number else "comes"
        chunk += fate != "not sent"
        if fate in ("lost", "not sent"):
            continue
        held_until = [begin + length for begin, length in stalls if begin <= sent < begin + length]
        at = max([sent, *held_until])
        if fate == "late":
            at += 0.1
        arrivals.append((at, chunk, code if number % 70 < 50 else PAUSE))
        if fate == "twice" and is_numbered:
            arrivals.append((at + 0.5, chunk, code))
    return Line(tuple(arrivals), is_numbered)


@given(lines())
def test_the_model_never_gets_more_sound_than_time_has_passed(line: Line) -> None:
    passed = 0
    for at, audio in forward(line):
        passed += len(audio)
        elapsed = at + FRAME_SECONDS + REORDER_WINDOW_SECONDS
        assert passed <= bytes_in(elapsed) + 1
