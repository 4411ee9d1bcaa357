"""Virtual time for blocking code. Each job has its own thread, of which one runs at a time. A job
that waits lets the job with the earliest deadline run, so that every run has the same order."""

import threading
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from random import Random

Resume = Callable[[], object]


class VirtualTime:
    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.chance = Random(seed)
        self._due: list[tuple[float, int, Resume]] = []
        self._order = count()
        self._gave_way = threading.Semaphore(0)
        self._failures: list[BaseException] = []

    def start(self, job: Callable[[], object], after: float = 0.0) -> None:
        thread = threading.Thread(target=self._run, args=(job,), daemon=True)
        self._at(self.now + after, thread.start)

    def sleep(self, seconds: float) -> None:
        """Let a job sleep in virtual time."""
        turn = threading.Semaphore(0)
        self._at(self.now + seconds, turn.release)
        self._gave_way.release()
        turn.acquire()

    def run(self) -> None:
        """Run until nothing is scheduled any more. Raises what a job raised."""
        while self._due and not self._failures:
            self.now, _, resume = heappop(self._due)
            resume()
            self._gave_way.acquire()
        for failure in self._failures:
            raise failure

    def _at(self, when: float, resume: Resume) -> None:
        heappush(self._due, (when, next(self._order), resume))

    def _run(self, job: Callable[[], object]) -> None:
        try:
            job()
        except BaseException as failure:  # noqa: BLE001 - `run` raises it
            self._failures.append(failure)
        finally:
            self._gave_way.release()
