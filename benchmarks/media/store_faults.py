"""Measures whether audio comes later while the table fails: all faults side by side under the same
load. Figures go to benchmarks/results/store_faults.json, and from there to docs/reliability.md.

make bench-faults ARGS="--calls 40 --rounds 3"
"""

import argparse
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median

import msgspec
from msgspec import Struct

from benchmarks.drills.store_fault import StoreFault
from benchmarks.media.container import OURS, database, faulty_table
from benchmarks.media.figures import Delays, Figures
from benchmarks.media.results import Case, machine, now
from benchmarks.media.run import Bench
from phonebridge.settings import ModelAudio

RESULTS = Path(__file__).resolve().parent.parent / "results" / "store_faults.json"


class AudioDuringFault(Struct, frozen=True):
    """Delays in milliseconds, each the median of the rounds."""

    fault: StoreFault
    audio: ModelAudio
    to_model_p50: float
    to_model_p99: float
    to_phone_p50: float
    to_phone_p99: float
    calls_lost: int


class StoredFigures(Struct, frozen=True):
    date: str
    machine: str
    calls: int
    rounds: int
    rows: tuple[AudioDuringFault, ...]


def load(path: Path = RESULTS) -> StoredFigures | None:
    """None if nothing was measured yet."""
    if not path.exists():
        return None
    return msgspec.json.decode(path.read_bytes(), type=StoredFigures)


def table(stored: StoredFigures) -> list[str]:
    """A table in Markdown."""
    head = (
        "| table | audio of the model | caller → model p50 / p99 | model → caller p50 / p99"
        " | calls lost |",
        "|---|---|--:|--:|--:|",
    )
    rows = (
        f"| {row.fault} | {row.audio} | {row.to_model_p50:.2f} / {row.to_model_p99:.2f} ms"
        f" | {row.to_phone_p50:.2f} / {row.to_phone_p99:.2f} ms | {row.calls_lost} |"
        for row in stored.rows
    )
    return [*head, *rows]


def _measure(fault: StoreFault, case: Case, seconds: float) -> Figures:
    """The fault begins with the steady window and lasts for all of it."""
    with ExitStack() as stack:
        store = stack.enter_context(database())
        proxy = stack.enter_context(faulty_table(store.address, fault))
        bench = Bench(replace(store, address=proxy.address), None, seconds, proxy.pid)
        run = bench.run(case)
    if run.figures is None:
        raise SystemExit(f"{fault}: {run.failure}")
    return run.figures


def _row(fault: StoreFault, audio: ModelAudio, rounds: list[Figures]) -> AudioDuringFault:
    to_model, to_phone = [each.to_model for each in rounds], [each.to_phone for each in rounds]
    return AudioDuringFault(
        fault,
        audio,
        *(_p50(to_model), _p99(to_model)),
        *(_p50(to_phone), _p99(to_phone)),
        sum(each.calls_lost for each in rounds),
    )


def _p50(rounds: list[Delays]) -> float:
    return median(each.p50 or 0.0 for each in rounds)


def _p99(rounds: list[Delays]) -> float:
    return median(each.p99 or 0.0 for each in rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    rows = []
    for audio in ModelAudio:
        case = Case(OURS.name, audio, False, given.calls)
        figures: dict[StoreFault, list[Figures]] = {fault: [] for fault in StoreFault}
        for _ in range(given.rounds):
            for fault, rounds in figures.items():
                rounds.append(_measure(fault, case, given.seconds))
        rows += [_row(fault, audio, rounds) for fault, rounds in figures.items()]
    stored = StoredFigures(now(), machine(), given.calls, given.rounds, tuple(rows))
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(stored), indent=1) + b"\n")
    print("\n".join(table(stored)))


if __name__ == "__main__":
    main()
