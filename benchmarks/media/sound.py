"""The sounds of the load, and how to find where one begins.

A probe is a step from silence to a constant level. A linear-phase filter spreads the step evenly to
both sides. So the step is where the signal crosses half of the level.
"""

import re
from binascii import a2b_base64
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from phonebridge.settings import ModelAudio
from simulators.audio.g711 import MU_LAW

LEVEL = 16_000
THRESHOLD = LEVEL // 2
LINE_BYTES_PER_MS = 8
PCM24K_BYTES_PER_MS = 48

SILENCE_CODE = MU_LAW.encode(np.zeros(1, np.int16))
LOUD_CODE = MU_LAW.encode(np.full(1, LEVEL, np.int16))

_LOUD_CODES = bytes(np.flatnonzero(np.abs(MU_LAW.decoded.astype(int)) > THRESHOLD).tolist())
_LOUD = re.compile(b"[" + re.escape(_LOUD_CODES) + b"]")


def onset_in_g711(audio: bytes) -> float | None:
    """Milliseconds from the beginning to the first loud sample of mu-law audio."""
    found = _LOUD.search(audio)
    return found.start() / LINE_BYTES_PER_MS if found else None


def onset_in_pcm24k(audio: bytes) -> float | None:
    """Milliseconds from the beginning to the first loud sample of PCM16 at 24 kHz."""
    loud = np.abs(np.frombuffer(audio, "<i2").astype(np.int32)) > THRESHOLD
    first = int(loud.argmax())
    return first * 2 / PCM24K_BYTES_PER_MS if loud[first] else None


@dataclass(frozen=True, slots=True)
class Format:
    """The audio format of the model, and how to read and write it."""

    bytes_per_ms: int
    onset: Callable[[bytes], float | None]


FORMATS = {
    ModelAudio.G711: Format(LINE_BYTES_PER_MS, onset_in_g711),
    ModelAudio.PCM24K: Format(PCM24K_BYTES_PER_MS, onset_in_pcm24k),
}


def caller_frame(onset_ms: float | None) -> bytes:
    """Return 20 ms of the line: silence, and from `onset_ms` on the level of a probe."""
    quiet = 160 if onset_ms is None else round(onset_ms * LINE_BYTES_PER_MS)
    return SILENCE_CODE * quiet + LOUD_CODE * (160 - quiet)


def agent_speech(audio: ModelAudio, duration_ms: int) -> bytes:
    """Return speech that begins with a step. It is 50 Hz and loud to its end, so any piece of it
    counts as an onset."""
    period = np.repeat(np.array((LEVEL, -LEVEL), np.int16), 80)
    if audio is ModelAudio.G711:
        return MU_LAW.encode(np.tile(period, duration_ms // 20))
    return np.tile(np.repeat(period, 3), duration_ms // 20).astype("<i2").tobytes()


@dataclass(frozen=True, slots=True)
class Found:
    delay_ms: float
    shift_ms: float
    """How much later in its chunk the sound is: a filter's delay, modulo the chunk."""
    slip_ms: float
    """Position in the received stream minus position in the sent stream. Lost audio lowers it."""


@dataclass(frozen=True, slots=True)
class _Probe:
    sent_at: float
    onset_ms: float
    frame_starts_ms: float


class Onsets:
    """Compares the last probe that was sent in one direction of a call with the audio that arrives.

    The delay runs from the sound in the frame sent to the same sound in the chunk received. Each
    plays from the moment it passed its socket. So buffering and the delay of filters count in full.
    """

    DEAF_MS = 60
    """Time after an onset during which the rest of the same probe is ignored."""

    def __init__(self, audio: Format) -> None:
        self._format = audio
        self._probe: _Probe | None = None
        self._deaf_until_ms = 0.0
        self.received_ms = 0.0

    def sent(self, at: float, onset_ms: float, frame_starts_ms: float) -> bool:
        """Remember a new probe. Return False if the previous one never arrived."""
        before, self._probe = self._probe, _Probe(at, onset_ms, frame_starts_ms)
        return before is None

    def received(self, encoded: bytes, at: float) -> Found | None:
        """Look for the probe in `encoded`, which is base64."""
        chunk_starts_ms = self.received_ms
        self.received_ms += decoded_size(encoded) / self._format.bytes_per_ms
        if self._probe is None or chunk_starts_ms < self._deaf_until_ms:
            return None
        offset_ms = self._format.onset(a2b_base64(encoded))
        if offset_ms is None:
            return None
        self._deaf_until_ms = chunk_starts_ms + offset_ms + self.DEAF_MS
        probe, self._probe = self._probe, None
        shift_ms = offset_ms - probe.onset_ms
        slip_ms = chunk_starts_ms - probe.frame_starts_ms + shift_ms
        return Found((at - probe.sent_at) * 1000 + shift_ms, shift_ms, slip_ms)


def decoded_size(encoded: bytes) -> int:
    return len(encoded) * 3 // 4 - encoded[-2:].count(b"=")
