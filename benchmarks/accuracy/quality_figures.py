"""The results of `make bench-quality`: how they are stored in benchmarks/results/quality.json, the
limit for the loss of quality, and their section of docs/performance.md."""

import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import msgspec
from msgspec import Struct

QUALITY = Path(__file__).resolve().parent.parent / "results" / "quality.json"
MAX_LOSS_MOS = 0.05


class Heard(Struct, frozen=True):
    """The quality of the speech that arrives at the far end."""

    mos: float
    words_wrong: float
    """Percent of the words that the recogniser gets wrong."""


class Comparison(Struct, frozen=True):
    direction: str
    mode: str
    against: str
    """The ideal that the bridge is compared with, and the kind of PESQ that judges both."""
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
`make bench-quality` measures how much the bridge changes speech. It fails if the bridge costs more
than {MAX_LOSS_MOS} MOS.

Two recorded voices go through the container's code in both directions. For comparison, they go
through G.711 alone, with a codec that was written separately from the container's. MOS is PESQ
against the recording: P.862.1 for the telephone band, P.862.2 for the band of L16. For L16, the
line itself is the ideal.

*Words wrong* is the percentage of words that a small recogniser (moonshine-voice, tiny) gets wrong.
The texts are short, so a difference of one or two words says nothing. Cells are ideal / bridge.
"""

LOSSY_METHOD = """\
The next table is about lossy lines, from the caller to the model. The lines lose frames of 20 ms,
deliver some of them 20 to 50 ms late, or both. A late frame arrives after one or two younger ones.
The figures are the mean of three seeds.

The ideal line loses the same frames, plays silence for them, and waits for late frames without
limit. The bridge can be better than that, because it repeats the frame before a lost one. Losses on
the way to the caller are not measured: these frames have no sequence number.
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
    """Make a table with a row per condition and a column per mode and ideal."""
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
    """The number of words inserted, left out or replaced (Levenshtein distance)."""
    distances: list[int] = [*range(len(heard) + 1)]
    for row, word in enumerate(said, 1):
        diagonal, distances[0] = distances[0], row
        for column, other in enumerate(heard, 1):
            changed = diagonal + int(word != other)
            diagonal = distances[column]
            distances[column] = min(changed, diagonal + 1, distances[column - 1] + 1)
    return distances[-1]
