"""Whether the process was frozen."""

from media_bridge.runtime.pulse import MAX_GAP_SECONDS, Pulse


def pulse_with_doubts() -> tuple[Pulse, list[str]]:
    pulse, doubts = Pulse(), list[str]()
    pulse.on_doubt = lambda: doubts.append("doubt")
    return pulse, doubts


def test_a_loop_that_beats_every_second_is_trusted() -> None:
    pulse, doubts = pulse_with_doubts()
    for now in range(100):
        assert now <= pulse.late_at
        pulse.beat(float(now))
    assert doubts == []


def test_a_gap_that_is_noticed_by_the_loop_or_by_a_frame_is_doubted_once() -> None:
    pulse, doubts = pulse_with_doubts()
    pulse.beat(1.0)
    pulse.beat(1.1 + MAX_GAP_SECONDS)
    pulse.doubt()
    pulse.beat(2.1 + MAX_GAP_SECONDS)
    assert doubts == ["doubt"]
    assert pulse.is_doubtful
    assert pulse.late_at < 0, "nothing is handled"


def test_trust_lasts_until_the_next_gap() -> None:
    pulse, doubts = pulse_with_doubts()
    pulse.doubt()
    pulse.trust(100.0)
    assert not pulse.is_doubtful
    pulse.beat(101.0)
    pulse.beat(101.1 + MAX_GAP_SECONDS)
    assert doubts == ["doubt"] * 2
