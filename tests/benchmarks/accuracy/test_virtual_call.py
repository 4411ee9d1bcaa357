"""Checks that the instrument itself detects an error when there is one."""

import pytest

from benchmarks.accuracy.virtual_call import Answer, Line, Network, VirtualCall

HALF_SECOND = (Answer((2000,), interrupted_after_ms=500), Answer((100,)))


def errors_ms(line: Line) -> list[float]:
    call = VirtualCall(line, HALF_SECOND, seed=1)
    call.run()
    return call.errors_ms


def test_a_clear_that_arrives_at_once_cuts_within_a_frame() -> None:
    [error] = errors_ms(Line(Network(0), Network(0)))
    assert abs(error) <= 20


@pytest.mark.parametrize("late_ms", [100, 200])
def test_a_carrier_that_starts_late_unseen_makes_an_error_of_as_much(late_ms: int) -> None:
    line = Line(Network(0), Network(0), starts_late_ms=late_ms, gives_marks_back=False)
    [error] = errors_ms(line)
    assert error == pytest.approx(late_ms, abs=20)


def test_what_was_heard_whole_is_no_error() -> None:
    call = VirtualCall(Line(), (Answer((500, 500)), Answer((200,))), seed=1)
    call.run()
    assert call.errors_ms == []
    assert [history.heard_ms for history in call.histories.values()] == [500, 500, 200]
