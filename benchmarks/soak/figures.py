"""What a soak has measured, and whether memory grows. Pure, except for the file."""

from collections.abc import Iterator
from pathlib import Path
from statistics import median

import msgspec
from msgspec import Struct

RESULTS = Path(__file__).resolve().parent.parent / "results" / "soak.json"
MAX_GROWTH_MB, MAX_GROWTH_SHARE = 6.0, 0.05
"""The larger of the two counts. Caches fill up during the first half of a run."""
MAX_LEFT_FILES = 60
"""Open files more than before the first call. Threads keep their connections to the table and to
Telnyx. A socket that stays open in each call would leave hundreds."""


class Sample(Struct, frozen=True):
    minute: float
    rss_mb: float
    open_files: int
    threads: int
    calls: int
    """Calls that have begun so far."""


class Soak(Struct, frozen=True):
    date: str
    machine: str
    minutes: float
    slots: int
    calls: int
    streams_lost: int
    sessions_lost: int
    wrong_records: int
    """Calls that have no end, or end with a fault."""
    before: Sample
    samples: tuple[Sample, ...]
    after: Sample
    """When all calls have ended."""


def growth_mb(soak: Soak) -> float:
    """The growth from the second quarter of the run to the last one, between their medians."""
    count = len(soak.samples)
    second = soak.samples[count // 4 : max(count // 2, count // 4 + 1)]
    last = soak.samples[-max(1, count // 4) :]
    return median(each.rss_mb for each in last) - median(each.rss_mb for each in second)


def problems(soak: Soak) -> Iterator[str]:
    share = MAX_GROWTH_SHARE * soak.samples[len(soak.samples) // 2].rss_mb
    if growth_mb(soak) > max(MAX_GROWTH_MB, share):
        yield f"memory grows: {growth_mb(soak):.1f} MB from the second quarter to the last"
    if soak.after.open_files > soak.before.open_files + MAX_LEFT_FILES:
        yield f"{soak.after.open_files - soak.before.open_files} files are still open"
    if soak.wrong_records:
        yield f"{soak.wrong_records} calls have no end, or the wrong one"
    if not (soak.streams_lost and soak.sessions_lost):
        yield "nothing was lost, so nothing was tried"


def table(soak: Soak) -> Iterator[str]:
    yield "| minute | memory (RSS) | open files | threads | calls so far |"
    yield "|--:|--:|--:|--:|--:|"
    for each in (soak.before, *soak.samples, soak.after):
        name = "after" if each is soak.after else f"{each.minute:.1f}"
        yield (
            f"| {name} | {each.rss_mb:.1f} MB | {each.open_files} | {each.threads} "
            f"| {each.calls:,} |"
        )


def load(path: Path = RESULTS) -> Soak | None:
    return msgspec.json.decode(path.read_bytes(), type=Soak) if path.exists() else None


def save(soak: Soak, path: Path = RESULTS) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(soak), indent=1) + b"\n")
