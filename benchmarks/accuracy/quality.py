"""Measures the speech quality that the bridge costs. Recorded speech goes through the bridge's
audio path and, for comparison, through ideal G.711 alone. Both are judged in MOS (PESQ, ITU-T
P.862) and in words that a recogniser gets wrong, on clean and on lossy lines.

It fails above 0.05 MOS. It runs in a separate environment (quality.requirements.in), because PESQ
is built from C.
"""

import itertools
import sys
import wave
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import mean

import numpy as np
from moonshine_voice.moonshine_api import ModelArch
from moonshine_voice.transcriber import Transcriber
from moonshine_voice.utils import get_assets_path
from pesq import pesq

from benchmarks.accuracy.audio_path import (
    Condition,
    LossyLine,
    Mode,
    caller_to_model,
    model_to_caller,
)
from benchmarks.accuracy.quality_figures import (
    MAX_LOSS_MOS,
    Comparison,
    Heard,
    save,
    word_errors,
    words,
    worst,
)
from media_bridge.audio.codecs import PCM16, PCM16_MAX, PCM16_MIN, Codec
from phonebridge.settings import ModelAudio
from simulators.audio.g711 import A_LAW, MU_LAW
from simulators.audio.speech import Samples, Signal, resample
from simulators.audio.voice import normalise

LAWS = {Codec.PCMU: MU_LAW, Codec.PCMA: A_LAW}
RECORDINGS = {"two_cities.wav": 18, "beckett.wav": 10}
"""Two voices that come with the recogniser, and how many seconds of each are used."""
PAUSE_SECONDS = 0.5
SHARES = (0.01, 0.03, 0.05)
CONDITIONS = (
    *(Condition(lost=share) for share in SHARES),
    *(Condition(reordered=share) for share in SHARES),
    *(Condition(lost=share, reordered=share) for share in SHARES),
)
SEEDS = range(3)
RECOGNISER_RATE_HZ = 16_000


@dataclass(frozen=True, slots=True)
class Sound:
    pcm: bytes
    rate_hz: int

    def at(self, rate_hz: int) -> Samples:
        samples = np.frombuffer(self.pcm, PCM16)
        return as_pcm16(resample(samples, self.rate_hz, rate_hz))


@dataclass(frozen=True, slots=True)
class Ideal:
    """A line without a bridge, and the PESQ of its band: P.862.1 up to 3.4 kHz, P.862.2 up to 7
    kHz."""

    name: str
    codec: Codec
    pesq_mode: str


WIDE = Ideal("the L16 line itself, P.862.2", Codec.L16, "wb")


def main() -> int:
    comparisons = [*clean(), *lossy()]
    save(comparisons)
    print(
        "| direction | mode | against | lost | reordered | MOS ideal | bridge | words % | bridge |"
    )
    for each in comparisons:
        print(row(each))
    found = worst(comparisons)
    print(f"worst: {found.mos_lost:+.3f} MOS of {MAX_LOSS_MOS} allowed: {row(found)}")
    return int(found.mos_lost > MAX_LOSS_MOS)


def clean() -> Iterator[Comparison]:
    modes = [*(Mode(law, audio) for law in LAWS for audio in ModelAudio)]
    roads = [(mode, g711(mode.codec)) for mode in modes]
    for direction, (mode, ideal) in itertools.product(DIRECTIONS, roads + HD_ROADS):
        yield compare(direction, mode, ideal, Condition(), range(1))


def lossy() -> Iterator[Comparison]:
    """Compare both on lossy lines, from the caller to the model only. Frames to the caller have no
    sequence number, so their losses cannot be repaired."""
    roads = [(Mode(Codec.PCMU, audio), g711(Codec.PCMU)) for audio in ModelAudio]
    for condition, (mode, ideal) in itertools.product(CONDITIONS, roads + HD_ROADS):
        yield compare("caller to model", mode, ideal, condition, SEEDS)


def g711(law: Codec) -> Ideal:
    return Ideal(f"G.711 {law.value}, P.862.1", law, "nb")


HD_MODE = Mode(Codec.L16, ModelAudio.PCM24K)
HD_ROADS = [(HD_MODE, g711(Codec.PCMU)), (HD_MODE, WIDE)]


def compare(
    direction: str, mode: Mode, ideal: Ideal, condition: Condition, seeds: Iterable[int]
) -> Comparison:
    lines = [LossyLine(condition, seed) for seed in seeds]
    said = [*map(recording, RECORDINGS)]
    road = DIRECTIONS[direction]
    return Comparison(
        direction,
        f"{mode.codec.value}, model {mode.model_audio.value}",
        ideal.name,
        condition.lost,
        condition.reordered,
        judge([(s, over(ideal.codec, s, line)) for s in said for line in lines], ideal),
        judge([(s, road(mode, s, line)) for s in said for line in lines], ideal),
    )


def over(codec: Codec, said: Sound, line: LossyLine) -> Sound:
    return decode(codec, line.ideal(codec, encode(codec, said)))


def to_model(mode: Mode, said: Sound, line: LossyLine) -> Sound:
    heard = caller_to_model(mode, line.arrivals(mode.codec, encode(mode.codec, said)))
    if mode.model_audio is ModelAudio.G711:
        return decode(mode.codec, heard)
    return Sound(heard, mode.model_rate_hz)


def to_caller(mode: Mode, said: Sound, _line: LossyLine) -> Sound:
    if mode.model_audio is ModelAudio.G711:
        spoken = encode(mode.codec, said)
    else:
        spoken = said.at(mode.model_rate_hz).astype(PCM16).tobytes()
    return decode(mode.codec, model_to_caller(mode, spoken))


DIRECTIONS: dict[str, Callable[[Mode, Sound, LossyLine], Sound]] = {
    "caller to model": to_model,
    "model to caller": to_caller,
}


def encode(codec: Codec, said: Sound) -> bytes:
    samples = said.at(codec.rate_hz)
    return samples.astype(PCM16).tobytes() if codec is Codec.L16 else LAWS[codec].encode(samples)


def decode(codec: Codec, sound: bytes) -> Sound:
    """Decode with codecs that were written separately from the bridge's, so that a mistake there
    does not cancel out."""
    pcm = sound if codec is Codec.L16 else LAWS[codec].decode(sound).astype(PCM16).tobytes()
    return Sound(pcm, codec.rate_hz)


def judge(pairs: list[tuple[Sound, Sound]], ideal: Ideal) -> Heard:
    """Judge a set of recordings. The words of the recording itself are those that the recogniser
    finds in it."""
    said = [words(transcript(said)) for said, _ in pairs]
    wrong = sum(
        word_errors(there, words(transcript(heard)))
        for there, (_, heard) in zip(said, pairs, strict=True)
    )
    return Heard(
        mean(mos(said, heard, ideal) for said, heard in pairs), 100 * wrong / sum(map(len, said))
    )


@cache
def mos(said: Sound, heard: Sound, ideal: Ideal) -> float:
    rate_hz = ideal.codec.rate_hz
    return float(pesq(rate_hz, said.at(rate_hz), heard.at(rate_hz), ideal.pesq_mode))


@cache
def transcript(sound: Sound) -> str:
    samples = sound.at(RECOGNISER_RATE_HZ) / -PCM16_MIN
    heard = recogniser().transcribe_without_streaming(samples.tolist(), RECOGNISER_RATE_HZ)
    return " ".join(line.text for line in heard.lines)


@cache
def recogniser() -> Transcriber:
    return Transcriber(str(Path(get_assets_path()) / "tiny-en"), ModelArch.TINY)


@cache
def recording(name: str) -> Sound:
    """Load a recording, followed by the silence that the filters and the last frame need."""
    with wave.open(str(Path(get_assets_path()) / name)) as wav:
        rate_hz = wav.getframerate()
        samples = np.frombuffer(wav.readframes(RECORDINGS[name] * rate_hz), PCM16)
    pause = np.zeros(round(PAUSE_SECONDS * rate_hz))
    padded = np.concatenate((pause, normalise(samples.astype(np.float64)), pause))
    return Sound(as_pcm16(padded).astype(PCM16).tobytes(), rate_hz)


def as_pcm16(sound: Signal) -> Samples:
    return np.rint(sound).clip(PCM16_MIN, PCM16_MAX).astype(np.int16)


def row(each: Comparison) -> str:
    cells = (
        each.direction,
        each.mode,
        each.against,
        f"{each.lost:.0%}",
        f"{each.reordered:.0%}",
        *(f"{heard.mos:.3f}" for heard in (each.ideal, each.bridge)),
        *(f"{heard.words_wrong:.1f}" for heard in (each.ideal, each.bridge)),
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
