"""Measures whether a quarter of a vCPU carries ten calls: the time to start, the lag of the event
loop, and the delays of the calls. Figures go to benchmarks/results/small_task.json, and from there
to docs/cost.md.

The container gets a share of a core by the quota that container engines use (throttle.py). An
eighth stands for a core that is half as fast. Sessions with the model use TLS. Needs root.

make bench-quarter ARGS="--seconds 60"
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import httpx
import msgspec
from msgspec import Struct

from benchmarks.media import run
from benchmarks.media.container import LOGS, OURS, database, running
from benchmarks.media.figures import Delays, Figures, delays
from benchmarks.media.results import Case, machine, now
from benchmarks.media.throttle import ALL_OF_A_CORE, Watch, throttled
from phonebridge.settings import ModelAudio

RESULTS = Path(__file__).resolve().parent.parent / "results" / "small_task.json"
CALLS = 10
CASES = (
    (ALL_OF_A_CORE, ModelAudio.PCM24K),
    (0.25, ModelAudio.PCM24K),
    (0.125, ModelAudio.PCM24K),
    (0.25, ModelAudio.G711),
)
STARTS = 3
PUBLISHING = ("env", "METRICS_NAMESPACE=benchmark")
"""The container logs its metrics, once a minute."""
START_SECONDS = 120.0
POLL_SECONDS = 0.01
END_SECONDS = 3
"""From the end of the steady window to that of the container."""


class SmallTask(Struct, frozen=True):
    """A task with a share of a core, and its calls."""

    share: float
    audio: ModelAudio
    start_seconds: float
    """From the start of the process to the answer to a health check, the median."""
    lag: Delays
    """Of the event loop, as the metric LoopLagMs reports it."""
    standstill_percent: float
    """Of the periods of 100 ms, those in which the share was used up."""
    figures: Figures

    @property
    def core_percent(self) -> float:
        return 100 * self.figures.calls * self.figures.cpu_per_call_minute / 60


class StoredTasks(Struct, frozen=True):
    date: str
    machine: str
    rows: tuple[SmallTask, ...]


def load(path: Path = RESULTS) -> StoredTasks:
    return msgspec.json.decode(path.read_bytes(), type=StoredTasks)


def table(stored: StoredTasks) -> list[str]:
    """A table in Markdown."""
    head = (
        "| share of a core | model's audio | start | CPU used | periods with a standstill"
        " | loop lag p99 / max | caller → model p50 / p99 | model → caller p50 / p99"
        " | late chunks | calls lost |",
        f"|--:|---|{'--:|' * 8}",
    )
    return [*head, *map(_row, stored.rows)]


def _row(task: SmallTask) -> str:
    to_model, to_phone = task.figures.to_model, task.figures.to_phone
    cells = (
        f"{task.share:g}",
        str(task.audio),
        f"{task.start_seconds:.1f} s",
        f"{task.core_percent:.1f} %",
        f"{task.standstill_percent:.1f} %",
        f"{task.lag.p99:.0f} / {task.lag.max:.0f} ms",
        f"{to_model.p50:.2f} / {to_model.p99:.2f} ms",
        f"{to_phone.p50:.2f} / {to_phone.p99:.2f} ms",
        str(task.figures.late_chunks),
        str(task.figures.calls_lost),
    )
    return f"| {' | '.join(cells)} |"


def lags_of(log: str) -> list[float]:
    """Return the samples of LoopLagMs in a log of the container."""
    lines = (json.loads(line) for line in log.splitlines() if line.startswith('{"_aws"'))
    return [float(lag) for line in lines for lag in line.get("LoopLagMs", [])]


def measure(share: float, audio: ModelAudio, seconds: float) -> SmallTask:
    with run.prepared(seconds, tls=True) as bench, throttled(share) as quota:
        bench.wrapper = (*PUBLISHING, *quota.wrapper)
        with Watch(quota) as watch:
            result = bench.run(Case(OURS.name, audio, True, CALLS))
    standstill = watch.standstill_percent(round(seconds), before_end=END_SECONDS)
    if result.figures is None:
        raise SystemExit(f"{share:g} of a core: {result.failure}")
    lags = lags_of((LOGS / f"bench-{OURS.name}.log").read_text())
    if not lags:
        raise SystemExit("the container logged no LoopLagMs: use more --seconds")
    start = median(_starts(share))
    return SmallTask(share, audio, start, delays(lags), standstill, result.figures)


def _starts(share: float) -> Iterator[float]:
    for _ in range(STARTS):
        with database() as store, throttled(share) as quota:
            environ = os.environ | store.environ() | {"OPENAI_API_KEY": "sk-local"}
            port = run.free_port()
            began = time.monotonic()
            with running(OURS, port, environ, quota.wrapper):
                _wait_until(_answers(f"http://127.0.0.1:{port}/healthz"))
                yield time.monotonic() - began


def _answers(url: str) -> Callable[[], bool]:
    def is_healthy() -> bool:
        try:
            return httpx.get(url).is_success
        except httpx.TransportError:
            return False

    return is_healthy


def _wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("the container did not start; see .build/bench-phonebridge.log")
        time.sleep(POLL_SECONDS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the steady window")
    given = parser.parse_args()
    rows = []
    for share, audio in CASES:
        rows.append(measure(share, audio, given.seconds))
        print(_row(rows[-1]), flush=True)
    stored = StoredTasks(now(), machine(), tuple(rows))
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(stored), indent=1) + b"\n")


if __name__ == "__main__":
    main()
