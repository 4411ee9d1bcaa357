"""Whether there is room for one more call, asked before anybody's phone rings."""

from collections.abc import Callable

from phonebridge.errors import AtCapacity
from phonebridge.liveness import Watch
from phonebridge.storage.fleet import DynamoFleet, Fleet

MEMORY_MS = 1_000
"""How long one look at the fleet serves the requests of this process."""


class Admission:
    def __init__(self, fleet: DynamoFleet, now_ms: Callable[[], int]) -> None:
        self._fleet = fleet
        self._now_ms = now_ms
        self._seen = Fleet((), 0)
        self._seen_at_ms: int | None = None
        self._watch = Watch()
        self._admitted_since = 0

    def admit(self) -> None:
        """Raises `AtCapacity`. A call that was dialled then must be reserved its place.

        Where no container has told of itself for a day there is nothing to judge by, and the call
        goes out: its own record will say that no media came. Other processes admit calls at the
        same time, so a few too many may pass; their media sockets are refused then.
        """
        fleet = self._look()
        if not fleet.tasks:
            return
        if fleet.room(self._watch.silent_tasks()) <= self._admitted_since:
            raise AtCapacity()
        self._admitted_since += 1

    def _look(self) -> Fleet:
        now_ms = self._now_ms()
        if self._seen_at_ms is None or now_ms - self._seen_at_ms >= MEMORY_MS:
            # A read that fails leaves an empty watch.
            watch, self._watch = self._watch, self._watch.after_failure()
            fleet = self._fleet.look()
            self._watch = watch.after_read(fleet.counts, now_ms / 1000)
            self._seen, self._seen_at_ms, self._admitted_since = fleet, now_ms, 0
        return self._seen
