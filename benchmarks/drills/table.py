"""The rows of the table: all runs of one fault together."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles

from benchmarks.drills.drill import Drill, DrillResult, KindResult


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    repetitions: int
    calls: int
    lost: int
    moved: int
    silences: tuple[float, ...]
    wrong: int
    clean_seconds: tuple[float, ...]
    commands_lost: int
    commands_repeated: int
    legs_open_late: int


HEAD = (
    "fault",
    "runs",
    "calls",
    "lost",
    "silence p50 / max",
    "wrong records",
    "clean-up p50 / max",
    "commands lost",
    "commands repeated",
    "legs open after 10 s",
)


LOSS_HEAD = (
    "what is lost",
    "calls",
    "interruptions",
    "calls ended",
    "silence p50 / p99 / max",
    "wrong records",
    "commands lost",
    "commands repeated",
)


def rows_by_fault(drills: Iterable[Drill], results: Mapping[str, DrillResult]) -> list[Row]:
    runs: dict[str, list[DrillResult]] = {}
    for drill in drills:
        if drill.name in results:
            runs.setdefault(drill.fault, []).append(results[drill.name])
    return [
        _row(
            fault,
            sum(result.runs for result in own),
            [kind for result in own for kind in result.kinds],
        )
        for fault, own in runs.items()
    ]


def rows_by_kind(results: Iterable[DrillResult]) -> list[Row]:
    kinds: dict[str, list[KindResult]] = {}
    for result in results:
        for kind in result.kinds:
            kinds.setdefault(kind.kind, []).append(kind)
    return [_row(name, len(own), own) for name, own in kinds.items()]


def _row(name: str, repetitions: int, kinds: Sequence[KindResult]) -> Row:
    return Row(
        name=name,
        repetitions=repetitions,
        calls=sum(each.calls for each in kinds),
        lost=sum(each.lost for each in kinds),
        moved=sum(each.moved for each in kinds),
        silences=tuple(seconds for each in kinds for seconds in each.silences),
        wrong=sum(each.wrong for each in kinds),
        clean_seconds=tuple(seconds for each in kinds for seconds in each.clean_seconds),
        commands_lost=sum(each.commands_lost for each in kinds),
        commands_repeated=sum(each.commands_repeated for each in kinds),
        legs_open_late=sum(each.legs_open_late for each in kinds),
    )


def markdown(rows: Iterable[Row], first: str = HEAD[0]) -> Iterator[str]:
    yield f"| {first} | {' | '.join(HEAD[1:])} |"
    yield f"|---|{'--:|' * (len(HEAD) - 1)}"
    for row in rows:
        yield f"| {' | '.join(_cells(row))} |"


def loss_markdown(rows: Iterable[Row]) -> Iterator[str]:
    """The table of drills whose silences belong to interruptions, not to calls."""
    yield f"| {' | '.join(LOSS_HEAD)} |"
    yield f"|---|{'--:|' * (len(LOSS_HEAD) - 1)}"
    for row in rows:
        cells = (
            row.name,
            row.calls,
            len(row.silences),
            row.lost,
            _percentiles(row.silences),
            row.wrong,
            row.commands_lost,
            row.commands_repeated,
        )
        yield f"| {' | '.join(map(str, cells))} |"


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.name,
        str(row.repetitions),
        str(row.calls),
        str(row.lost),
        _spread(row.silences),
        str(row.wrong),
        _spread(row.clean_seconds),
        str(row.commands_lost),
        str(row.commands_repeated),
        str(row.legs_open_late),
    )


def _spread(seconds: Sequence[float]) -> str:
    """The median and the largest."""
    if not seconds:
        return "–"
    median = quantiles(seconds, n=2)[0] if len(seconds) > 1 else seconds[0]
    return f"{median:.1f} / {max(seconds):.1f} s"


def _percentiles(seconds: Sequence[float]) -> str:
    if len(seconds) < 2:
        return "–"
    percentiles = quantiles(seconds, n=100, method="inclusive")
    return f"{percentiles[49]:.1f} / {percentiles[98]:.1f} / {max(seconds):.1f} s"
