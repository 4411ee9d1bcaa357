"""Audio of the media plane, bytes in and bytes out: G.711 at 8 kHz on the telephone's side, PCM16
little-endian at 24 kHz on the model's, and the streaming resamplers between the two rates."""

from enum import Enum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

TELEPHONE_RATE_HZ = 8_000
MODEL_RATE_HZ = 24_000

LOUDNESS_STEP_MS = 20

PCM16: np.dtype[np.int16] = np.dtype("<i2")
PCM16_MIN, PCM16_MAX = -32_768, 32_767


class Codec(Enum):
    """The two laws of ITU-T G.711, by the names Telnyx gives them in `media_format.encoding`."""

    PCMU = "PCMU"
    PCMA = "PCMA"

    @property
    def silence(self) -> bytes:
        """The code of the smallest positive level."""
        return b"\xff" if self is Codec.PCMU else b"\xd5"


def decode(codec: Codec, payload: bytes) -> bytes:
    return _LEVELS[codec][np.frombuffer(payload, np.uint8)].tobytes()


def encode(codec: Codec, pcm: bytes) -> bytes:
    return _CODES[codec][np.frombuffer(pcm, PCM16)].tobytes()


def _intervals(codec: Codec) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Where each of the 128 intervals of a magnitude starts and the level it decodes to, as PCM16.

    ITU-T G.711 tables 1 (A-law, 13 bit) and 2 (mu-law, 14 bit): eight segments of 16 intervals,
    each segment's twice as wide as the last one's, but A-law's first two segments are alike.
    """
    segment, interval = np.divmod(np.arange(128), 16)
    if codec is Codec.PCMU:
        half_width = 1 << segment
        start = (2 * interval + 32) * half_width - 33
        unit = 4
    else:
        half_width = 1 << np.maximum(segment - 1, 0)
        start = (2 * interval + 32 * (segment > 0)) * half_width
        unit = 8
    return start * unit, (start + half_width) * unit


def _levels(codec: Codec) -> NDArray[np.int16]:
    """PCM16 by code: a code is the interval's number, with bit 7 set if negative, XOR silence."""
    _, magnitudes = _intervals(codec)
    levels = np.concatenate((magnitudes, -magnitudes)).astype(PCM16)
    return levels.take(np.arange(256) ^ codec.silence[0])


def _codes(codec: Codec) -> NDArray[np.uint8]:
    """Code by PCM16 sample; a negative one counts from the table's end, as numpy's indices do.

    A negative sample's magnitude is its ones' complement, as in ITU-T G.191: negating it, as Sun's
    g711.c does for mu-law, puts -1 and the first sample of every other interval one too far out.
    """
    starts, _ = _intervals(codec)
    sample = np.concatenate((np.arange(32_768), np.arange(-32_768, 0)))
    magnitude = np.where(sample < 0, ~sample, sample)
    number = np.searchsorted(starts[1:], magnitude, side="right")
    return (np.where(sample < 0, number | 128, number) ^ codec.silence[0]).astype(np.uint8)


_LEVELS = {codec: _levels(codec) for codec in Codec}
_CODES = {codec: _codes(codec) for codec in Codec}


# Linear-phase low pass at 24 kHz for both directions, minimax by linear programme: 600 frequencies
# evenly over the pass band 0-3400 Hz (gain 1, the error may be 30 times the stop band's) and 1400
# over the stop band 4000-12000 Hz, with two equalities: gain 1 at 0 Hz and 0 at 8000 Hz, so that
# the three polyphase branches agree on DC. Times 3 * 65536 and rounded, the rest of the rounding
# put on the middle three taps so that each branch sums to 65536. Pass band within 0.23 dB, stop
# band below -60.7 dB.
_HALF = (
    *(-192, -225, -108, 257, 721, 1007, 876, 315, -346, -645, -367, 279, 758, 591, -174, -942),
    *(-1045, -282, 805, 1278, 620, -748, -1720, -1356, 237, 1808, 1943, 298, -1946, -2856, -1374),
    *(1559, 3543, 2606, -969, -4438, -4581, -525, 4998, 7233, 3089, -5646, -12369, -9565, 5867),
    *(29471, 50847),
)
_MIDDLE = 59434
_TAPS = np.array((*_HALF, _MIDDLE, *reversed(_HALF)), np.float64)
_RATIO = MODEL_RATE_HZ // TELEPHONE_RATE_HZ


class _Resampler:
    """A window that slides over the stream; each column of `taps` makes one sample of a window.

    The output is aligned with the input: what a window needs of the future (2 ms) is held back
    and comes with `flush`. Whole taps and whole samples make exact sums in float64, so the result
    depends neither on how the stream was cut into chunks nor on the order of summing.
    """

    def __init__(self, taps: NDArray[np.float64], step: int, past: int) -> None:
        self._taps = taps
        self._unity = taps[:, 0].sum()
        self._step = step
        self._past = past
        self._reset()

    def _reset(self) -> None:
        self._half_sample = b""
        self._held = np.zeros(self._past)

    def feed(self, pcm: bytes) -> bytes:
        pcm = self._half_sample + pcm
        whole_samples = len(pcm) // PCM16.itemsize
        self._half_sample = pcm[whole_samples * PCM16.itemsize :]
        return self._filter(np.frombuffer(pcm, PCM16, whole_samples))

    def flush(self) -> bytes:
        """The end of an utterance: what was held back; the next `feed` starts from silence."""
        future = len(self._taps) - self._past - 1
        tail = self._filter(np.zeros(future))
        self._reset()
        return tail

    def _filter(self, samples: NDArray[Any]) -> bytes:
        stream = np.concatenate((self._held, samples))
        size = len(self._taps)
        count = max(0, (len(stream) - size) // self._step + 1)
        self._held = stream[count * self._step :]
        # Overlapping views: `sliding_window_view` is the same, but costs more than the filter.
        strides = (self._step * stream.itemsize, stream.itemsize)
        windows = np.ndarray((count, size), stream.dtype, stream, strides=strides)
        output = windows.copy() @ self._taps
        output /= self._unity
        np.rint(output, out=output)
        return output.clip(PCM16_MIN, PCM16_MAX, out=output).astype(PCM16).tobytes()


class Upsampler(_Resampler):
    """8 kHz to 24 kHz: three samples for each one, in all exactly three times as many."""

    def __init__(self) -> None:
        # One tap of zero makes 32 rows, one a telephone sample, newest last: 15 past, 16 to come.
        branches = np.append(0, _TAPS).reshape(-1, _RATIO)[::-1]
        super().__init__(np.ascontiguousarray(branches), step=1, past=15)


class Downsampler(_Resampler):
    """24 kHz to 8 kHz: every third sample, in all a third as many, rounded up."""

    def __init__(self) -> None:
        super().__init__(_TAPS.reshape(-1, 1), step=_RATIO, past=len(_HALF))


class TelephoneToModel:
    """G.711 at 8 kHz to PCM16 at 24 kHz."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._upsampler = Upsampler()

    def feed(self, payload: bytes) -> bytes:
        return self._upsampler.feed(decode(self._codec, payload))

    def flush(self) -> bytes:
        return self._upsampler.flush()


class ModelToTelephone:
    """PCM16 at 24 kHz to G.711 at 8 kHz."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._downsampler = Downsampler()

    def feed(self, payload: bytes) -> bytes:
        return encode(self._codec, self._downsampler.feed(payload))

    def flush(self) -> bytes:
        return encode(self._codec, self._downsampler.flush())


class PassThrough:
    """The model speaks the line's own G.711: nothing is touched."""

    def feed(self, payload: bytes) -> bytes:
        return payload

    def flush(self) -> bytes:
        return b""


class Transcoder:
    """One law of G.711 to the other."""

    def __init__(self, line: Codec, wanted: Codec) -> None:
        self._codes = encode(wanted, decode(line, bytes(range(256))))

    def feed(self, payload: bytes) -> bytes:
        return payload.translate(self._codes)

    def flush(self) -> bytes:
        return b""


_MEASURED_TOGETHER = 50
"""Steps: numpy takes as long for one as for many, and nobody asks before the sound was heard."""


class Loudness:
    """How loud the model's sound is, in steps of `LOUDNESS_STEP_MS`; `codec` where it is G.711."""

    def __init__(self, codec: Codec | None) -> None:
        self._codec = codec
        rate_hz = MODEL_RATE_HZ if codec is None else TELEPHONE_RATE_HZ
        self._step = rate_hz * LOUDNESS_STEP_MS // 1000
        self._step_bytes = self._step * (PCM16.itemsize if codec is None else 1)
        self._rest = bytearray()
        self._steps: list[int] = []

    @property
    def steps(self) -> list[int]:
        self._measure()
        return self._steps

    def feed(self, audio: bytes) -> None:
        self._rest += audio
        if len(self._rest) >= _MEASURED_TOGETHER * self._step_bytes:
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


class Converter(Protocol):
    """One direction of one stream, in pieces of any size; `flush` ends an utterance."""

    def feed(self, payload: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


class Muted:
    """As much silence as there would be sound."""

    def __init__(self, silence: bytes, inner: Converter) -> None:
        self.inner = inner
        self._silence = silence

    def feed(self, payload: bytes) -> bytes:
        return self.inner.feed(self._silence * len(payload))

    def flush(self) -> bytes:
        return self.inner.flush()
