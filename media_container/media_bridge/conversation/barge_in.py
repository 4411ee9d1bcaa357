"""Decides which speech of the caller interrupts the agent. The first noises of a line do not.
Sounds as short as an echo or a cough do not either, if so configured."""

from dataclasses import dataclass

from media_bridge.deadline import NEVER

LINE_SETTLES_SECONDS = 1.0
"""A line clicks when it is connected, and callers say a short hello that the greeting answers."""
DETECTION_SECONDS = 0.2
"""A detector reports speech after about this time."""


@dataclass(slots=True)
class BargeIn:
    """Its milliseconds are those of the model's audio clock, because sound may arrive later and
    faster than it was spoken."""

    min_seconds: float = 0.0
    counts_at: float = NEVER
    """The speech that goes on becomes an interruption at that time."""
    was_interruption: bool = True
    """The latest speech was an interruption, as far as is known."""
    _settled_at: float = 0.0
    _enough_ms: float = 0.0

    def begin(self, now: float) -> None:
        """The media stream started."""
        self._settled_at = now + LINE_SETTLES_SECONDS + DETECTION_SECONDS

    def speech_started(self, started_ms: float | None, now: float, guards: bool = True) -> bool:
        """Return whether the speech is an interruption already. It always is if there is nothing to
        guard."""
        in_first_second = started_ms is not None and started_ms < LINE_SETTLES_SECONDS * 1000
        early = LINE_SETTLES_SECONDS if in_first_second and now < self._settled_at else 0.0
        wait = max(self.min_seconds, early) if guards else 0.0
        self.counts_at = now + wait if wait else NEVER
        self._enough_ms = (started_ms or 0.0) + wait * 1000
        self.was_interruption = not wait
        return not wait

    def counts(self, now: float) -> bool:
        """Return whether the speech that goes on has just become an interruption."""
        return now >= self.counts_at and self._count()

    def speech_stopped(self, ended_ms: float | None) -> bool:
        """Return whether the speech turns out to have been an interruption."""
        is_open, self.counts_at = self.counts_at < NEVER, NEVER
        lasted = ended_ms is not None and ended_ms >= self._enough_ms
        return is_open and lasted and self._count()

    def _count(self) -> bool:
        self.counts_at = NEVER
        self.was_interruption = True
        return True
