"""Sample rate conversion between the line's rate and the model's 24 kHz."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from media_bridge.audio.codecs import (
    PCM16,
    PCM16_MAX,
    PCM16_MIN,
    TELEPHONE_RATE_HZ,
    WIDEBAND_RATE_HZ,
)

# A linear-phase low pass at 24 kHz for both directions of G.711, found as the minimax solution of a
# linear programme. It has 600 frequencies evenly over the pass band 0-3400 Hz, and 1400 over the
# stop band 4000-12000 Hz. The gain of the pass band is 1, and its error may be 30 times that of the
# stop band. Two equalities make the three polyphase branches agree on DC: gain 1 at 0 Hz and 0 at
# 8000 Hz. The taps are multiplied by 3 * 65536 and rounded. The rest of the rounding is on the
# middle three taps, so that each branch sums to 65536. The pass band is within 0.23 dB, and the
# stop band below -60.7 dB.
_HALF = (
    *(-192, -225, -108, 257, 721, 1007, 876, 315, -346, -645, -367, 279, 758, 591, -174, -942),
    *(-1045, -282, 805, 1278, 620, -748, -1720, -1356, 237, 1808, 1943, 298, -1946, -2856, -1374),
    *(1559, 3543, 2606, -969, -4438, -4581, -525, 4998, 7233, 3089, -5646, -12369, -9565, 5867),
    *(29471, 50847),
)
_MIDDLE = 59434

# The same for both directions of L16, at 48 kHz, which both 16 and 24 kHz divide. The pass band is
# 0-7000 Hz, with 1800 frequencies over the stop band 8000-24000 Hz. The gain is 0 at 16000 and
# 24000 Hz, because three branches have to agree in one direction and two in the other. The taps are
# multiplied by 6 * 65536. The rest of the rounding is on the middle tap and the first and third
# beside it. The pass band is within 0.03 dB, and the stop band below -78 dB.
_WIDE_HALF = (
    *(2, 61, 124, 172, 156, 63, -60, -136, -101, 21, 134, 135, 7, -155, -206, -80, 134, 254, 154),
    *(-111, -319, -270, 29, 341, 379, 67, -355, -514, -227, 302, 619, 402, -217, -720, -631, 44),
    *(757, 854, 175, -750, -1100, -487, 640, 1301, 840, -448, -1473, -1266, 120, 1542, 1701, 313),
    *(-1517, -2158, -893, 1322, 2559, 1577, -964, -2901, -2389, 370, 3093, 3271, 451, -3117),
    *(-4232, -1576, 2861, 5199, 3008, -2276, -6170, -4859, 1197, 7067, 7225, 554, -7886, -10447),
    *(-3464, 8552, 15286, 8696, -9068, -24589, -21094, 9372, 58225, 103312),
)
_WIDE_MIDDLE = 121588


_WINDOWS_TOGETHER = 8
"""The fastest of 1, 2, 4, 8, 16 and 32 in both directions. The windows of a frame take 4.9, 3.6,
2.8, 2.6, 3.1 and 4.1 µs. Those of 100 ms from the model take 15, 18, 11, 8.2, 7.8 and 8.8 µs."""


class _Branches:
    """A low pass between two rates, at their least common multiple: samples of the input are
    `apart_in` of its taps apart, those of the output `apart_out`. A window of the input that moves
    on by `apart_out` samples makes `apart_in` new ones, each by one column of `taps`.

    A window repeats most of the one before it, and all have to be laid out in memory. So there are
    also taps for some windows `together`, which move on by as many steps at once."""

    def __init__(self, half: tuple[int, ...], middle: int, apart_in: int, apart_out: int) -> None:
        reach = len(half)
        self.step = apart_out
        self.past = reach // apart_in
        self.future = (reach + (apart_in - 1) * apart_out) // apart_in
        low_pass = np.array((*half, middle, *reversed(half), 0), np.float64)
        sample = np.arange(-self.past, self.future + 1)[:, np.newaxis]
        distance = apart_out * np.arange(apart_in) - apart_in * sample
        # Beyond the last tap there is a zero.
        self.taps = low_pass[np.where(np.abs(distance) <= reach, reach + distance, -1)]
        self.unity = self.taps[:, 0].sum()
        self.together = _side_by_side(self.taps, self.step)


def _side_by_side(taps: NDArray[np.float64], step: int) -> NDArray[np.float64]:
    size, made = taps.shape
    together = np.zeros((size + (_WINDOWS_TOGETHER - 1) * step, _WINDOWS_TOGETHER * made))
    for window in range(_WINDOWS_TOGETHER):
        begin = window * step
        together[begin : begin + size, window * made : (window + 1) * made] = taps
    return together


_UP = {
    TELEPHONE_RATE_HZ: _Branches(_HALF, _MIDDLE, 3, 1),
    WIDEBAND_RATE_HZ: _Branches(_WIDE_HALF, _WIDE_MIDDLE, 3, 2),
}
_DOWN = {
    TELEPHONE_RATE_HZ: _Branches(_HALF, _MIDDLE, 1, 3),
    WIDEBAND_RATE_HZ: _Branches(_WIDE_HALF, _WIDE_MIDDLE, 2, 3),
}


class _Resampler:
    """A window that slides over the stream.

    The output is aligned with the input. The 2 ms of the future that a window needs are held back
    and come with `flush`. So is the end of a piece that is no multiple of eight windows; a frame
    of 20 ms is one. Taps and samples are whole numbers, so their sums are exact in float64. The
    result depends neither on the pieces of the stream nor on the order of summing.
    """

    def __init__(self, branches: _Branches) -> None:
        self._branches = branches
        self._reset()

    def _reset(self) -> None:
        self._half_sample = b""
        self._held = np.zeros(self._branches.past)

    def feed(self, pcm: bytes) -> bytes:
        pcm = self._half_sample + pcm
        whole_samples = len(pcm) // PCM16.itemsize
        self._half_sample = pcm[whole_samples * PCM16.itemsize :]
        return self.feed_samples(np.frombuffer(pcm, PCM16, whole_samples))

    def feed_samples(self, samples: NDArray[np.int16]) -> bytes:
        return self._filter(samples, self._branches.together, _WINDOWS_TOGETHER)

    def flush(self) -> bytes:
        """Return the end of an utterance, which was held back. The next `feed` starts from
        silence."""
        tail = self._filter(np.zeros(self._branches.future), self._branches.taps, 1)
        self._reset()
        return tail

    def _filter(self, samples: NDArray[Any], taps: NDArray[np.float64], steps: int) -> bytes:
        stream = np.concatenate((self._held, samples))
        size, step = len(taps), steps * self._branches.step
        count = max(0, (len(stream) - size) // step + 1)
        self._held = stream[count * step :]
        # Overlapping views: `sliding_window_view` is the same, but costs more than the filter.
        strides = (step * stream.itemsize, stream.itemsize)
        windows = np.ndarray((count, size), stream.dtype, stream, strides=strides)
        output = windows.copy() @ taps
        output /= self._branches.unity
        np.rint(output, out=output)
        return output.clip(PCM16_MIN, PCM16_MAX, out=output).astype(PCM16).tobytes()


class Upsampler(_Resampler):
    """Converts to 24 kHz. The output has three samples for each one at 8 kHz, or for every two at
    16 kHz, rounded up."""

    def __init__(self, line_hz: int = TELEPHONE_RATE_HZ) -> None:
        super().__init__(_UP[line_hz])


class Downsampler(_Resampler):
    """Converts from 24 kHz to the line's rate. The output has one sample (8 kHz) or two (16 kHz)
    for every three, rounded up."""

    def __init__(self, line_hz: int = TELEPHONE_RATE_HZ) -> None:
        super().__init__(_DOWN[line_hz])
