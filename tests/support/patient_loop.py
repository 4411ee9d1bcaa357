"""An event loop whose clock stands still while the machine does not serve the test.

A test and the programs it runs in its own process share one loop. Were its clock the wall clock, a
timeout could expire although everybody in the process was ready to act, only because the machine
was busy with other processes. So each step of the loop counts for MAX_STEP_SECONDS at most.
"""

import asyncio
import selectors
import time
from selectors import SelectorKey

MAX_STEP_SECONDS = 0.01


class PatientSelector(selectors.DefaultSelector):
    """Waits in short steps, so that a step in which the process was not served counts little."""

    def __init__(self) -> None:
        super().__init__()
        self._now = self._stepped_at = time.monotonic()

    def now(self) -> float:
        return self._now + min(time.monotonic() - self._stepped_at, MAX_STEP_SECONDS)

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        self._step()
        due = None if timeout is None else self._now + timeout
        while True:
            wait = MAX_STEP_SECONDS if due is None else min(MAX_STEP_SECONDS, due - self._now)
            ready = super().select(wait)
            self._step()
            if ready or (due is not None and self._now >= due):
                return ready

    def _step(self) -> None:
        self._now, self._stepped_at = self.now(), time.monotonic()


class PatientLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._patient = PatientSelector()
        super().__init__(self._patient)

    def time(self) -> float:
        return self._patient.now()
