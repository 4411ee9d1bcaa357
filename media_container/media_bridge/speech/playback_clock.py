"""How far the carrier has played what it was sent, by our clock and by the marks it gives back.

What is asked is where a `clear` sent now will stop the sound. Sound starts playing one network
delay after it was sent, and the clear takes one such delay too; so the place is the one that our
own clock tells, if only the carrier plays without a break from the moment at which sound arrives.
Where it starts later, or ran dry on a slow network, marks show it: a mark comes back when the sound
before it has been played, and at once when there is none ("Media Streaming over WebSockets"), which
tells the round trip. A mark may be held up on its way but cannot come too early: so an early one is
believed, a late one only together with the next.
"""

from collections import deque
from dataclasses import dataclass, field
from statistics import median_low

FRAME_SECONDS = 0.02
"""The carrier plays frames whole, also the one that a clear finds playing."""
MARK_MS = 300
"""A mark after the first chunk, and after so much sound each: few messages beside those of the
sound itself, and so far apart that what holds up one has mostly passed before the next."""
MAX_PENDING_MARKS = 50
"""A carrier that owes this many gives none back."""
MARK_TIMEOUT_SECONDS = 0.25
"""Seconds beyond the round trip until a mark that does not come is held to be lost."""
MAX_ROUND_TRIPS = 5
LONG_AGO = float("-inf")


@dataclass(frozen=True, slots=True)
class _Mark:
    position: int
    """Bytes sent before it."""
    sent_at: float
    alone: bool
    """Nothing was left to play: it comes back at once."""


@dataclass(slots=True)
class PlaybackClock:
    """Positions are bytes since the stream's start, times are seconds of the bridge's clock.
    A run is sound that the carrier plays without a break."""

    bytes_per_ms: int
    sent: int = 0
    confirmed: int = 0
    """The carrier has played this much, by its own word."""
    _run: int = 0
    """Where the present run begins."""
    _run_at: float = LONG_AGO
    """When it began to play, or will."""
    _run_at_earliest: float = LONG_AGO
    """The same, for a carrier that lost no time."""
    _usual_delay: float = 0.0
    """With which a run begins."""
    _unconfirmed_lag: float = 0.0
    """By how much the run's last mark was late and not believed."""
    _returned: int = 0
    """Marks of this run."""
    _marked: int = 0
    _marks_sent: int = 0
    _marks: dict[str, _Mark] = field(default_factory=dict)
    _round_trips: deque[float] = field(default_factory=lambda: deque(maxlen=MAX_ROUND_TRIPS))
    _round_trip: float | None = None
    """The usual one."""
    mark_timeout: float = 0.0
    """How long after its time a mark may come."""

    def is_empty(self, now: float) -> bool:
        """The carrier has nothing to play: what is sent last has a mark, and none is pending."""
        return not self._marks and now >= self.time_at(self.sent)

    @property
    def wants_mark(self) -> bool:
        unmarked = self.sent - self._marked
        return unmarked >= MARK_MS * self.bytes_per_ms or self._marked <= self._run

    def send(self, size: int, now: float) -> None:
        if now >= self.time_at(self.sent):
            self._run = self.sent
            self._run_at = now + self._usual_delay
            self._run_at_earliest = now
            self._unconfirmed_lag, self._returned = 0.0, 0
        # Not before it was sent.
        self._run_at_earliest = max(
            self._run_at_earliest, now - (self.sent - self._run) / self.bytes_per_ms / 1000
        )
        self._run_at = max(self._run_at, self._run_at_earliest)
        self.sent += size

    def mark(self, now: float) -> str | None:
        """The name of a mark to send now."""
        if len(self._marks) >= MAX_PENDING_MARKS:
            return None
        self._marks_sent += 1
        name = f"heard-{self._marks_sent}"
        self._marks[name] = _Mark(self.sent, now, alone=self.is_empty(now))
        self._marked = self.sent
        return name

    def mark_returned(self, name: str, now: float) -> None:
        """A mark from before a clear is not known any more: it does not tell of anything heard."""
        mark = self._marks.get(name)
        if mark is None:
            return
        # In their order: those before it are lost.
        self._marks = {each: m for each, m in self._marks.items() if m.position > mark.position}
        self.confirmed = mark.position
        if mark.alone:
            self._round_trips.append(now - mark.sent_at)
            self._round_trip = median_low(self._round_trips)
            self.mark_timeout = self._round_trip + MARK_TIMEOUT_SECONDS
        elif self._round_trip is not None and mark.position > self._run:
            expected = self.time_at(mark.position) + self._round_trip
            self._correct(now - expected - FRAME_SECONDS / 2)

    def _correct(self, late: float) -> None:
        believed = min(late, self._unconfirmed_lag)
        self._unconfirmed_lag = max(0.0, late - believed)
        self._run_at = max(self._run_at + believed, self._run_at_earliest)
        self._returned += 1
        if self._returned == 2:
            self._usual_delay = self._run_at - self._run_at_earliest

    def position(self, now: float) -> int:
        since = (now - self._run_at) * 1000 * self.bytes_per_ms
        return self._run + round(max(0, min(since, self.sent - self._run)))

    def confirmed_position(self, now: float) -> int:
        """What the carrier confirmed, or would have in time."""
        if now >= self.confirmed_at:
            return self.sent
        # To whole bytes it may round up, but not to the last one before its time has come.
        would_have = min(self.position(now - self.mark_timeout), self.sent - 1)
        return max(self.confirmed, would_have)

    @property
    def confirmed_at(self) -> float:
        """When all that was sent counts as played, confirmed or not."""
        run_seconds = (self.sent - self._run) / self.bytes_per_ms / 1000
        return self._run_at + run_seconds + self.mark_timeout

    def sendable_at(self, lead: int) -> float:
        """When the sound that is sent next is less than `lead` bytes ahead of playback. What begins
        a run is so at once."""
        ahead = self.sent - lead - self._run
        return self._run_at + ahead / self.bytes_per_ms / 1000 if ahead > 0 else LONG_AGO

    def time_at(self, position: int) -> float:
        """When playback comes, or came, to that place of the present run."""
        return self._run_at + (position - self._run) / self.bytes_per_ms / 1000

    def clear(self) -> None:
        """Nothing is left to play, and no mark sent so far tells of anything."""
        self.confirmed = self._run = self._marked = self.sent
        self._run_at = self._run_at_earliest = LONG_AGO
        self._marks.clear()
