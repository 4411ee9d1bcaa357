"""G.711 and L16 audio as PCM16 samples, and back."""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from phonebridge.settings import ModelAudio

TELEPHONE_RATE_HZ = 8_000
WIDEBAND_RATE_HZ = 16_000
MODEL_RATE_HZ = 24_000

PCM16: np.dtype[np.int16] = np.dtype("<i2")
PCM16_MIN, PCM16_MAX = -32_768, 32_767


class Codec(Enum):
    """The codecs, by their names in Telnyx's `media_format.encoding`: both laws of ITU-T G.711, and
    linear samples. Linear samples are PCM16 here, whatever their byte order on the wire
    (`media_bridge/telnyx_stream.py`)."""

    PCMU = "PCMU"
    PCMA = "PCMA"
    L16 = "L16"

    @property
    def silence(self) -> bytes:
        """One byte of silence. For G.711, it is the code of the smallest positive level."""
        match self:
            case Codec.PCMU:
                return b"\xff"
            case Codec.PCMA:
                return b"\xd5"
            case Codec.L16:
                return b"\0"

    @property
    def rate_hz(self) -> int:
        """Telnyx streams G.711 at 8 kHz, and L16 at 16 kHz only ("Media Streaming")."""
        return WIDEBAND_RATE_HZ if self is Codec.L16 else TELEPHONE_RATE_HZ

    @property
    def bytes_per_sample(self) -> int:
        return PCM16.itemsize if self is Codec.L16 else 1

    @property
    def bytes_per_ms(self) -> int:
        return self.rate_hz * self.bytes_per_sample // 1000


LAWS = (Codec.PCMU, Codec.PCMA)


def decode(codec: Codec, payload: bytes) -> bytes:
    if codec is Codec.L16:
        return payload
    return linear_samples(codec, payload).tobytes()


def linear_samples(law: Codec, payload: bytes) -> NDArray[np.int16]:
    return _LEVELS[law].take(np.frombuffer(payload, np.uint8))


def encode(codec: Codec, pcm: bytes) -> bytes:
    if codec is Codec.L16:
        return pcm
    return _CODES[codec].take(np.frombuffer(pcm, PCM16)).tobytes()


def _intervals(codec: Codec) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Return the start of each of the 128 intervals of a magnitude, and the level to which it
    decodes, as PCM16. ITU-T G.711 tables 1 (A-law, 13 bit) and 2 (mu-law, 14 bit) define eight
    segments of 16 intervals. Each segment's intervals are twice as wide as those before, but
    A-law's first two segments are alike.

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
    """Return PCM16 by code. A code is the interval's number, with bit 7 set if negative, XOR
    silence."""
    _, magnitudes = _intervals(codec)
    levels = np.concatenate((magnitudes, -magnitudes)).astype(PCM16)
    return levels.take(np.arange(256) ^ codec.silence[0])


def _codes(codec: Codec) -> NDArray[np.uint8]:
    """Return codes by PCM16 sample. Negative samples count from the table's end, as numpy's indices
    do. The magnitude of a negative sample is its ones' complement, as in ITU-T G.191. Negating it,
    as Sun's g711.c does for mu-law, would shift -1 and the first sample of every other interval by
    one level.

    A negative sample's magnitude is its ones' complement, as in ITU-T G.191: negating it, as Sun's
    g711.c does for mu-law, puts -1 and the first sample of every other interval one too far out.
    """
    starts, _ = _intervals(codec)
    sample = np.concatenate((np.arange(32_768), np.arange(-32_768, 0)))
    magnitude = np.where(sample < 0, ~sample, sample)
    number = np.searchsorted(starts[1:], magnitude, side="right")
    return (np.where(sample < 0, number | 128, number) ^ codec.silence[0]).astype(np.uint8)


_LEVELS = {law: _levels(law) for law in LAWS}
_CODES = {law: _codes(law) for law in LAWS}


MODEL_BYTES_PER_MS: Mapping[ModelAudio, int] = MappingProxyType(
    {ModelAudio.PCM24K: 48, ModelAudio.G711: 8}
)
