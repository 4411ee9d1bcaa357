"""Audio streams for tests: converters, tones, and the spectrum of tones."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from media_bridge.audio.codecs import WIDEBAND_RATE_HZ, Codec
from media_bridge.audio.converters import ModelToTelephone, TelephoneToModel
from media_bridge.audio.resampler import Downsampler, Upsampler

WIDE_UP, WIDE_DOWN = partial(Upsampler, WIDEBAND_RATE_HZ), partial(Downsampler, WIDEBAND_RATE_HZ)
RESAMPLERS = [Upsampler, Downsampler, WIDE_UP, WIDE_DOWN]
BIN_HZ = 10
WINDOW_S = 1 / BIN_HZ
SETTLING_S = 0.01
AMPLITUDE = 16_000


class Converter(Protocol):
    def feed(self, chunk: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


CONVERTERS: list[Callable[[], Converter]] = [
    Upsampler,
    Downsampler,
    *(lambda codec=codec: TelephoneToModel(codec) for codec in Codec),
    *(lambda codec=codec: ModelToTelephone(codec) for codec in Codec),
]
CONVERTER_NAMES = [
    *("up", "down"),
    *(f"{codec.value}-up" for codec in Codec),
    *(f"{codec.value}-down" for codec in Codec),
]


def to_pcm(samples: Iterable[float] | NDArray[np.float64]) -> bytes:
    return np.rint(np.asarray(samples, np.float64)).astype("<i2").tobytes()


def to_samples(pcm: bytes) -> NDArray[np.float64]:
    return np.frombuffer(pcm, "<i2").astype(np.float64)


def convert(converter: Converter, *chunks: bytes) -> bytes:
    return b"".join(map(converter.feed, chunks)) + converter.flush()


def tone(frequency_hz: float, rate_hz: int) -> NDArray[np.float64]:
    time_s = np.arange(round((WINDOW_S + 2 * SETTLING_S) * rate_hz)) / rate_hz
    return AMPLITUDE * np.sin(2 * np.pi * frequency_hz * time_s + 0.5)


def spectrum_db(samples: NDArray[np.float64], rate_hz: int) -> NDArray[np.float64]:
    """Amplitudes relative to the tone's, one per multiple of BIN_HZ, without the edges."""
    start, size = round(SETTLING_S * rate_hz), round(WINDOW_S * rate_hz)
    amplitudes = np.abs(np.fft.rfft(samples[start : start + size])) * 2 / size
    relative: NDArray[np.float64] = 20 * np.log10(np.maximum(amplitudes, 1e-3) / AMPLITUDE)
    return relative
