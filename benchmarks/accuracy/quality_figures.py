"""benchmarks/results/quality.json: what `make bench-quality` measured, how far it may be off,
and what the page says of it."""

import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import msgspec
from msgspec import Struct

QUALITY = Path(__file__).resolve().parent.parent / "results" / "quality.json"
MAX_LOSS_MOS = 0.05


class Heard(Struct, frozen=True):
    """Of the same speech at the far end of one road."""

    mos: float
    words_wrong: float
    """Of a hundred."""


class Comparison(Struct, frozen=True):
    direction: str
    mode: str
    against: str
    """What is ideal, and by which PESQ both are judged."""
    lost: float
    reordered: float
    ideal: Heard
    bridge: Heard

    @property
    def mos_lost(self) -> float:
        return self.ideal.mos - self.bridge.mos


def worst(comparisons: Sequence[Comparison]) -> Comparison:
    return max(comparisons, key=lambda each: each.mos_lost)


def load() -> list[Comparison]:
    if not QUALITY.exists():
        return []
    return msgspec.json.decode(QUALITY.read_bytes(), type=list[Comparison])


def save(comparisons: list[Comparison]) -> None:
    QUALITY.write_bytes(msgspec.json.format(msgspec.json.encode(comparisons), indent=1) + b"\n")


METHOD = f"""\
Made by `make bench-quality`, which fails where the bridge costs more than {MAX_LOSS_MOS} MOS.
Two recorded voices go through the container's code, from the line's frames to what the model is
sent and from the model's deltas to the frames of the line; and through G.711 alone, by a codec
written apart from the container's. MOS is PESQ against the recording: P.862.1 for the telephone's
band, P.862.2 for that of L16, where what is ideal is the line itself. Words are the percentage that
a small recogniser (moonshine-voice, tiny) hears otherwise than in the recording; there are so few
that one or two more say nothing. A cell is ideal / bridge.
"""

LOSSY_METHOD = """\
From the caller to the model, on lines that lose frames of 20 ms, deliver some 20 to 50 ms late (so
that one or two others overtake them), or both; the mean of three seeds. The ideal line loses the
same frames, plays silence for them, and waits for a late one however long: where the bridge is
better, that is the frame before a lost one, which it repeats. What we send has no number by which
its losses could be told; they are not measured.
"""


def section(comparisons: Sequence[Comparison]) -> str:
    clean = [each for each in comparisons if not each.lost and not each.reordered]
    lossy = [each for each in comparisons if each.lost or each.reordered]
    head = "| direction | line, model | ideal | MOS | words wrong % |\n|---|---|---|--:|--:|\n"
    rows = "".join(
        f"| {each.direction} | {each.mode} | {each.against} | {_mos(each)} | {_words(each)} |\n"
        for each in clean
    )
    return "\n".join((METHOD, head + rows, LOSSY_METHOD, _lossy(lossy)))


def _lossy(comparisons: Sequence[Comparison]) -> str:
    """A row for each condition, a column for each mode and what it is held against."""
    columns = dict.fromkeys(f"{each.mode} ({each.against})" for each in comparisons)
    table = f"| lost | reordered | {' | '.join(columns)} |\n|--:|--:|{'--:|' * len(columns)}\n"
    for (lost, reordered), row in groupby(comparisons, lambda each: (each.lost, each.reordered)):
        cells = (f"{_mos(each)}; {_words(each)} %" for each in row)
        table += f"| {lost:.0%} | {reordered:.0%} | {' | '.join(cells)} |\n"
    return table


def _mos(each: Comparison) -> str:
    return f"{each.ideal.mos:.2f} / {each.bridge.mos:.2f}"


def _words(each: Comparison) -> str:
    return f"{each.ideal.words_wrong:.1f} / {each.bridge.words_wrong:.1f}"


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def word_errors(said: list[str], heard: list[str]) -> int:
    """Words put in, left out or taken for others (Levenshtein's distance)."""
    distances: list[int] = [*range(len(heard) + 1)]
    for row, word in enumerate(said, 1):
        diagonal, distances[0] = distances[0], row
        for column, other in enumerate(heard, 1):
            changed = diagonal + int(word != other)
            diagonal = distances[column]
            distances[column] = min(changed, diagonal + 1, distances[column - 1] + 1)
    return distances[-1]
