"""An event loop whose clock stands still while the machine does not serve the test.

A test and the programs that it runs in its own process share one loop. With the wall clock, a
timeout could expire only because the machine was busy with other processes, although the process
was ready to act. So each step of the loop counts for MAX_STEP_SECONDS at most.

A program in a process of its own can follow the clock of the test (`paced_container.py`). Otherwise
its time would pass while the test is not served, and it would take that for silence.
"""

import asyncio
import selectors
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import c_double, sizeof
from mmap import mmap
from pathlib import Path
from selectors import SelectorKey

MAX_STEP_SECONDS = 0.01
MAX_LEAD_SECONDS = 0.1
"""How far the clock of another process may run ahead. The sound of a call may be as far ahead."""


class PatientSelector(selectors.DefaultSelector):
    """Waits in short steps, so that a step in which the process was not served counts little."""

    def __init__(self) -> None:
        super().__init__()
        self._now = self._stepped_at = time.monotonic()
        self._shown: list[c_double] = []

    def now(self) -> float:
        return self._now + self._passed()

    def show(self, clock: c_double) -> None:
        """Write the time into this shared memory from now on, at each step."""
        clock.value = self._now
        self._shown.append(clock)

    def hide(self, clock: c_double) -> None:
        self._shown.remove(clock)

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        self._step()
        due = None if timeout is None else self._now + timeout
        while True:
            wait = MAX_STEP_SECONDS if due is None else min(MAX_STEP_SECONDS, due - self._now)
            ready = super().select(wait)
            self._step()
            if ready or (due is not None and self._now >= due):
                return ready

    def _passed(self) -> float:
        return min(time.monotonic() - self._stepped_at, MAX_STEP_SECONDS)

    def _step(self) -> None:
        self._now, self._stepped_at = self.now(), time.monotonic()
        for clock in self._shown:
            clock.value = self._now


class FollowingSelector(PatientSelector):
    """Its clock never runs more than MAX_LEAD_SECONDS ahead of the one that is shown."""

    def __init__(self, leader: c_double) -> None:
        super().__init__()
        self._leader = leader
        self._leader_at = leader.value
        self._lead = 0.0

    def _passed(self) -> float:
        return max(
            0.0, min(super()._passed(), MAX_LEAD_SECONDS - self._lead_at(self._leader.value))
        )

    def _step(self) -> None:
        before, leader_at = self._now, self._leader.value
        lead = self._lead_at(leader_at)
        super()._step()
        self._lead, self._leader_at = lead + self._now - before, leader_at

    def _lead_at(self, leader_at: float) -> float:
        """Return how far this clock is ahead. What it has missed, it does not make up for."""
        return max(0.0, self._lead - (leader_at - self._leader_at))


class PatientLoop(asyncio.SelectorEventLoop):
    def __init__(self, selector: PatientSelector | None = None) -> None:
        self._patient = selector or PatientSelector()
        super().__init__(self._patient)

    def time(self) -> float:
        return self._patient.now()

    @contextmanager
    def clock_shown_in(self, path: Path) -> Iterator[None]:
        """Let other processes follow the clock of this loop."""
        path.write_bytes(bytes(sizeof(c_double)))
        clock = shared_clock(path)
        self._patient.show(clock)
        try:
            yield
        finally:
            self._patient.hide(clock)


def following_loop(path: Path) -> PatientLoop:
    """Return a loop whose clock follows the one that another process shows in this file."""
    return PatientLoop(FollowingSelector(shared_clock(path)))


def shared_clock(path: Path) -> c_double:
    with path.open("r+b") as file:
        return c_double.from_buffer(mmap(file.fileno(), sizeof(c_double)))
