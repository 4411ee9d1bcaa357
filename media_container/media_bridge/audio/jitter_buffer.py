"""The caller's frames in their order. Telnyx promises none ("Media Streaming over WebSockets"):
frames carry a chunk number, may overtake each other and may be lost.

A frame that comes in its turn passes at once; only a gap waits, and not for long. What never comes
is concealed by the frame before it, as the simplest decoders do: `make bench-quality` finds fewer
words misheard so than with silence.
"""

from dataclasses import dataclass, field

from media_bridge.deadline import NEVER

REORDER_WINDOW_SECONDS = 0.06
"""How long a gap may wait for its frame: three frames of 20 ms."""
MAX_GAP_FRAMES = 50
"""Frames; beyond a second the numbers tell of a new count, not of a loss."""
CONCEALMENT_FRAMES = 2
"""How often a frame is heard again for those lost after it: more often, it would be a buzz."""


@dataclass(frozen=True, slots=True)
class _EarlyFrame:
    payload: bytes
    waits_until: float


@dataclass(slots=True)
class _Run:
    """Frames whose numbers are far too small: old copies, or the first ones of a new count."""

    following: int
    expected: int
    """What the present count expects meanwhile."""
    since: float
    payloads: list[bytes]


@dataclass(slots=True)
class JitterBuffer:
    """`silence` is one byte of it in the line's codec. All that was lost is filled, so that the
    model's audio clock, on which turns end, keeps its pace."""

    silence: bytes
    frames_lost: int = 0
    _expected: int | None = None
    _last: bytes = b""
    """The frame passed on last."""
    _early: dict[int, _EarlyFrame] = field(default_factory=dict)
    _concealed: int = 0
    """Bytes of silence that were passed on for what may yet turn out to be lost."""
    _behind: _Run | None = None

    def push(self, chunk: int | None, payload: bytes, now: float) -> bytes:
        """What can be passed on now, this frame included or not."""
        if chunk is None:
            return payload
        if self._expected is None or chunk - self._expected > MAX_GAP_FRAMES:
            return self._count_anew(chunk, payload, payload)
        if chunk == self._expected:
            self._concealed = 0
            self._last = payload
            self._expected += 1
            return payload + self._release() if self._early else payload
        if chunk > self._expected:
            self._early.setdefault(chunk, _EarlyFrame(payload, now + REORDER_WINDOW_SECONDS))
        elif self._expected - chunk > MAX_GAP_FRAMES:
            return self._restart_or_drop(chunk, payload, now)
        return b""

    def _restart_or_drop(self, chunk: int, payload: bytes, now: float) -> bytes:
        """A new count goes on, and no frame of the old one comes any more. Old copies are dropped:
        their time has passed already."""
        assert self._expected is not None
        run = self._behind
        if run is None or (run.following, run.expected) != (chunk, self._expected):
            run = self._behind = _Run(chunk, self._expected, now, [])
        run.following += 1
        run.payloads.append(payload)
        if now - run.since < REORDER_WINDOW_SECONDS:
            return b""
        self._behind = None
        return self._count_anew(chunk, payload, b"".join(run.payloads))

    def _count_anew(self, chunk: int, payload: bytes, passed: bytes) -> bytes:
        held = self._release(max(self._early, default=-1))
        self._expected = chunk + 1
        self._last = payload
        self._concealed = 0
        return held + passed

    def fill_silence(self, size: int) -> bytes:
        """Silence for frames that do not come; the same is not made up for once more."""
        self._concealed += size
        return self.silence * size

    def next_deadline(self) -> float:
        if not self._early:
            return NEVER
        return min(frame.waits_until for frame in self._early.values())

    def due(self, now: float) -> bytes:
        """What waited long enough, and what is heard for what never came."""
        if not self._early:
            return b""
        overdue = (chunk for chunk, frame in self._early.items() if frame.waits_until <= now)
        return self._release(max(overdue, default=-1))

    def _release(self, upto: int = -1) -> bytes:
        """Held frames up to that one, and those that are in their turn then."""
        released = []
        for chunk in sorted(self._early):
            assert self._expected is not None
            missing = chunk - self._expected
            if missing and chunk > upto:
                break
            payload = self._early.pop(chunk).payload
            self.frames_lost += missing
            released.append(self._conceal(missing * len(payload)) + payload)
            self._concealed = 0
            self._last = payload
            self._expected = chunk + 1
        return b"".join(released)

    def _conceal(self, size: int) -> bytes:
        if self._concealed:
            return self.silence * (size - self._concealed)
        return (self._last * CONCEALMENT_FRAMES)[:size].ljust(size, self.silence)
