"""Where playback is: by the clock alone, and as marks put it right."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.accuracy.virtual_call import Answer, Line, Network, VirtualCall
from media_bridge.speech.playback_clock import MARK_MS, MAX_PENDING_MARKS, PlaybackClock

MS = 8
WITHIN_MS = 60


def mark(playback: PlaybackClock, now: float) -> str:
    name = playback.mark(now)
    assert name is not None
    return name


def speaking(round_trip: float = 0.1) -> PlaybackClock:
    """Two seconds have just been sent over a line on which a mark needs so long."""
    playback = PlaybackClock(MS)
    probe = mark(playback, 0.0)
    playback.send(2000 * MS, 0.0)
    playback.mark_returned(probe, round_trip)
    return playback


def test_by_the_clock_as_much_was_played_as_time_has_passed() -> None:
    playback = PlaybackClock(MS)
    assert playback.position(0.0) == 0
    playback.send(300 * MS, 0.0)
    assert playback.position(0.1) == 100 * MS
    playback.send(100 * MS, 0.2)
    assert playback.position(0.3) == 300 * MS
    assert playback.position(9.0) == 400 * MS


def test_what_is_sent_after_a_pause_begins_to_play_then() -> None:
    playback = PlaybackClock(MS)
    playback.send(100 * MS, 0.0)
    playback.send(100 * MS, 5.0)
    assert playback.position(5.0) == 100 * MS
    assert playback.position(5.05) == 150 * MS


def test_a_mark_that_comes_back_in_time_changes_nothing() -> None:
    playback = speaking(round_trip=0.1)
    half = PlaybackClock(MS)
    half.send(2000 * MS, 0.0)
    playback.mark_returned(mark(playback, 0.0), 2.1)
    assert playback.position(1.0) == half.position(1.0) == 1000 * MS
    assert playback.confirmed == playback.sent


def test_two_marks_tell_that_the_carrier_began_late_and_the_next_run_knows() -> None:
    playback = PlaybackClock(MS)
    probe = mark(playback, 0.0)
    names = []
    for _ in range(2):
        playback.send(100 * MS, 0.0)
        names.append(mark(playback, 0.0))
    playback.send(800 * MS, 0.0)
    playback.mark_returned(probe, 0.1)
    for number, name in enumerate(names, 1):
        playback.mark_returned(name, 0.1 + 0.15 + number * 0.1)
    assert playback.position(0.65) == pytest.approx(500 * MS, abs=10 * MS)
    playback.send(1000 * MS, 9.0)
    assert playback.position(9.5) == pytest.approx(1350 * MS, abs=10 * MS)


def test_a_late_mark_is_believed_only_with_the_next() -> None:
    playback = PlaybackClock(MS)
    names = [mark(playback, 0.0)]
    for _ in range(3):
        playback.send(100 * MS, 0.0)
        names.append(mark(playback, 0.0))
    playback.send(700 * MS, 0.0)
    playback.mark_returned(names[0], 0.05)
    playback.mark_returned(names[1], 0.15)
    playback.mark_returned(names[2], 0.55)
    assert playback.position(0.6) == 600 * MS
    playback.mark_returned(names[3], 0.65)
    assert playback.position(0.65) == pytest.approx(350 * MS, abs=10 * MS)


def test_no_mark_makes_the_carrier_faster_than_sound() -> None:
    playback = speaking()
    playback.mark_returned(mark(playback, 0.0), 0.1)
    assert playback.position(0.5) == 500 * MS


def test_a_mark_from_before_a_clear_confirms_nothing() -> None:
    playback = speaking()
    old = mark(playback, 0.0)
    playback.clear()
    playback.send(1000 * MS, 1.0)
    confirmed = playback.confirmed
    playback.mark_returned(old, 1.1)
    playback.mark_returned("a stranger's", 1.1)
    assert playback.confirmed == confirmed
    assert playback.position(1.5) == confirmed + 500 * MS


def test_with_marks_what_is_sure_waits_for_them_but_not_for_ever() -> None:
    playback = speaking(round_trip=0.1)
    end = mark(playback, 0.0)
    assert playback.confirmed_position(2.0) < playback.sent
    assert playback.confirmed_position(2.0 + playback.mark_timeout) == playback.sent
    playback.mark_returned(end, 2.1)
    assert playback.confirmed_position(2.1) == playback.sent


def test_marks_are_few() -> None:
    playback = speaking()
    mark(playback, 0.0)
    assert not playback.wants_mark
    playback.send((MARK_MS - 1) * MS, 0.0)
    assert not playback.wants_mark
    playback.send(MS, 0.0)
    assert playback.wants_mark


def test_a_carrier_that_gives_none_back_gets_no_more() -> None:
    playback = speaking()
    while playback.mark(0.0):
        pass
    assert playback.mark(0.0) is None
    playback.clear()
    assert [playback.mark(0.0) is None for _ in range(MAX_PENDING_MARKS + 1)].count(True) == 1


_ways = st.builds(Network, delay_ms=st.floats(0, 150), jitter_ms=st.floats(0, 20))
_lines = st.builds(
    Line, _ways, _ways, starts_late_ms=st.sampled_from([0.0, 20.0]), gives_marks_back=st.booleans()
)
_answers = st.builds(
    Answer,
    items_ms=st.lists(st.integers(1, 3000), min_size=1, max_size=4).map(tuple),
    burst=st.sampled_from([1.1, 3.0, 10.0, 100.0]),
    interrupted_after_ms=st.none() | st.integers(0, 6000),
    by_api=st.booleans(),
    ends_late=st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(_lines, st.lists(_answers, min_size=1, max_size=4).map(tuple), st.integers(0, 1000))
def test_what_the_model_believes_it_said_is_what_the_caller_heard(
    line: Line, answers: tuple[Answer, ...], seed: int
) -> None:
    """Return the truncation of every item, including items that were played completely or not at
    all."""
    call = VirtualCall(line, answers, seed)
    call.run()
    assert all(abs(error) <= WITHIN_MS for error in call.errors_ms)
