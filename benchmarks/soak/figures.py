"""What a soak has measured, and whether memory grows. Pure, except for the file."""

from collections.abc import Iterator
from pathlib import Path
from statistics import median

import msgspec
from msgspec import Struct

RESULTS = Path(__file__).resolve().parent.parent / "results" / "soak.json"
MAX_GROWTH_KB = 8.0
"""Maximum growth per call in the second half of a run. A call that is kept needs several times as
much."""
MIN_CALLS_PER_SLOT = 10
"""Memory is judged after so many calls per slot. Before, threads start and the allocator's arenas
fill up: 400 short calls on 40 slots took 10 MB more, and the next 400 took 0.6 MB."""
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


def can_judge_memory(soak: Soak) -> bool:
    """Whether the process had warmed up before the second half of the run."""
    return _second_half(soak)[0].calls >= MIN_CALLS_PER_SLOT * soak.slots


def growth_kb(soak: Soak) -> float:
    """The growth per call in the second half of the run, from the medians of its two quarters."""
    half = _second_half(soak)
    third, last = half[: len(half) // 2], half[-(len(half) // 2) :]
    calls = median(each.calls for each in last) - median(each.calls for each in third)
    grown_mb = median(each.rss_mb for each in last) - median(each.rss_mb for each in third)
    return grown_mb * 1024 / max(1.0, calls)


def _second_half(soak: Soak) -> tuple[Sample, ...]:
    return soak.samples[len(soak.samples) // 2 :]


def problems(soak: Soak) -> Iterator[str]:
    if can_judge_memory(soak) and (grown := growth_kb(soak)) > MAX_GROWTH_KB:
        yield f"memory grows by {grown:.1f} KB per call in the second half of the run"
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
