"""What the bridge costs in quality: speech through its audio path against the same speech through
ideal G.711 alone, in MOS (PESQ, ITU-T P.862.1) and in lines recognised, on a clean line and on one
that loses and reorders frames. Writes quality.json; fails above 0.05 MOS.

Runs in an environment of its own (quality.requirements.in), for PESQ is built from C.
"""

import itertools
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from statistics import mean

import numpy as np
from pesq import pesq

from media_bridge.audio import (
    MODEL_RATE_HZ,
    PCM16,
    PCM16_MAX,
    PCM16_MIN,
    TELEPHONE_RATE_HZ,
    Codec,
    Converter,
    ModelToTelephone,
    PassThrough,
    TelephoneToModel,
)
from media_bridge.order import FrameOrder
from simulators.g711 import A_LAW, MU_LAW
from simulators.speech import CLIPS, Samples, Signal, recognise, resample

RESULTS = Path(__file__).parent / "quality.json"
LARGEST_DEGRADATION_MOS = 0.05
LAWS = {Codec.PCMU: MU_LAW, Codec.PCMA: A_LAW}
VOICES = ("agent", "caller")
PAUSE: Samples = np.zeros(TELEPHONE_RATE_HZ // 2, np.int16)
FRAME_SECONDS = 0.02
FRAME_BYTES = int(TELEPHONE_RATE_HZ * FRAME_SECONDS)
DELTA_BYTES = 4801
"""About 100 ms at 24 kHz, and odd: where a model cuts its audio is nobody's promise."""
LOSSES = (0.01, 0.02, 0.03, 0.04, 0.05)
SEEDS = range(5)
OVERTAKEN_SECONDS = (0.02, 0.05)
"""How much later than its turn a frame comes that one or two others overtake."""


@dataclass(frozen=True, slots=True)
class Clean:
    road: str
    codec: str
    voice: str
    ideal_mos: float
    bridge_mos: float


@dataclass(frozen=True, slots=True)
class Lossy:
    model_audio: str
    loss: float
    """Of the frames; as many again come out of their order."""
    ideal_mos: float
    bridge_mos: float
    ideal_recognised: float
    bridge_recognised: float


def main() -> int:
    clean = [
        Clean(name, codec.name, voice, *on_clean_line(*roads, codec, lines(voice)))
        for (name, roads), codec, voice in itertools.product(ROADS.items(), LAWS, VOICES)
    ]
    lossy = [
        Lossy(name, loss, *on_lossy_line(converter, loss))
        for (name, converter), loss in itertools.product(TO_MODEL.items(), LOSSES)
    ]
    rows: list[Clean | Lossy] = [*clean, *lossy]
    worst = max(row.ideal_mos - row.bridge_mos for row in rows)
    RESULTS.write_text(
        json.dumps({"clean": [*map(asdict, clean)], "lossy": [*map(asdict, lossy)]}, indent=1)
    )
    print_table(Clean, clean)
    print_table(Lossy, lossy)
    print(f"worst degradation: {worst:.3f} MOS, at most {LARGEST_DEGRADATION_MOS} allowed")
    return int(worst > LARGEST_DEGRADATION_MOS)


Road = Callable[[Samples, Codec], Samples]
"""From what is said to what is heard at the far end, both at 8 kHz."""


def ideal(said: Samples, codec: Codec) -> Samples:
    return LAWS[codec].decode(LAWS[codec].encode(said))


def ideal_twice(said: Samples, codec: Codec) -> Samples:
    """Half a sample apart: on the same samples the second coding would find the first one's levels
    and cost nothing, which no resampler leaves it."""
    spectrum = np.fft.rfft(ideal(said, codec))
    turned = spectrum * np.exp(-1j * np.pi * np.arange(len(spectrum)) / len(said))
    return ideal(as_pcm16(np.fft.irfft(turned, len(said))), codec)


def caller_to_model_g711(said: Samples, codec: Codec) -> Samples:
    return LAWS[codec].decode(through(PassThrough(), frames(said, codec)))


def caller_to_model_pcm(said: Samples, codec: Codec) -> Samples:
    return at_telephone_rate(through(TelephoneToModel(codec), frames(said, codec)))


def model_to_caller_g711(said: Samples, codec: Codec) -> Samples:
    deltas = pieces(LAWS[codec].encode(said), DELTA_BYTES)
    return LAWS[codec].decode(through(PassThrough(), deltas))


def model_to_caller_pcm(said: Samples, codec: Codec) -> Samples:
    deltas = pieces(at_model_rate(said), DELTA_BYTES)
    return LAWS[codec].decode(through(ModelToTelephone(codec), deltas))


def there_and_back_pcm(said: Samples, codec: Codec) -> Samples:
    """A call put through from line to line, were there one: what was G.711 becomes it again."""
    heard = through(TelephoneToModel(codec), frames(said, codec))
    return LAWS[codec].decode(through(ModelToTelephone(codec), pieces(heard, DELTA_BYTES)))


ROADS: dict[str, tuple[Road, Road]] = {
    "caller → model, g711": (ideal, caller_to_model_g711),
    "caller → model, pcm24k": (ideal, caller_to_model_pcm),
    "model → caller, g711": (ideal, model_to_caller_g711),
    "model → caller, pcm24k": (ideal, model_to_caller_pcm),
    "there and back, pcm24k": (ideal_twice, there_and_back_pcm),
}


def on_clean_line(
    ideal_road: Road, bridge_road: Road, codec: Codec, said: Samples
) -> tuple[float, float]:
    return mos(said, ideal_road(said, codec)), mos(said, bridge_road(said, codec))


@dataclass(frozen=True, slots=True)
class ToModel:
    """One kind of model audio, from the caller's frames to what the model hears at 8 kHz."""

    converter: Callable[[], Converter]
    hear: Callable[[bytes], Samples]


def on_lossy_line(audio: ToModel, loss: float) -> tuple[float, float, float, float]:
    """Mean MOS and share of lines recognised, over an ideal jitter buffer and over ours. The ideal
    one waits as long as it takes and, as ours, plays silence for what never comes."""
    ideal_mos, bridge_mos = [], []
    ideal_recognised, bridge_recognised = [], []
    for seed in SEEDS:
        said = lines("caller")
        line = LossyLine(said, loss, seed)
        ideal_mos.append(mos(said, line.ideal()))
        bridge_mos.append(mos(said, line.bridge(audio)))
        for clip in (clip for name, clip in CLIPS.items() if name.startswith("caller")):
            line = LossyLine(np.concatenate((PAUSE, clip.samples, PAUSE)), loss, seed)
            ideal_recognised.append(recognise(line.ideal()).clip is clip)
            bridge_recognised.append(recognise(line.bridge(audio)).clip is clip)
    return mean(ideal_mos), mean(bridge_mos), mean(ideal_recognised), mean(bridge_recognised)


class LossyLine:
    """A caller's frames in PCMU: some lost, as many again out of their order."""

    def __init__(self, said: Samples, loss: float, seed: int) -> None:
        self._frames = list(frames(said, Codec.PCMU))
        luck = np.random.default_rng(seed)
        fate = luck.random(len(self._frames))
        late = luck.uniform(*OVERTAKEN_SECONDS, len(fate)) * (fate >= 1 - loss)
        self._lost = fate < loss
        self._arrivals = np.arange(len(fate)) * FRAME_SECONDS + late

    def ideal(self) -> Samples:
        silent = Codec.PCMU.silence * FRAME_BYTES
        played = (silent if lost else f for f, lost in zip(self._frames, self._lost, strict=True))
        return MU_LAW.decode(b"".join(played))

    def bridge(self, audio: ToModel) -> Samples:
        return audio.hear(through(audio.converter(), self._in_order()))

    def _in_order(self) -> Iterator[bytes]:
        order = FrameOrder(Codec.PCMU.silence)
        for chunk in np.argsort(self._arrivals, kind="stable"):
            if self._lost[chunk]:
                continue
            now = float(self._arrivals[chunk])
            while (deadline := order.next_deadline()) is not None and deadline <= now:
                yield order.due(deadline)
            yield order.push(int(chunk), self._frames[chunk], now)
        yield order.due(math.inf)


def through(converter: Converter, stream: Iterable[bytes]) -> bytes:
    return b"".join([*map(converter.feed, stream), converter.flush()])


def frames(said: Samples, codec: Codec) -> Iterator[bytes]:
    return pieces(LAWS[codec].encode(said), FRAME_BYTES)


def pieces(stream: bytes, size: int) -> Iterator[bytes]:
    return (stream[at : at + size] for at in range(0, len(stream), size))


def at_model_rate(said: Samples) -> bytes:
    return as_pcm16(resample(said, TELEPHONE_RATE_HZ, MODEL_RATE_HZ)).astype(PCM16).tobytes()


def at_telephone_rate(pcm: bytes) -> Samples:
    return as_pcm16(resample(np.frombuffer(pcm, PCM16), MODEL_RATE_HZ, TELEPHONE_RATE_HZ))


def as_pcm16(sound: Signal) -> Samples:
    return np.rint(sound).clip(PCM16_MIN, PCM16_MAX).astype(np.int16)


TO_MODEL = {
    "g711": ToModel(PassThrough, MU_LAW.decode),
    "pcm24k": ToModel(lambda: TelephoneToModel(Codec.PCMU), at_telephone_rate),
}


def lines(voice: str) -> Samples:
    """All that one voice says, with pauses: P.862 wants at least eight seconds."""
    spoken = [clip.samples for name, clip in CLIPS.items() if name.startswith(voice)]
    return np.concatenate([part for samples in spoken for part in (PAUSE, samples)])


def mos(said: Samples, heard: Samples) -> float:
    return float(pesq(TELEPHONE_RATE_HZ, said, heard, "nb"))


def print_table(row_type: type[Clean | Lossy], rows: list[Clean] | list[Lossy]) -> None:
    print("| " + " | ".join(field.name for field in fields(row_type)) + " | lost_mos |")
    for row in rows:
        cells = [cell if isinstance(cell, str) else f"{cell:.3f}" for cell in astuple(row)]
        print("| " + " | ".join(cells) + f" | {row.ideal_mos - row.bridge_mos:+.3f} |")


if __name__ == "__main__":
    sys.exit(main())
