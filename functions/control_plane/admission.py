"""Checks whether there is room for another call before any phone rings."""

from collections.abc import Callable

from phonebridge.errors import AtCapacity
from phonebridge.liveness import Watch
from phonebridge.storage.fleet import DynamoFleet, Fleet

MEMORY_MS = 1_000
"""How long a snapshot of the fleet is reused by the requests of this process."""


class Admission:
    def __init__(self, fleet: DynamoFleet, now_ms: Callable[[], int]) -> None:
        self._fleet = fleet
        self._now_ms = now_ms
        self._seen = Fleet((), 0)
        self._seen_at_ms: int | None = None
        self._watch = Watch()
        self._admitted_since = 0

    def admit(self) -> None:
        """Check that there is room for another call. Raises `AtCapacity`.

        After dialling, reserve a place for the call. If no container has sent a heartbeat for a
        day, every call is admitted, and its record says that no media came. Other processes admit
        calls at the same time, so a few too many may pass. Their media sockets are refused later.
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
