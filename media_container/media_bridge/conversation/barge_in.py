"""Which speech of the caller stops the agent: neither the line's own first noises nor, where that
is wished, what is as short as an echo or a cough."""

from dataclasses import dataclass

from media_bridge.deadline import NEVER

LINE_SETTLES_SECONDS = 1.0
"""Clicks of a line that was just connected, and a short hello, which the greeting answers."""
DETECTION_SECONDS = 0.2
"""What a detector takes to tell of speech that began within that time."""


@dataclass(slots=True)
class BargeIn:
    """Times are seconds of the bridge's clock, and milliseconds of the sound that the model got,
    where it tells them: sound may come later than it was spoken, and faster."""

    min_seconds: float = 0.0
    counts_at: float = NEVER
    """From when on the speech that is going on will be an interruption."""
    was_interruption: bool = True
    """The last speech, as far as is known."""
    _settled_at: float = 0.0
    _enough_ms: float = 0.0

    def begin(self, now: float) -> None:
        """The media stream started."""
        self._settled_at = now + LINE_SETTLES_SECONDS + DETECTION_SECONDS

    def speech_started(self, started_ms: float | None, now: float, guards: bool = True) -> bool:
        """Whether it is an interruption already; `guards` says that there is something to guard."""
        in_first_second = started_ms is not None and started_ms < LINE_SETTLES_SECONDS * 1000
        early = LINE_SETTLES_SECONDS if in_first_second and now < self._settled_at else 0.0
        wait = max(self.min_seconds, early) if guards else 0.0
        self.counts_at = now + wait if wait else NEVER
        self._enough_ms = (started_ms or 0.0) + wait * 1000
        self.was_interruption = not wait
        return not wait

    def counts(self, now: float) -> bool:
        """Whether the speech that is going on has just become one."""
        return now >= self.counts_at and self._count()

    def speech_stopped(self, ended_ms: float | None) -> bool:
        """Whether it turns out to have been one."""
        is_open, self.counts_at = self.counts_at < NEVER, NEVER
        lasted = ended_ms is not None and ended_ms >= self._enough_ms
        return is_open and lasted and self._count()

    def _count(self) -> bool:
        self.counts_at = NEVER
        self.was_interruption = True
        return True
