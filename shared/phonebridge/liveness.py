"""Decides whether media tasks are alive, and whether they still carry their calls. This module is
pure.

Each task increments a counter. An observer compares the counts that it reads by its own clock, so
clocks of two machines are never compared. What an observer could not see proves nothing. So a
failed read, or a long pause between two reads, restarts all of its timers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

HEARTBEAT_SECONDS = 1.0
SILENCE_SECONDS = 6.0
"""A living task misses five heartbeats in this time. A caller whose task is dead hears nothing for
at most ten seconds: this time, the rest of a heartbeat, and what a new stream takes."""
MAX_READ_GAP_SECONDS = 3.0
"""Two reads further apart than this do not show that the table could be reached in between."""
CONFIRMING_HEARTBEATS = 2
"""The first heartbeat after a read may have been composed before it. The second one was not."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """`since` is when the observer first read this count."""

    count: int
    since: float


@dataclass(frozen=True, slots=True)
class Watch:
    """What one observer knows of the tasks. Times are seconds of the observer's own clock."""

    sightings: Mapping[str, Sighting] = field(default_factory=dict)
    read_at: float | None = None

    def after_read(
        self, counts: Mapping[str, int], now: float, max_gap_seconds: float = MAX_READ_GAP_SECONDS
    ) -> "Watch":
        """`counts` has every task that was read."""
        has_gap = self.read_at is None or not 0 <= now - self.read_at <= max_gap_seconds
        known = {} if has_gap else self.sightings
        seen = {
            task_id: known[task_id]
            if task_id in known and known[task_id].count == count
            else Sighting(count, now)
            for task_id, count in counts.items()
        }
        return Watch(seen, now)

    def after_failure(self) -> "Watch":
        """The table could not be read, or the observer could not write to it."""
        return Watch()

    def silent_tasks(self, timeout_seconds: float = SILENCE_SECONDS) -> frozenset[str]:
        """Return the tasks whose count stayed the same for that long, up to the last read."""
        if self.read_at is None:
            return frozenset()
        return frozenset(
            task_id
            for task_id, seen in self.sightings.items()
            if self.read_at - seen.since >= timeout_seconds
        )


@dataclass(frozen=True, slots=True)
class CarriedCalls:
    """One read of a task: its heartbeat first, then its list of calls."""

    count: int
    expected_version: int
    """The version of the list that the heartbeat announces."""
    version: int
    call_keys: frozenset[str]

    def lacks(self, call_key: str) -> bool:
        """Return False while the announced list is on its way to the table."""
        return self.version >= self.expected_version and call_key not in self.call_keys


def is_missing(call_key: str, first: CarriedCalls, second: CarriedCalls) -> bool:
    """Return whether a living task lost a call that it had before the first read. A task lists a
    call before it claims it. So the call is listed in the first heartbeat that was composed after
    the claim.

    A task lists a call before it claims it. So the call is listed in the first heartbeat that was
    composed after the claim.
    """
    beats = second.count - first.count
    lacked = first.lacks(call_key) and second.lacks(call_key)
    return lacked and beats >= CONFIRMING_HEARTBEATS
