"""Blocking code takes no real time."""

import pytest

from tests.support.virtual_time import VirtualTime


def test_jobs_run_when_they_are_due_whatever_order_they_were_started_in() -> None:
    time, seen = VirtualTime(seed=1), list[tuple[float, str]]()

    def wait(name: str, seconds: float) -> None:
        seen.append((time.now, name))
        time.sleep(seconds)
        seen.append((time.now, name))

    time.start(lambda: wait("late", 1.0), after=5.0)
    time.start(lambda: wait("early", 7.0))
    time.run()

    assert seen == [(0.0, "early"), (5.0, "late"), (6.0, "late"), (7.0, "early")]


def test_of_two_that_are_due_at_once_the_first_to_ask_is_first() -> None:
    time, seen = VirtualTime(seed=1), list[int]()

    def wait(number: int) -> None:
        time.sleep(1.0)
        seen.append(number)

    for number in range(10):
        time.start(lambda number=number: wait(number))  # type: ignore[misc]
    time.run()

    assert seen == list(range(10))


def test_a_job_may_start_others() -> None:
    time, seen = VirtualTime(seed=1), list[float]()
    time.start(lambda: time.start(lambda: seen.append(time.now), after=2.0), after=1.0)
    time.run()
    assert seen == [3.0]


def test_what_goes_wrong_in_a_job_ends_the_run() -> None:
    time = VirtualTime(seed=1)
    time.start(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        time.run()
