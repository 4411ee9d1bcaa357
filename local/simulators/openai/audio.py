"""Audio of the simulated model: three formats, the input buffer, and turn detection."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from simulators.audio.g711 import A_LAW, MU_LAW
from simulators.audio.speech import (
    SAMPLE_RATE_HZ,
    Clip,
    Samples,
    SpeechEnd,
    SpeechOnset,
    VoiceActivityDetector,
    resample,
)
from simulators.openai.settings import (
    AudioFormat,
    Pcm,
    Pcmu,
    SemanticVadSettings,
    ServerVadSettings,
)

PCM_RATE_HZ = 24000
SAMPLE_BYTES = 2
# The real detector judges the meaning and waits at most 8, 4 or 2 s. The clips are whole sentences.
SEMANTIC_SILENCE_MS = {"low": 1000, "medium": 700, "auto": 700, "high": 500}
KEPT_SILENCE_MS = 2000


def rate_hz(audio_format: AudioFormat) -> int:
    return PCM_RATE_HZ if isinstance(audio_format, Pcm) else SAMPLE_RATE_HZ


def bytes_per_ms(audio_format: AudioFormat) -> int:
    width = SAMPLE_BYTES if isinstance(audio_format, Pcm) else 1
    return rate_hz(audio_format) * width // 1000


def decode(audio_format: AudioFormat, data: bytes) -> Samples:
    if isinstance(audio_format, Pcm):
        return np.frombuffer(data, "<i2").astype(np.int16)
    return (MU_LAW if isinstance(audio_format, Pcmu) else A_LAW).decode(data)


def encode(audio_format: AudioFormat, clip: Clip) -> bytes:
    return _encode(type(audio_format), clip)


@lru_cache(maxsize=64)
def _encode(kind: type[AudioFormat], clip: Clip) -> bytes:
    to_hz = PCM_RATE_HZ if kind is Pcm else SAMPLE_RATE_HZ
    resampled = resample(clip.samples, clip.rate_hz, to_hz).round()
    samples = resampled.clip(-32768, 32767).astype("<i2")
    if kind is Pcm:
        return samples.tobytes()
    return (MU_LAW if kind is Pcmu else A_LAW).encode(samples)


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    samples: Samples
    rate_hz: int

    @property
    def duration_ms(self) -> float:
        return len(self.samples) * 1000 / self.rate_hz


class InputAudio:
    """The input audio buffer. Its clock is the audio that was appended, not real time."""

    def __init__(
        self,
        audio_format: AudioFormat,
        turn_detection: ServerVadSettings | SemanticVadSettings | None,
    ) -> None:
        self._clock_ms = 0.0
        self._chunks: list[Samples] = []
        self._remainder = b""
        self.configure(audio_format, turn_detection)

    def configure(
        self,
        audio_format: AudioFormat,
        turn_detection: ServerVadSettings | SemanticVadSettings | None,
    ) -> None:
        """Set format and detector. The detector starts again, while the clock continues."""
        self._format, self._rate_hz = audio_format, rate_hz(audio_format)
        self._detector = _detector(self._rate_hz, turn_detection)
        self._detector_began_ms = round(self._clock_ms)
        self.clear()

    @property
    def now_ms(self) -> int:
        return round(self._clock_ms)

    @property
    def buffered_ms(self) -> float:
        return sum(map(len, self._chunks)) * 1000 / self._rate_hz

    @property
    def speaking(self) -> bool:
        return self._detector is not None and self._detector.speaking

    def append(self, data: bytes) -> list[SpeechOnset | SpeechEnd]:
        samples = self._decode(data)
        self._chunks.append(samples)
        self._clock_ms += len(samples) * 1000 / self._rate_hz
        if self._detector is None:
            return []
        events = self._detector.feed(samples)
        if not events and not self.speaking:
            self._forget_silence()
        return [type(event)(event.at_ms + self._detector_began_ms) for event in events]

    def _decode(self, data: bytes) -> Samples:
        if isinstance(self._format, Pcm):
            data = self._remainder + data
            whole = len(data) - len(data) % SAMPLE_BYTES
            data, self._remainder = data[:whole], data[whole:]
        return decode(self._format, data)

    def _forget_silence(self) -> None:
        while self.buffered_ms - len(self._chunks[0]) * 1000 / self._rate_hz > KEPT_SILENCE_MS:
            del self._chunks[0]

    def take(self) -> Utterance:
        samples = np.concatenate((np.zeros(0, np.int16), *self._chunks))
        self.clear()
        return Utterance(samples, self._rate_hz)

    def clear(self) -> None:
        self._chunks.clear()
        self._remainder = b""


def _detector(
    rate_hz: int, turn_detection: ServerVadSettings | SemanticVadSettings | None
) -> VoiceActivityDetector | None:
    match turn_detection:
        case None:
            return None
        case ServerVadSettings():
            return VoiceActivityDetector(
                rate_hz,
                turn_detection.threshold or 0.0,
                turn_detection.prefix_padding_ms or 0,
                turn_detection.silence_duration_ms or 0,
            )
        case SemanticVadSettings():
            silence_ms = SEMANTIC_SILENCE_MS[str(turn_detection.eagerness)]
            return VoiceActivityDetector(rate_hz, silence_duration_ms=silence_ms)
