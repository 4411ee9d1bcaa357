"""Loudness of the model's sound, in steps of a fixed length."""

import numpy as np

from media_bridge.audio.codecs import MODEL_RATE_HZ, PCM16, Codec, decode

LOUDNESS_STEP_MS = 20

LOUD_LEVEL = 300
"""Mean amplitude of 16-bit samples, about -40 dBFS: more than a line's noise, less than speech."""

_MEASURED_TOGETHER_BYTES = 48_000
"""Six seconds of G.711, or one second of the model's PCM. numpy takes as long for one step as for
many, and loudness is needed only when words were cut off."""


class Loudness:
    """Measures the loudness of the model's sound in steps of `LOUDNESS_STEP_MS`. `codec` is the
    line's codec if the sound comes in it."""

    def __init__(self, codec: Codec | None) -> None:
        self._codec = codec
        rate_hz = codec.rate_hz if codec else MODEL_RATE_HZ
        self._step = rate_hz * LOUDNESS_STEP_MS // 1000
        self._step_bytes = self._step * (codec.bytes_per_sample if codec else PCM16.itemsize)
        self._rest = bytearray()
        self._steps: list[int] = []

    @property
    def steps(self) -> list[int]:
        self._measure()
        return self._steps

    def feed(self, audio: bytes) -> None:
        self._rest += audio
        if len(self._rest) >= _MEASURED_TOGETHER_BYTES:
            self._measure()

    def _measure(self) -> None:
        whole = len(self._rest) - len(self._rest) % self._step_bytes
        if not whole:
            return
        sound = bytes(self._rest[:whole])
        del self._rest[:whole]
        pcm = sound if self._codec is None else decode(self._codec, sound)
        levels = np.abs(np.frombuffer(pcm, PCM16), dtype=np.int32).reshape(-1, self._step)
        self._steps += (levels.sum(axis=1) // self._step).tolist()
