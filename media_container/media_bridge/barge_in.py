"""Which speech of the caller stops the agent: neither the line's own first noises nor, where that
is wished, what is as short as an echo or a cough."""

from dataclasses import dataclass

LINE_SETTLES_SECONDS = 1.0
"""Clicks of a line that was just connected, and a short hello, which the greeting answers."""
DETECTION_SECONDS = 0.2
"""What a detector takes to tell of speech that began within that time."""


@dataclass(slots=True)
class BargeIn:
    """Times are seconds of the bridge's clock."""

    min_seconds: float = 0.0
    counts_at: float | None = None
    """From when on the speech that is going on will be an interruption."""
    _settled_at: float = 0.0

    def begin(self, now: float) -> None:
        """The media stream started."""
        self._settled_at = now + LINE_SETTLES_SECONDS + DETECTION_SECONDS

    def speech_started(self, began_ms: float | None, now: float) -> bool:
        """Whether it is an interruption already; `began_ms` is its place in the stream, where the
        model tells it."""
        in_first_second = began_ms is not None and began_ms < LINE_SETTLES_SECONDS * 1000
        early = LINE_SETTLES_SECONDS if in_first_second and now < self._settled_at else 0.0
        wait = max(self.min_seconds, early)
        self.counts_at = now + wait if wait else None
        return not wait

    def counts(self, now: float) -> bool:
        """Whether the speech that is going on has just become one."""
        if self.counts_at is None or now < self.counts_at:
            return False
        self.counts_at = None
        return True

    def speech_stopped(self) -> bool:
        """Whether it was one."""
        was, self.counts_at = self.counts_at is None, None
        return was
