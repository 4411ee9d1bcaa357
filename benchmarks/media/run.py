"""Runs the benchmark: all targets side by side under the same load. Figures go to
benchmarks/results/results.json.

make bench ARGS="--calls 1,10,40 --audio g711 --targets phonebridge,relay --rounds 3"
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.media import results
from benchmarks.media.certificate import self_signed
from benchmarks.media.container import (
    GENERATOR_CORE,
    MAX_CALLS,
    ROOT,
    TARGETS,
    Database,
    Target,
    database,
    running,
)
from benchmarks.media.figures import Delays, Figures, Job
from benchmarks.media.results import Capacity, Case, Results, Run
from phonebridge.settings import ModelAudio

LOAD = ("-m", "benchmarks.media.load")
START_SECONDS = 60.0
SETUP_SECONDS_PER_CALL = 2.0
OVERHEAD_SECONDS = 60.0
MAX_DELAY_MS = 20.0
"""Limit of the p99 beyond the filter's delay: one frame."""
MIN_CALLS = 320
"""The search for the capacity begins here."""
STEP = 1.25
"""Growth of the number of calls per step. Setting up calls takes time, so a step far beyond the
limit would fail very late."""
CLOSE_ENOUGH = 1.1
"""The search ends when the fewest calls that failed and the most that did not are this close."""


class Bench:
    """The database for the calls and, with TLS, a certificate for the model."""

    def __init__(
        self,
        store: Database,
        certificate: str | None,
        seconds: float,
        fault_pid: int | None = None,
    ) -> None:
        self._store = store
        self._fault_pid = fault_pid
        self._certificate = certificate
        self._seconds = seconds
        self.wrapper: tuple[str, ...] = ()
        """The beginning of a command that starts the target."""

    def run(self, case: Case) -> Run:
        target = TARGETS[case.target]
        try:
            if refusal := _refusal(target, case.audio):
                return Run(case, results.now(), None, refusal)
            return Run(case, results.now(), self._measure(target, case))
        except (OSError, subprocess.SubprocessError) as error:
            return Run(case, results.now(), None, _brief(error))

    def _measure(self, target: Target, case: Case) -> Figures:
        model_port = free_port()
        media_port = free_port()
        environ = os.environ | self._store.environ() | self._model(model_port)
        environ["MODEL_AUDIO"] = case.audio.value
        with running(target, media_port, environ, self.wrapper) as pid:
            _wait_for(media_port)
            media_url = f"ws://127.0.0.1:{media_port}/media-bridge"
            tickets = self._store.admit(case.calls)
            job = Job(pid, media_url, model_port, case.audio, self._seconds, tickets)
            more = {"certificate": self._certificate, "fault_pid": self._fault_pid}
            return _generate(msgspec.structs.replace(job, **more))

    def _model(self, port: int) -> dict[str, str]:
        scheme, trust = "ws", {}
        if self._certificate:
            scheme, trust = "wss", {"SSL_CERT_FILE": self._certificate}
        return {
            "OPENAI_API_KEY": "sk-local",
            "OPENAI_REALTIME_URL": f"{scheme}://localhost:{port}/v1/realtime",
            "OPENBLAS_NUM_THREADS": "1",  # as in the image: frames are small
        } | trust


def measure(bench: Bench, cases: Iterable[Case], rounds: int) -> list[Run]:
    """Run all cases once per round. A temporary disturbance then affects all cases alike."""
    planned = [case for _ in range(rounds) for case in cases]
    runs = []
    for case in planned:
        runs.append(bench.run(case))
        print(line(runs[-1]), flush=True)
    return runs


def find_capacity(
    run: Callable[[Case], Run], target: str, audio: ModelAudio, tls: bool
) -> Capacity:
    """Increase the number of calls until a run fails, then bisect the interval."""
    carried, failed, limit = 0, None, ""
    calls = MIN_CALLS
    while failed is None or failed > carried * CLOSE_ENOUGH + 1:
        result = run(Case(target, audio, tls, calls))
        print(line(result), flush=True)
        if shortcoming := _shortcoming(result):
            failed, limit = calls, shortcoming
        else:
            carried = calls
        if carried == MAX_CALLS:
            return Capacity(target, audio, tls, carried, "not reached")
        more = min(round(carried * STEP), MAX_CALLS)
        calls = more if failed is None else (carried + failed) // 2
    return Capacity(target, audio, tls, carried, limit)


def _shortcoming(run: Run) -> str:
    figures = run.figures
    if figures is None:
        return run.failure or ""
    if figures.calls_lost or figures.unheard_probes:
        return f"{figures.calls_lost} calls lost, {figures.unheard_probes} sounds unheard"
    if not figures.is_valid:
        return "the load generator was late"
    added_ms = max(
        (figures.to_model.p99 or 0.0) - (figures.filter_ms or 0.0), figures.to_phone.p99 or 0.0
    )
    return f"p99 of {added_ms:.1f} ms" if added_ms >= MAX_DELAY_MS else ""


def _refusal(target: Target, audio: ModelAudio) -> str | None:
    if audio not in target.audio:
        return f"{target.name} does not speak {audio} to the model"
    if not Path(target.python).exists():
        return f"{target.name} is not installed: make bench-peers"
    return None


def _generate(job: Job) -> Figures:
    done = subprocess.run(
        ("taskset", "--cpu-list", str(GENERATOR_CORE), sys.executable, *LOAD),
        cwd=ROOT,
        input=msgspec.json.encode(job),
        capture_output=True,
        check=True,
        timeout=job.seconds + OVERHEAD_SECONDS + SETUP_SECONDS_PER_CALL * len(job.tickets),
    )
    return msgspec.json.decode(done.stdout, type=Figures)


def _brief(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        lines = error.stderr.decode().strip().splitlines()
        return lines[-1] if lines else f"exit code {error.returncode}"
    return str(error)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


HEADINGS = (
    f"{'target':<12} {'audio':<7} {'tls':<4}{'calls':>5} {'CPU s/':>8} {'MB/':>6}"
    f" {'to model ms':>20} {'to phone ms':>20} {'clear':>7} {'lost':>6} {'late':>5}  generator\n"
    f"{'':<29} {'call-min':>8} {'call':>6} {'p50':>6}{'p99':>7}{'p99.9':>7}"
    f" {'p50':>6}{'p99':>7}{'p99.9':>7} {'p99':>7} {'ms/min':>6} {'out':>5}  CPU, late p99"
)


def line(run: Run) -> str:
    case, figures = run.case, run.figures
    head = f"{case.target:<12} {case.audio:<7} {'yes' if case.tls else 'no':<4}{case.calls:>5}"
    if figures is None:
        return f"{head} {run.failure}"
    return (
        f"{head} {figures.cpu_per_call_minute:>8.3f} {figures.mb_per_call:>6.2f}"
        f" {_delays(figures.to_model)} {_delays(figures.to_phone)}"
        f" {_ms(figures.barge_in.p99, 7)} {figures.lost_ms_per_minute:>z6.1f}"
        f" {figures.late_chunks:>5}  {figures.generator_cpu:.0%},"
        f" {_ms(figures.generator_late.p99, 1)} ms{'' if figures.is_valid else '  INVALID'}"
    )


def _delays(delays: Delays) -> str:
    return _ms(delays.p50, 6) + _ms(delays.p99, 7) + _ms(delays.p999, 7)


def _ms(value: float | None, width: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:>{width}.2f}"


@contextmanager
def prepared(seconds: float, tls: bool) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory() as folder, database() as store:
        certificate = self_signed(Path(folder), "localhost") if tls else None
        yield Bench(store, certificate, seconds)


def _in_fresh_store(seconds: float) -> Callable[[Case], Run]:
    """Use a new local database, because the old one becomes slow with the items of hundreds of
    calls."""

    def run(case: Case) -> Run:
        with prepared(seconds, case.tls) as bench:
            return bench.run(case)

    return run


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", default="1,10,40,100,200")
    parser.add_argument("--audio", default="g711,pcm24k")
    parser.add_argument("--targets", default="phonebridge,relay,floor")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the steady window")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--tls", action="store_true", help="use TLS to the model")
    parser.add_argument(
        "--capacity", action="store_true", help="find out how many calls one core carries"
    )
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    audios = [ModelAudio(name) for name in arguments.audio.split(",")]
    targets = arguments.targets.split(",")
    known: Results = results.load()
    print(HEADINGS)
    if arguments.capacity:
        for audio in audios:
            for target in targets:
                found = find_capacity(
                    _in_fresh_store(arguments.seconds), target, audio, arguments.tls
                )
                known.replace_capacity(found)
    else:
        cases = [
            Case(target, audio, arguments.tls, int(calls))
            for audio in audios
            for calls in arguments.calls.split(",")
            for target in targets
        ]
        with prepared(arguments.seconds, arguments.tls) as bench:
            known.replace_runs(measure(bench, cases, arguments.rounds))
    results.save(known)


if __name__ == "__main__":
    main()
