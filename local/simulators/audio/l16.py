"""Linear 16-bit samples at 16 kHz for a person who works at 8 kHz, big-endian (RFC 3551, 4.5.11).
It is written separately from the bridge's resamplers, so that a mistake there does not cancel
out."""

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]

RATE_HZ = 16_000
WIRE = np.dtype(">i2")
ORDERS = {"big": WIRE, "little": np.dtype("<i2")}
REACH = 63
_AT = np.arange(-REACH, REACH + 1)
# A windowed sinc that ends at 4 kHz, half of 8 kHz. It delays by 4 ms in each direction.
HALF_BAND = 0.5 * np.sinc(_AT / 2) * np.kaiser(len(_AT), 6.0)


class L16:
    """The codec of one stream in each direction."""

    def __init__(self, order: str = "big") -> None:
        self._wire = ORDERS[order]
        self._tail = np.zeros(2 * REACH)
        self._said = np.zeros(2 * REACH)

    def decode(self, payload: bytes) -> Samples:
        samples = np.frombuffer(payload, self._wire, len(payload) // WIRE.itemsize)
        self._tail = np.concatenate((self._tail, samples))
        filtered = np.convolve(self._tail, HALF_BAND, "valid")[: len(samples) // 2 * 2 : 2]
        self._tail = self._tail[2 * len(filtered) :]
        return _whole(filtered)

    def encode(self, samples: Samples) -> bytes:
        raised = np.zeros(2 * len(samples))
        raised[::2] = 2.0 * samples
        stream = np.concatenate((self._said, raised))
        self._said = stream[len(raised) :]
        return _whole(np.convolve(stream, HALF_BAND, "valid")).astype(self._wire).tobytes()


def is_turned_round(payload: bytes, order: str = "big") -> bool:
    """Whether the bytes of each sample are swapped. The low byte is close to noise, so samples in
    the wrong order vary more."""
    samples = np.frombuffer(payload, ORDERS[order], len(payload) // WIRE.itemsize)
    return _roughness(samples) > 2 * _roughness(samples.byteswap())


def _roughness(samples: npt.NDArray[np.int16]) -> float:
    return float(np.abs(np.diff(samples.astype(np.int64))).mean()) if len(samples) > 1 else 0.0


def _whole(signal: npt.NDArray[np.float64]) -> Samples:
    return np.rint(signal).clip(-32_768, 32_767).astype(np.int16)
