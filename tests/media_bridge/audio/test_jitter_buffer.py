"""The caller's frames: whatever way they come, the model hears them in order and in time."""

from hypothesis import given
from hypothesis import strategies as st

from media_bridge.audio.jitter_buffer import (
    CONCEALMENT_FRAMES,
    MAX_GAP_FRAMES,
    REORDER_WINDOW_SECONDS,
    JitterBuffer,
)
from media_bridge.deadline import NEVER

FRAME_SECONDS = 0.02
SILENCE = b"-"
SIZE = 4


def payload(chunk: int) -> bytes:
    return b"%04d" % chunk


def audio_of(*chunks: int) -> bytes:
    return b"".join(payload(chunk) for chunk in chunks)


def concealment_of(frames: int, after: int) -> bytes:
    """Return the audio that replaces frames which were lost after this one."""
    repeated = min(frames, CONCEALMENT_FRAMES)
    return payload(after) * repeated + SILENCE * SIZE * (frames - repeated)


def order_after(*chunks: int) -> JitterBuffer:
    order = JitterBuffer(SILENCE)
    for chunk in chunks:
        assert order.push(chunk, payload(chunk), 0.0) == payload(chunk)
    return order


def test_a_frame_in_its_turn_passes_at_once() -> None:
    order = order_after(4, 5, 6)
    assert order.next_deadline() == NEVER


def test_a_frame_without_number_passes_as_it_comes() -> None:
    order = order_after(4)
    assert order.push(6, payload(6), 0.0) == b""
    assert order.push(None, b"unnumbered", 0.0) == b"unnumbered"


def test_an_overtaken_frame_keeps_its_place() -> None:
    order = order_after(1)
    assert order.push(3, payload(3), 0.0) == b""
    assert order.push(4, payload(4), 0.02) == b""
    assert order.push(2, payload(2), 0.04) == audio_of(2, 3, 4)
    assert order.next_deadline() == NEVER
    assert order.frames_lost == 0


def test_a_gap_is_bridged_with_the_frame_before_it_when_its_patience_ends() -> None:
    order = order_after(1)
    assert order.push(4, payload(4), 1.0) == b""
    assert order.next_deadline() == 1.0 + REORDER_WINDOW_SECONDS
    assert order.due(1.0) == b""
    assert order.due(1.0 + REORDER_WINDOW_SECONDS) == audio_of(1, 1, 4)
    assert order.frames_lost == 2
    assert order.next_deadline() == NEVER
    assert order.push(5, payload(5), 1.1) == payload(5)


def test_a_long_gap_falls_silent_for_a_sound_that_goes_on_is_a_buzz() -> None:
    order = order_after(1)
    order.push(7, payload(7), 1.0)
    assert order.due(1.1) == audio_of(1, 1) + SILENCE * (3 * SIZE) + payload(7)


def test_each_gap_is_bridged_with_the_frame_before_it() -> None:
    order = order_after(1)
    for chunk in (3, 4, 6):
        order.push(chunk, payload(chunk), 1.0)
    assert order.due(1.1) == audio_of(1, 3, 4, 4, 6)
    order.push(8, payload(8), 1.12)
    assert order.due(1.2) == audio_of(6, 8)


def test_a_short_frame_before_a_gap_is_not_taken_for_more_than_it_is() -> None:
    order = JitterBuffer(SILENCE)
    order.push(1, b"ab", 0.0)
    order.push(4, payload(4), 0.0)
    assert order.due(0.1) == b"abab" + SILENCE * 4 + payload(4)


def test_every_gap_has_a_patience_of_its_own() -> None:
    order = order_after(2)
    assert order.push(4, payload(4), 0.0) == b""
    assert order.push(6, payload(6), 0.04) == b""
    assert order.push(3, payload(3), 0.05) == audio_of(3, 4)
    assert order.next_deadline() == 0.04 + REORDER_WINDOW_SECONDS
    assert order.due(REORDER_WINDOW_SECONDS) == b""
    assert order.push(5, payload(5), 0.07) == audio_of(5, 6)
    assert order.frames_lost == 0


def test_a_gap_that_is_given_up_does_not_hurry_the_next() -> None:
    order = order_after(1)
    assert order.push(3, payload(3), 0.0) == b""
    assert order.push(4, payload(4), 0.02) == b""
    assert order.push(6, payload(6), 0.04) == b""
    assert order.due(REORDER_WINDOW_SECONDS) == audio_of(1, 3, 4)
    assert order.next_deadline() == 0.04 + REORDER_WINDOW_SECONDS
    assert order.push(5, payload(5), 0.07) == audio_of(5, 6)
    assert order.frames_lost == 1


def test_a_frame_that_comes_too_late_or_twice_is_dropped() -> None:
    order = order_after(1, 2)
    assert order.push(2, payload(2), 0.0) == b""
    assert order.push(4, payload(4), 0.0) == b""
    assert order.push(4, b"again", 0.01) == b""
    assert order.next_deadline() == REORDER_WINDOW_SECONDS
    assert order.due(REORDER_WINDOW_SECONDS) == audio_of(2, 4)
    assert order.push(3, payload(3), 0.1) == b""
    assert order.frames_lost == 1


def test_numbers_that_start_anew_are_a_new_count() -> None:
    order = order_after(5000, 5001)
    assert order.push(5003, payload(5003), 0.0) == b""
    assert order.push(1, payload(1), 0.02) == b""
    assert order.push(2, payload(2), 0.04) == b""
    assert order.push(3, payload(3), 0.06) == b""
    assert order.due(0.07) == audio_of(5001, 5003)
    for number in (4, 5, 6):
        assert order.push(number, payload(number), number * 0.02) == b""
    assert order.push(7, payload(7), 0.14) == audio_of(4, 5, 6, 7)
    assert order.push(8, payload(8), 0.16) == payload(8)
    assert order.next_deadline() == NEVER
    assert order.frames_lost == 1


def test_one_wild_number_costs_nothing() -> None:
    order = order_after(7)
    assert order.push(10**9, payload(0), 0.0) == payload(0)
    for number in (8, 9, 10):
        assert order.push(number, payload(number), number * 0.02) == b""
    assert order.push(11, payload(11), 0.22) == audio_of(8, 9, 10, 11)
    assert order.push(12, payload(12), 0.24) == payload(12)
    assert order.frames_lost == 0


def test_a_copy_of_a_frame_long_past_is_dropped() -> None:
    order = order_after(100)
    for number in (1, 2, 3, 4):
        now = number * 0.02
        assert order.push(number, payload(number), now) == b"", "frames of the count go on"
        assert order.push(100 + number, payload(100 + number), now) == payload(100 + number)
    assert order.frames_lost == 0


@st.composite
def jittery_arrivals(draw: st.DrawFn) -> list[tuple[float, int]]:
    """When each frame of a stream comes: the first is in time, others at most 59 ms late."""
    count = draw(st.integers(1, 30))
    late = st.floats(0, 0.059)
    return sorted(
        (chunk * FRAME_SECONDS + (draw(late) if chunk else 0.0), chunk) for chunk in range(count)
    )


def play_out(arrivals: list[tuple[float, int]]) -> tuple[bytes, JitterBuffer]:
    order, out = JitterBuffer(SILENCE), b""
    for now, chunk in [*arrivals, (1e6, None)]:
        while (deadline := order.next_deadline()) <= now:
            out += order.due(deadline)
            following = order.next_deadline()
            assert following > deadline
        out += b"" if chunk is None else order.push(chunk, payload(chunk), now)
    return out, order


@given(jittery_arrivals())
def test_frames_that_come_within_their_patience_are_all_heard_in_order(
    arrivals: list[tuple[float, int]],
) -> None:
    out, order = play_out(arrivals)
    assert out == audio_of(*range(len(arrivals)))
    assert order.frames_lost == 0


@given(jittery_arrivals(), st.data())
def test_missing_and_repeated_frames_keep_the_clock_of_the_stream(
    arrivals: list[tuple[float, int]], data: st.DataObject
) -> None:
    kept = [each for each in arrivals if each[1] == 0 or data.draw(st.booleans())]
    repeated = [(now + 0.01, chunk) for now, chunk in kept if data.draw(st.booleans())]
    out, order = play_out(sorted(kept + repeated))
    chunks = {chunk for _, chunk in kept}
    expected, before = payload(0), 0
    for chunk in sorted(chunks - {0}):
        expected += concealment_of(chunk - before - 1, before) + payload(chunk)
        before = chunk
    assert out == expected
    assert order.frames_lost == max(chunks) + 1 - len(chunks)


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.02, 0.5]), st.integers(0, 200)), max_size=60))
def test_nothing_is_held_for_long_and_silence_is_bounded(steps: list[tuple[float, int]]) -> None:
    now, arrivals = 0.0, []
    for pause, chunk in steps:
        now += pause
        arrivals.append((now, chunk))
    out, order = play_out(arrivals)
    assert order.next_deadline() == NEVER
    assert order.frames_lost <= MAX_GAP_FRAMES * len(steps)
    assert len(out) <= len(payload(0)) * (len(steps) + order.frames_lost)


def test_silence_that_stood_in_for_lost_frames_is_not_made_up_for_again() -> None:
    order = JitterBuffer(SILENCE)
    order.push(1, payload(1), 0.0)
    assert order.fill_silence(30 * SIZE) == SILENCE * (30 * SIZE)
    assert order.push(41, payload(41), 0.8) == b""
    assert order.due(0.9) == SILENCE * (9 * SIZE) + payload(41), "39 were lost"
    assert order.frames_lost == 39


def test_a_line_that_paused_goes_on_at_once() -> None:
    order = JitterBuffer(SILENCE)
    order.push(1, payload(1), 0.0)
    order.fill_silence(30 * SIZE)
    assert order.push(2, payload(2), 0.8) == payload(2)
    order.push(4, payload(4), 0.84)
    assert order.due(0.9) == audio_of(2, 4)


_lines = st.lists(st.sampled_from(["frame", "lost", "no frame"]), max_size=300)


@given(_lines)
def test_the_audios_clock_never_runs_faster_than_time(line: list[str]) -> None:
    """A muted line, one on hold, and a lossy one. Each 20 ms are as given, and gaps are filled as
    the bridge fills them while the caller speaks."""
    order, chunk, passed, last_sign = JitterBuffer(SILENCE), 1, 0, 0.0
    for tick, what in enumerate(line):
        now = tick * 0.02
        passed += len(order.due(now))
        if what == "frame":
            passed += len(order.push(chunk, payload(chunk), now))
            last_sign = now
        elif now - last_sign >= 0.75:
            passed += len(order.fill_silence(round((now - last_sign) / 0.02) * SIZE))
            last_sign = now
        chunk += what != "no frame"
        assert passed <= (tick + 1) * SIZE
