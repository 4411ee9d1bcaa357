"""The clips that both simulators speak, and the recognition of clips in audio. Nothing is scripted:
a line counts as received only if its clip is found in the samples."""

import math
import wave
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

SAMPLE_RATE_HZ = 8000
CLIPS_DIR = Path(__file__).parent / "clips"

Samples = npt.NDArray[np.int16]
Signal = npt.NDArray[np.float64]

# make_clips.py speaks these texts with one voice per prefix. A caller's line has no long pauses. A
# pause longer than the model's silence_duration_ms (200 by default) would end the turn.
CLIP_TEXTS: Mapping[str, str] = {
    "agent_greeting": "Bright Smile Dental, good morning. How can I help you?",
    "agent_which_day": "Of course. Which day would suit you best?",
    "agent_free_times": (
        "On Thursday Doctor Lee can see you at nine fifteen, at ten thirty or at a quarter to "
        "twelve, and in the afternoon at two o'clock, at half past three or at ten to five."
    ),
    "agent_booked": "Perfect, I have booked two o'clock for you.",
    "agent_what_to_bring": "Just your insurance card, please.",
    "agent_goodbye": "You are welcome. See you then, goodbye!",
    "agent_opening_hours": "We are open until six this evening.",
    "agent_farewell": "Thank you for calling, have a nice day!",
    "agent_one_moment": "One moment, let me check that for you.",
    "agent_fallback": "Sorry, I did not catch that.",
    "agent_filler": "One moment, please.",
    "agent_apology": "I am sorry, there is a technical problem. I cannot continue this call.",
    "caller_book": "Hello I would like to book a check up",
    "caller_thursday": "What do you have on Thursday",
    "caller_two_is_fine": "Two in the afternoon is fine",
    "caller_what_to_bring": "Should I bring anything with me",
    "caller_goodbye": "No thanks very much goodbye",
    "caller_opening_hours": "How late are you open today",
    "caller_farewell": "Great that is all I wanted to know",
}

UNINTELLIGIBLE = "[unintelligible]"
# Measured correlations: any other clip reaches at most 0.40, the two that begin with "One moment"
# 0.70 of each other, the wrong G.711 law 0.72. 5 dB of noise leaves 0.87. Repeating the previous
# packet for one in fifty leaves 0.84. Two codecs and two resamplers leave more than 0.99. Packets
# that are removed instead of silenced score lower.
RECOGNITION_THRESHOLD = 0.8
MIN_OVERLAP_MS = 300
SILENCE_BELOW_PEAK_DB = 40
FRAME_MS = 10
FULL_SCALE = 32768
MAX_SNR_DB = 99.0


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    name: str
    text: str
    samples: Samples
    rate_hz: int = SAMPLE_RATE_HZ

    @property
    def duration_ms(self) -> float:
        return len(self.samples) * 1000 / self.rate_hz


class ClipLibrary(Mapping[str, Clip]):
    """Loads a clip when it is first used, so that make_clips.py can start without any."""

    def __getitem__(self, name: str) -> Clip:
        return _load(name)

    def __iter__(self) -> Iterator[str]:
        return iter(CLIP_TEXTS)

    def __len__(self) -> int:
        return len(CLIP_TEXTS)


@cache
def _load(name: str) -> Clip:
    text = CLIP_TEXTS[name]
    with wave.open(str(CLIPS_DIR / f"{name}.wav")) as wav:
        samples = np.frombuffer(wav.readframes(wav.getnframes()), "<i2").astype(np.int16)
    samples.setflags(write=False)
    return Clip(name, text, samples)


CLIPS: Mapping[str, Clip] = ClipLibrary()


@dataclass(frozen=True, slots=True)
class Recognition:
    clip: Clip | None
    text: str
    correlation: float
    snr_db: float
    started_ms: float
    """Where the clip begins in the given samples. It is negative if the beginning was lost."""
    matched_ms: float
    """How much of the clip was found."""


NOTHING_RECOGNISED = Recognition(None, UNINTELLIGIBLE, 0.0, -MAX_SNR_DB, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class _Match:
    clip: Clip
    lag: int
    explained_energy: float


def recognise(samples: Samples, rate_hz: int = SAMPLE_RATE_HZ) -> Recognition:
    """Return the clip that explains most of the sound, if it is similar where the two overlap."""
    sound = resample(samples, rate_hz, SAMPLE_RATE_HZ)
    first, last = _active_range(sound)
    active = sound[first:last]
    if len(active) < MIN_OVERLAP_MS * SAMPLE_RATE_HZ // 1000:
        return NOTHING_RECOGNISED
    best = max((_match(active, clip) for clip in CLIPS.values()), key=_explained_energy)
    return _judge(active, best, first)


def _explained_energy(match: _Match) -> float:
    return match.explained_energy


def _active_range(sound: Signal, frame: int = SAMPLE_RATE_HZ * FRAME_MS // 1000) -> tuple[int, int]:
    levels = _frame_levels_dbfs(sound, frame)
    if not len(levels):
        return 0, 0
    active = np.flatnonzero(levels > max(levels.max() - SILENCE_BELOW_PEAK_DB, -70))
    return (int(active[0]) * frame, int(active[-1] + 1) * frame) if len(active) else (0, 0)


def active_part(samples: Samples, rate_hz: int) -> Samples:
    """Return the sound without the silence before and after it."""
    frame = rate_hz * FRAME_MS // 1000
    first, last = _active_range(samples.astype(np.float64), frame)
    return samples[first:last]


def _match(sound: Signal, clip: Clip) -> _Match:
    """Find the lag at which the clip, with its best gain, removes most energy from the sound."""
    shortest = MIN_OVERLAP_MS * SAMPLE_RATE_HZ // 1000
    size = 1 << (len(sound) + len(clip.samples) - 1).bit_length()
    spectrum = np.fft.rfft(sound.astype(np.float32), size)
    product = np.fft.irfft(spectrum * _conjugate_spectrum(clip.name, size), size)
    lags = np.arange(shortest - len(clip.samples), len(sound) - shortest + 1)
    inner = np.maximum(product[lags], 0)
    energy = _cumulative_clip_energy(clip.name)
    begin, end = np.maximum(-lags, 0), np.minimum(len(clip.samples), len(sound) - lags)
    explained = inner**2 / (energy[end] - energy[begin] + 1)
    best = int(explained.argmax())
    return _Match(clip, int(lags[best]), float(explained[best]))


@lru_cache(maxsize=4 * len(CLIP_TEXTS))
def _conjugate_spectrum(name: str, size: int) -> npt.NDArray[np.complex64]:
    spectrum: npt.NDArray[np.complex64]
    spectrum = np.fft.rfft(CLIPS[name].samples.astype(np.float32), size).astype(np.complex64)
    return spectrum.conj()


@cache
def _cumulative_clip_energy(name: str) -> Signal:
    return np.concatenate(([0.0], np.cumsum(CLIPS[name].samples.astype(np.float64) ** 2)))


def _judge(sound: Signal, match: _Match, trimmed: int) -> Recognition:
    clip = match.clip.samples
    begin, end = max(0, -match.lag), min(len(clip), len(sound) - match.lag)
    said = clip[begin:end].astype(np.float64)
    received = sound[begin + match.lag : end + match.lag]
    correlation = _correlation(received, said)
    recognised = correlation >= RECOGNITION_THRESHOLD
    return Recognition(
        clip=match.clip if recognised else None,
        text=match.clip.text if recognised else UNINTELLIGIBLE,
        correlation=correlation,
        snr_db=_snr_db(correlation),
        started_ms=(trimmed + match.lag) * 1000 / SAMPLE_RATE_HZ,
        matched_ms=(end - begin) * 1000 / SAMPLE_RATE_HZ,
    )


def _correlation(received: Signal, said: Signal) -> float:
    """Return the normalised correlation, maximised over shifts by fractions of a sample.

    A resampler may delay by any fraction. Without alignment, that alone would cost 10 dB or more.
    """
    size = 1 << len(received).bit_length()
    spectrum = np.fft.rfft(received, size) * np.fft.rfft(said, size).conj()
    shifts = np.linspace(-0.5, 0.5, 21)
    turns = np.exp(np.outer(shifts, np.arange(len(spectrum))) * (2j * np.pi / size))
    spectrum[[0, -1]] /= 2  # rfft stores every other bin only once
    inner = 2 * (turns @ spectrum).real / size
    norm = math.sqrt(float(received @ received) * float(said @ said)) or 1.0
    return min(1.0, max(0.0, float(inner.max()) / norm))


def _snr_db(correlation: float) -> float:
    """Compute the signal-to-noise ratio. The best fit leaves 1 - rho^2 as noise."""
    explained = correlation**2
    ratio = (explained + 1e-12) / (1 - explained + 1e-12)
    return max(-MAX_SNR_DB, min(MAX_SNR_DB, 10 * math.log10(ratio)))


def resample(samples: npt.NDArray[np.generic], from_hz: int, to_hz: int) -> Signal:
    """Resample one complete piece of audio by cutting or padding its spectrum."""
    sound = samples.astype(np.float64)
    if from_hz == to_hz or not len(sound):
        return sound
    common = math.gcd(from_hz, to_hz)
    blocks = -(-len(sound) * common // from_hz)
    source_length, target_length = blocks * from_hz // common, blocks * to_hz // common
    spectrum = np.fft.rfft(sound, source_length)[: target_length // 2 + 1]
    resampled = np.fft.irfft(spectrum, target_length) * (to_hz / from_hz)
    return resampled[: round(len(sound) * to_hz / from_hz)]


@dataclass(frozen=True, slots=True)
class SpeechOnset:
    at_ms: int


@dataclass(frozen=True, slots=True)
class SpeechEnd:
    at_ms: int


class VoiceActivityDetector:
    """Detects speech by energy, with a hangover time. Its clock is the audio.

    Times follow OpenAI's server VAD: a start includes the prefix padding, a stop the silence.
    """

    ONSET_FRAMES = 3  # a click shorter than 30 ms is not speech

    def __init__(
        self,
        rate_hz: int,
        threshold: float = 0.5,
        prefix_padding_ms: int = 300,
        silence_duration_ms: int = 500,
    ) -> None:
        self._frame_samples = rate_hz * FRAME_MS // 1000
        self._level_dbfs = -60 + 40 * threshold  # 0.5 is -40 dBFS, 20 dB below the level of speech
        self._prefix_padding_ms = prefix_padding_ms
        self._silence_frames = max(1, silence_duration_ms // FRAME_MS)
        self._remainder = np.zeros(0, np.int16)
        self._frames = 0
        self._loud_run = 0
        self._quiet_run = 0
        self.speaking = False

    @property
    def now_ms(self) -> int:
        return self._frames * FRAME_MS

    def feed(self, samples: Samples) -> list[SpeechOnset | SpeechEnd]:
        samples = np.concatenate((self._remainder, samples))
        whole = len(samples) - len(samples) % self._frame_samples
        self._remainder = samples[whole:]
        levels = _frame_levels_dbfs(samples[:whole].astype(np.float64), self._frame_samples)
        received = (self._hear(bool(level > self._level_dbfs)) for level in levels)
        return [event for event in received if event]

    def _hear(self, loud: bool) -> SpeechOnset | SpeechEnd | None:
        self._frames += 1
        self._loud_run = self._loud_run + 1 if loud else 0
        self._quiet_run = 0 if loud else self._quiet_run + 1
        if not self.speaking and self._loud_run >= self.ONSET_FRAMES:
            self.speaking = True
            onset_ms = self.now_ms - self._loud_run * FRAME_MS
            return SpeechOnset(max(0, onset_ms - self._prefix_padding_ms))
        if self.speaking and self._quiet_run >= self._silence_frames:
            self.speaking = False
            return SpeechEnd(self.now_ms)
        return None


def _frame_levels_dbfs(sound: Signal, frame_samples: int) -> Signal:
    whole = len(sound) // frame_samples
    frames = sound[: whole * frame_samples].reshape(whole, frame_samples)
    levels: Signal = 10 * np.log10((frames**2).mean(axis=1) / FULL_SCALE**2 + 1e-12)
    return levels
