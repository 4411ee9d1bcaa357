"""ITU-T G.711 for the simulators. It is written separately from the bridge's codec, so that a
mistake there does not cancel out."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]
Integers = npt.NDArray[np.int64]

MU_BIAS = 0x84
MU_CLIP = 32635
A_EVEN_BITS = 0x55


@dataclass(frozen=True, slots=True, eq=False)
class Law:
    decoded: Samples
    """Samples by code: 256 values."""
    encoded: npt.NDArray[np.uint8]
    """Codes by sample, taken as unsigned 16 bit: 65,536 values."""

    def decode(self, codes: bytes) -> Samples:
        return self.decoded[np.frombuffer(codes, np.uint8)]

    def encode(self, samples: Samples) -> bytes:
        return self.encoded[samples.astype(np.int16).view(np.uint16)].tobytes()


def _mu_decode(code: Integers) -> Integers:
    inverted = ~code & 0xFF
    exponent, mantissa = inverted >> 4 & 7, inverted & 15
    magnitude = (((mantissa << 3) + MU_BIAS) << exponent) - MU_BIAS
    return _apply_sign(magnitude, inverted & 0x80 != 0)


def _mu_encode(sample: Integers) -> Integers:
    magnitude = np.minimum(_magnitude(sample), MU_CLIP) + MU_BIAS
    exponent = _top_bit(magnitude) - 7
    mantissa = magnitude >> (exponent + 3) & 15
    sign = np.where(sample < 0, 0x80, 0)
    code: Integers = np.bitwise_xor(sign | exponent << 4 | mantissa, 0xFF)
    return code


def _a_decode(code: Integers) -> Integers:
    toggled = code ^ A_EVEN_BITS
    exponent, mantissa = toggled >> 4 & 7, toggled & 15
    linear = (mantissa << 4) + 8
    magnitude = np.where(exponent == 0, linear, (linear + 0x100) << np.maximum(exponent - 1, 0))
    return _apply_sign(magnitude, toggled & 0x80 == 0)


def _a_encode(sample: Integers) -> Integers:
    magnitude = _magnitude(sample)
    exponent = np.maximum(_top_bit(magnitude | 1) - 7, 0)
    mantissa = magnitude >> (np.maximum(exponent, 1) + 3) & 15
    sign = np.where(sample < 0, 0, 0x80)
    code: Integers = np.bitwise_xor(sign | exponent << 4 | mantissa, A_EVEN_BITS)
    return code


def _magnitude(sample: Integers) -> Integers:
    """Return the magnitude of samples, with ones' complement for negative ones, as in ITU-T
    G.191."""
    magnitude: Integers = np.bitwise_xor(sample, sample >> 63)
    return magnitude


def _apply_sign(magnitude: Integers, negative: npt.NDArray[np.bool_]) -> Integers:
    return np.where(negative, -magnitude, magnitude)


def _top_bit(positive: Integers) -> Integers:
    return np.log2(positive).astype(np.int64)


_CODES = np.arange(256)
_SAMPLES = np.arange(65536).astype(np.uint16).view(np.int16).astype(np.int64)

MU_LAW = Law(_mu_decode(_CODES).astype(np.int16), _mu_encode(_SAMPLES).astype(np.uint8))
A_LAW = Law(_a_decode(_CODES).astype(np.int16), _a_encode(_SAMPLES).astype(np.uint8))
