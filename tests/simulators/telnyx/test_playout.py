import numpy as np

from simulators.audio.speech import Samples
from simulators.telnyx.playout import PlayoutQueue


def tone(milliseconds: int, value: int = 1000) -> Samples:
    return np.full(milliseconds * 8, value, np.int16)


def test_audio_is_played_in_real_time_frames_and_then_silence() -> None:
    playout = PlayoutQueue()
    playout.add(tone(30))
    first, _ = playout.play()
    second, _ = playout.play()
    third, _ = playout.play()
    assert np.array_equal(first, tone(20))
    assert np.array_equal(second, np.concatenate((tone(10), tone(10, 0))))
    assert np.array_equal(third, tone(20, 0))


def test_a_mark_comes_back_when_the_media_before_it_has_finished() -> None:
    playout = PlayoutQueue()
    playout.add(tone(40))
    assert playout.mark("end") == []
    playout.add(tone(20))
    assert [playout.play()[1] for _ in range(4)] == [[], [], ["end"], []]


def test_a_mark_waits_for_the_frame_that_is_sounding() -> None:
    playout = PlayoutQueue()
    playout.add(tone(20))
    playout.play()
    assert playout.mark("end") == []
    assert playout.play()[1] == ["end"]


def test_a_mark_on_an_empty_queue_comes_back_at_once() -> None:
    assert PlayoutQueue().mark("now") == ["now"]


def test_clear_silences_at_once_and_gives_all_marks_back() -> None:
    playout = PlayoutQueue()
    playout.add(tone(20))
    playout.mark("first")
    playout.add(tone(1000))
    playout.mark("second")
    playout.play()
    assert playout.clear() == ["first", "second"]
    heard, passed = playout.play()
    assert not heard.any()
    assert passed == []
    assert playout.mark("after") == ["after"]


def test_how_long_something_was_heard_counts_from_the_last_silence() -> None:
    playout = PlayoutQueue()
    playout.add(tone(60))
    for _ in range(3):
        playout.play()
    assert playout.sounded_ms == 60
    playout.play()
    assert playout.sounded_ms == 0
    playout.add(tone(60))
    playout.play()
    assert playout.sounded_ms == 20
    playout.clear()
    assert playout.sounded_ms == 0
