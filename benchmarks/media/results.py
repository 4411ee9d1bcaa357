"""The stored results (benchmarks/results/results.json): every run, with its machine and
versions."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

import msgspec
from msgspec import Struct

from benchmarks.media.figures import Figures
from phonebridge.settings import ModelAudio

RESULTS = Path(__file__).resolve().parent.parent / "results" / "results.json"
OURS = "phonebridge"
LIBRARIES = ("msgspec", "numpy", "picows", "starlette", "uvloop", "uvicorn", "websockets")


class Case(Struct, frozen=True):
    """A case of the comparison. Two targets in the same case had the same load."""

    target: str
    audio: ModelAudio
    tls: bool
    calls: int


class Run(Struct, frozen=True):
    case: Case
    date: str
    figures: Figures | None
    failure: str | None = None
    """The reason why there are no figures."""


class Capacity(Struct, frozen=True):
    """The largest number of calls that one core carried, and what failed with more."""

    target: str
    audio: ModelAudio
    tls: bool
    calls: int
    limit: str


Point = tuple[float, float]


class Results(Struct):
    machine: str = ""
    versions: dict[str, str] = {}
    runs: list[Run] = []
    capacities: list[Capacity] = []

    def replace_runs(self, runs: list[Run]) -> None:
        """Replace all runs of the measured cases. The figures of a case come from one
        measurement."""
        measured = {run.case for run in runs}
        self.runs = [run for run in self.runs if run.case not in measured] + runs
        self._note_machine()

    def replace_capacity(self, found: Capacity) -> None:
        key = (found.target, found.audio, found.tls)
        others = [c for c in self.capacities if (c.target, c.audio, c.tls) != key]
        self.capacities = [*others, found]
        self._note_machine()

    def _note_machine(self) -> None:
        self.machine = machine()
        self.versions = {"python": platform.python_version()} | versions()

    def cases(self) -> list[Case]:
        return list(dict.fromkeys(run.case for run in self.runs))

    def targets(self) -> list[str]:
        """All targets, ours first. The order does not depend on the order of measurement."""
        return sorted({case.target for case in self.cases()}, key=lambda name: (name != OURS, name))

    def core_shares(self, target: str, audio: ModelAudio) -> list[Point]:
        """Percent of one core by number of calls, without TLS."""
        best = ((calls, self.best(Case(target, audio, False, calls))) for calls in self._sizes())
        return [
            (calls, 100 * calls * each.cpu_per_call_minute / 60) for calls, each in best if each
        ]

    def delays_to_model(self, target: str, audio: ModelAudio) -> list[Point]:
        """p99 in milliseconds by number of calls, without TLS."""
        typical = (
            (calls, self.typical(Case(target, audio, False, calls))) for calls in self._sizes()
        )
        return [(n, p99) for n, each in typical if each and (p99 := each.to_model.p99) is not None]

    def _sizes(self) -> list[int]:
        return sorted({case.calls for case in self.cases()})

    def best(self, case: Case) -> Figures | None:
        """The round with the least CPU time, because other load on the machine can only add
        time."""
        rounds = self._rounds(case)
        return min(rounds, key=lambda each: each.cpu_per_call_minute) if rounds else None

    def typical(self, case: Case) -> Figures | None:
        """The round with the median delay to the model."""
        rounds = sorted(self._rounds(case), key=lambda each: each.to_model.p99 or 0.0)
        return rounds[(len(rounds) - 1) // 2] if rounds else None

    def median_cpu(self, case: Case) -> float | None:
        rounds = self._rounds(case)
        return median(each.cpu_per_call_minute for each in rounds) if rounds else None

    def failure(self, case: Case) -> str | None:
        return next((run.failure for run in self.runs if run.case == case and run.failure), None)

    def _rounds(self, case: Case) -> list[Figures]:
        """The valid rounds if there are any. A late generator says nothing about the target."""
        rounds = [run.figures for run in self.runs if run.case == case and run.figures]
        return [each for each in rounds if each.is_valid] or rounds


def load(path: Path = RESULTS) -> Results:
    if not path.exists():
        return Results()
    return msgspec.json.decode(path.read_bytes(), type=Results)


def save(results: Results, path: Path = RESULTS) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line for line in lines if line.startswith("model name")), platform.machine())
    return f"{model.partition(': ')[2] or model}, {os.cpu_count()} cores, {platform.system()}"


def versions() -> dict[str, str]:
    return {name: version(name) for name in LIBRARIES}
