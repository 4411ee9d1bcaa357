"""Puts the caller's frames in order, and conceals lost ones.

Telnyx guarantees no order ("Media Streaming over WebSockets"): frames have a chunk number, may
overtake each other and may be lost. A frame in its turn passes at once, and only a gap waits for a
short time. The frame before a lost one is repeated; `make bench-quality` measures fewer misheard
words with that than with silence.
"""

from dataclasses import dataclass, field

from media_bridge.deadline import NEVER

REORDER_WINDOW_SECONDS = 0.06
"""A gap waits for its frame as long as three frames last."""
MAX_GAP_FRAMES = 50
"""A larger gap, of more than a second, is a new count and no loss."""
CONCEALMENT_FRAMES = 2
"""How often a frame is repeated for the lost ones after it. More repetitions would buzz."""


@dataclass(frozen=True, slots=True)
class _EarlyFrame:
    payload: bytes
    waits_until: float


@dataclass(slots=True)
class _Run:
    """Frames with far too small numbers are old copies, or the first frames of a new count."""

    following: int
    expected: int
    """The number that the present count expects meanwhile."""
    since: float
    payloads: list[bytes]


@dataclass(slots=True)
class JitterBuffer:
    """`silence` is one byte of silence in the line's codec. Every lost frame is filled, so that the
    model's audio clock, on which turns end, keeps its pace."""

    silence: bytes
    frames_lost: int = 0
    _expected: int | None = None
    _last: bytes = b""
    """The frame passed on last."""
    _early: dict[int, _EarlyFrame] = field(default_factory=dict)
    _concealed: int = 0
    """Bytes of silence that stand in for frames which may turn out to be lost."""
    _behind: _Run | None = None

    def push(self, chunk: int | None, payload: bytes, now: float) -> bytes:
        """Return what can be passed on now. This frame may have to wait."""
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
        """Decide whether a strange number begins a new count. A new count goes on, and no frame of
        the old one follows. Old copies are dropped, because their time has passed."""
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
        """Return silence for frames that do not come. They are not concealed once more."""
        self._concealed += size
        return self.silence * size

    def next_deadline(self) -> float:
        if not self._early:
            return NEVER
        return min(frame.waits_until for frame in self._early.values())

    def due(self, now: float) -> bytes:
        """Return the frames that have waited long enough, with the lost ones concealed."""
        if not self._early:
            return b""
        overdue = (chunk for chunk, frame in self._early.items() if frame.waits_until <= now)
        return self._release(max(overdue, default=-1))

    def _release(self, upto: int = -1) -> bytes:
        """Release the held frames up to that one, and those that follow it without a gap."""
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
