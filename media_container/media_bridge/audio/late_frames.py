"""The caller's frames after a gap that was filled with silence.

The model's clock must never run ahead of time: its detector, its truncation and its bill run on it.
So silence that stood in for frames uses up their time, and frames that come after all are late.
Speech among them is passed on as soon as time allows it. To catch up, pauses are shortened.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from media_bridge.audio.codecs import PCM16, Codec, decode
from media_bridge.audio.jitter_buffer import REORDER_WINDOW_SECONDS, JitterBuffer

PIECE_MS = 20
MIN_SPEECH_LEVEL = 250
"""Mean of the absolute samples (PCM16), about -40 dBFS. What is softer is a pause."""
MAX_PAUSE_PIECES = 10
"""A pause keeps 200 ms, so that words stay apart and keep their soft beginnings and ends."""
CATCH_UP_TIMEOUT_SECONDS = 5.0
"""Speech that is still waiting then is dropped: on a noisy line no pause would ever come."""


@dataclass(slots=True)
class LateFrames:
    """Stands in front of a `JitterBuffer` from the first filled gap on. Since `began` no more sound
    is passed on than time has passed, and a reorder window."""

    jitter_buffer: JitterBuffer
    codec: Codec
    began: float
    _passed: int = 0
    _filled_until: float = 0.0
    _waiting: deque[bytes] = field(default_factory=deque)
    _late_since: float = 0.0
    _pause_pieces: int = 0

    @property
    def frames_lost(self) -> int:
        return self.jitter_buffer.frames_lost

    def next_deadline(self) -> float:
        return self.jitter_buffer.next_deadline()

    def push(self, chunk: int | None, payload: bytes, now: float) -> bytes:
        return self._pass_on(self.jitter_buffer.push(chunk, payload, now), now)

    def due(self, now: float) -> bytes:
        return self._pass_on(self.jitter_buffer.due(now), now)

    def fill(self, last_frame_at: float, now: float) -> bytes:
        """Return silence for the part of this gap that is not filled yet, behind speech that
        waits."""
        speech = self._pass_on(b"", now)
        size = self._bytes(now - max(last_frame_at, self._filled_until))
        size = max(0, min(size, self._bytes(now - self.began) - self._passed))
        self._filled_until = now
        self._passed += size
        return speech + self.jitter_buffer.fill_silence(size)

    def _pass_on(self, audio: bytes, now: float) -> bytes:
        if now - self._late_since > CATCH_UP_TIMEOUT_SECONDS:
            self._waiting.clear()
        room = self._bytes(now - self.began + REORDER_WINDOW_SECONDS) - self._passed
        passed = bytearray()
        while self._waiting and len(passed) + len(self._waiting[0]) <= room:
            passed += self._waiting.popleft()
        for piece in self._pieces(audio):
            if not self._waiting and len(passed) + len(piece) <= room:
                passed += piece
            else:
                self._wait(piece, now)
        self._passed += len(passed)
        return bytes(passed)

    def _wait(self, piece: bytes, now: float) -> None:
        if not self._waiting:
            self._late_since, self._pause_pieces = now, 0
        levels = np.abs(np.frombuffer(decode(self.codec, piece), PCM16), dtype=np.int32)
        self._pause_pieces = 0 if levels.mean() >= MIN_SPEECH_LEVEL else self._pause_pieces + 1
        if self._pause_pieces <= MAX_PAUSE_PIECES:
            self._waiting.append(piece)

    def _pieces(self, audio: bytes) -> Iterator[bytes]:
        size = PIECE_MS * self.codec.bytes_per_ms
        return (audio[at : at + size] for at in range(0, len(audio), size))

    def _bytes(self, seconds: float) -> int:
        """The size of whole samples."""
        return round(seconds * self.codec.rate_hz) * self.codec.bytes_per_sample
