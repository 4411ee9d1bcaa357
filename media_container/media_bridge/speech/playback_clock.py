"""The playback clock: estimates how much of the sent audio was played to the caller.

No message reports the position of the playback. The clock estimates it, and the carrier's marks
correct the estimate. All positions are bytes since the stream started:

    0 ........ confirmed ........ position(now) ........ sent ........ still waiting in the playout
    |----------------------------------|------------------|
             it was played               the carrier has it, and a `clear` would drop it

    event               what it means                               what the clock does
    -----               -------------                               -------------------
    sound is sent       the carrier plays it after what it has,     `sent` grows; if nothing was
                        or at once if it has nothing                left to play, a new *run* begins
    a mark returns,     the carrier has played everything before    `confirmed` becomes the mark's
    sound before it     the mark                                    position; a late mark moves the
                                                                    start of the run
    a mark returns,     how long a message takes to the carrier     the usual round trip is the
    nothing to play     and back                                    median of the last five
    a mark is overdue   the mark was lost                           after the round trip and 0.25 s
                                                                    the estimate counts as confirmed
    `clear` is sent     the carrier plays nothing any more          all marks are void, and the
                                                                    next sound begins a new run

"Played" has two meanings, for two purposes.

- `position` is where a `clear` sent now stops the sound. Interruptions cut there. The network delay
  cancels out: sound reaches the carrier one delay after it was sent, and so does the `clear`.
- `confirmed_position` is what was certainly played. A turn is complete, and the agent is silent,
  only when this position has passed it.

The estimate is wrong in one way only: the carrier starts a run later than we think, or runs out of
sound on a slow network. Marks show that, because a mark returns when the sound before it has been
played (Telnyx, "Media Streaming over WebSockets"). A mark cannot return too early, but it can be
held up on its way. So the clock corrects the estimate at once if playback is earlier. It accepts a
delay only as far as two marks in succession show it.
"""

from collections import deque
from dataclasses import dataclass, field
from statistics import median_low

FRAME_SECONDS = 0.02
"""The carrier finishes the frame that it is playing when a `clear` arrives."""
MARK_MS = 300
"""How much sound lies between two marks. Whatever holds up one mark has mostly passed before the
next one."""
MAX_PENDING_MARKS = 50
"""A carrier that has not returned this many marks returns none at all."""
MARK_TIMEOUT_SECONDS = 0.25
"""A mark counts as lost when it is later than the round trip by this much."""
MAX_ROUND_TRIPS = 5
LONG_AGO = float("-inf")


@dataclass(frozen=True, slots=True)
class _Mark:
    position: int
    """Number of bytes that were sent before the mark."""
    sent_at: float
    alone: bool
    """True if the carrier had nothing to play, and therefore returns the mark at once."""


@dataclass(slots=True)
class PlaybackClock:
    """A run is sound that the carrier plays without a break."""

    bytes_per_ms: int
    sent: int = 0
    confirmed: int = 0
    """The position of the last mark that was returned."""
    _run: int = 0
    """The position at which the present run begins."""
    _run_at: float = LONG_AGO
    """When the run began to play, as far as we know."""
    _run_at_earliest: float = LONG_AGO
    """When the run began to play if the carrier lost no time."""
    _usual_delay: float = 0.0
    """How late the carrier usually starts a run."""
    _unconfirmed_lag: float = 0.0
    """How late the last mark was, as far as no second mark has confirmed it."""
    _returned: int = 0
    """How many marks of this run were returned."""
    _marked: int = 0
    _marks_sent: int = 0
    _marks: dict[str, _Mark] = field(default_factory=dict)
    _round_trips: deque[float] = field(default_factory=lambda: deque(maxlen=MAX_ROUND_TRIPS))
    _round_trip: float | None = None
    """The median of the last round trips."""
    mark_timeout: float = 0.0
    """How many seconds after the end of its sound a mark may return."""

    def is_empty(self, now: float) -> bool:
        """Whether the carrier has nothing to play. No mark is pending then."""
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
        # Sound does not play before it was sent.
        self._run_at_earliest = max(
            self._run_at_earliest, now - (self.sent - self._run) / self.bytes_per_ms / 1000
        )
        self._run_at = max(self._run_at, self._run_at_earliest)
        self.sent += size

    def mark(self, now: float) -> str | None:
        """Return the name of a mark to send now, or None if the carrier returns no marks."""
        if len(self._marks) >= MAX_PENDING_MARKS:
            return None
        self._marks_sent += 1
        name = f"heard-{self._marks_sent}"
        self._marks[name] = _Mark(self.sent, now, alone=self.is_empty(now))
        self._marked = self.sent
        return name

    def mark_returned(self, name: str, now: float) -> None:
        """Correct the clock. A mark that was sent before a `clear` is ignored."""
        mark = self._marks.get(name)
        if mark is None:
            return
        # The carrier returns marks in order, so the earlier ones are lost.
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
        """Return the position up to which audio was certainly played: by the marks, or by the
        estimate once marks are overdue."""
        if now >= self.confirmed_at:
            return self.sent
        # `position` rounds to whole bytes. The last byte counts only when its time has come.
        would_have = min(self.position(now - self.mark_timeout), self.sent - 1)
        return max(self.confirmed, would_have)

    @property
    def confirmed_at(self) -> float:
        """When everything that was sent counts as played, with or without a mark."""
        run_seconds = (self.sent - self._run) / self.bytes_per_ms / 1000
        return self._run_at + run_seconds + self.mark_timeout

    def sendable_at(self, lead: int) -> float:
        """When the next sound may be sent: the carrier has at most `lead` bytes left then."""
        ahead = self.sent - lead - self._run
        return self._run_at + ahead / self.bytes_per_ms / 1000 if ahead > 0 else LONG_AGO

    def time_at(self, position: int) -> float:
        """When playback reaches that position of the present run."""
        return self._run_at + (position - self._run) / self.bytes_per_ms / 1000

    def clear(self) -> None:
        """Forget the sound that was not played, and all marks."""
        self.confirmed = self._run = self._marked = self.sent
        self._run_at = self._run_at_earliest = LONG_AGO
        self._marks.clear()
