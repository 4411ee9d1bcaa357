"""How surely a sound contains a known one."""

import numpy as np

from simulators.audio.speech import SAMPLE_RATE_HZ, Clip, Samples, resample


def similarity(sound: Samples, rate_hz: int, clip: Clip) -> float:
    """Return the best normalised correlation with the clip. It is 1 if the sound contains the whole
    clip without noise."""
    heard = resample(sound, rate_hz, SAMPLE_RATE_HZ)
    said = resample(clip.samples, clip.rate_hz, SAMPLE_RATE_HZ)
    if len(heard) < len(said):
        heard = np.pad(heard, (0, len(said) - len(heard)))
    size = len(heard) + len(said)
    product = np.fft.irfft(np.fft.rfft(heard, size) * np.fft.rfft(said, size).conj(), size)
    places = len(heard) - len(said) + 1
    energy = np.concatenate(([0.0], np.cumsum(heard**2)))
    local = energy[len(said) :][:places] - energy[:places]
    scores = product[:places] / np.sqrt(local * (said @ said) + 1.0)
    return float(scores.max())
