"""More than one core: a process for each behind SO_REUSEPORT in one task, or a task for each behind
the load balancer. How evenly Linux spreads sockets over listeners is measured on loopback; what a
second process takes, with the benchmark's load on one core (`make bench-cores`; docs/scale.md).
"""

import math
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import msgspec

import run
from cost import CALLS_PER_TASK, FILL, IPV4_HOUR
from figures import percentile
from phonebridge.settings import ModelAudio
from results import Case, Results

CORES = Path(__file__).resolve().parent / "cores.json"
PROCESSES = (2, 4, 8)
FILLS = (FILL, 0.75, 0.9)
"""Shares of all slots that are taken."""
TRIALS = 200
CALLS, SECONDS, ROUNDS = 40, 12.0, 3
ONE, TWO = "phonebridge", "two_processes"


class Spread(msgspec.Struct, frozen=True):
    """So many sockets over so many listeners of one port, again and again."""

    processes: int
    sockets: int
    fullest: float
    """Times the mean, in the median trial."""
    fullest_p99: float
    over: float
    """The share of trials in which one got more sockets than it has slots."""


class Cores(msgspec.Struct, frozen=True):
    spreads: list[Spread]
    results: Results


def trial(listeners: int, sockets: int) -> list[int]:
    """How many sockets each listener got (Linux, socket(7): SO_REUSEPORT)."""
    with ExitStack() as stack:
        first = stack.enter_context(_listener(0, sockets))
        port = first.getsockname()[1]
        others = [stack.enter_context(_listener(port, sockets)) for _ in range(listeners - 1)]
        for _ in range(sockets):
            _vanishing(stack.enter_context(socket.create_connection(("127.0.0.1", port))))
        return [sum(1 for _ in _accepted(each)) for each in (first, *others)]


def _listener(port: int, backlog: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(backlog)
    listener.setblocking(False)
    return listener


def _vanishing(client: socket.socket) -> None:
    """Closes without TIME_WAIT, or the trials would use up the ports."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def _accepted(listener: socket.socket) -> Iterator[None]:
    while True:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return
        connection.close()
        yield


def judged(trials: Sequence[Sequence[int]]) -> Spread:
    processes, sockets = len(trials[0]), sum(trials[0])
    fullest = sorted(max(each) for each in trials)
    mean = sockets / processes
    return Spread(
        processes,
        sockets,
        fullest=median(fullest) / mean,
        fullest_p99=percentile(fullest, 0.99) / mean,
        over=sum(most > CALLS_PER_TASK for most in fullest) / len(fullest),
    )


def spreads() -> list[Spread]:
    return [
        judged([trial(processes, round(processes * CALLS_PER_TASK * fill)) for _ in range(TRIALS)])
        for processes in PROCESSES
        for fill in FILLS
    ]


def compared() -> Results:
    """One process with all calls, two with half of them each, on the same core in turns."""
    cases = [Case(name, audio, False, CALLS) for audio in ModelAudio for name in (ONE, TWO)]
    results = Results()
    print(run.HEADINGS)
    with run.prepared(SECONDS, tls=False) as bench:
        results.replace_runs(run.measure(bench, cases, ROUNDS))
    return results


def load() -> Cores:
    return msgspec.json.decode(CORES.read_bytes(), type=Cores)


def section(cores: Cores) -> str:
    return "\n".join((HEADING, _spreads(cores.spreads), EVENLY, _processes(cores.results), CHOICE))


def _spreads(found: Sequence[Spread]) -> str:
    head = (
        "| processes | sockets | of all slots | fullest, times the mean: median | p99 |"
        " more than its slots | the load balancer's fullest |\n"
        f"|{'--:|' * 7}\n"
    )
    return head + "".join(
        f"| {each.processes} | {each.sockets} |"
        f" {each.sockets / each.processes / CALLS_PER_TASK:.0%} | {each.fullest:.2f} |"
        f" {each.fullest_p99:.2f} | {each.over:.1%} | {_even(each):.2f} |\n"
        for each in found
    )


def _even(spread: Spread) -> float:
    """Of who always takes the emptiest."""
    mean = spread.sockets / spread.processes
    return math.ceil(mean) / mean


def _processes(results: Results) -> str:
    head = (
        f"| audio | processes | CPU s per call-minute: least / median | idle MB | p99 to model ms |"
        f" p99 to caller ms |\n|---|{'--:|' * 5}\n"
    )
    rows = "".join(
        _row(results, Case(name, audio, False, CALLS), count)
        for audio in ModelAudio
        for count, name in enumerate((ONE, TWO), start=1)
    )
    return f"{results.machine}; {CALLS} calls.\n\n{head}{rows}"


def _row(results: Results, case: Case, processes: int) -> str:
    best, typical = results.best(case), results.typical(case)
    if best is None or typical is None:
        return f"| {case.audio} | {processes} | {results.failure(case)} ||||\n"
    measured = f"{best.cpu_per_call_minute:.3f} / {results.median_cpu(case):.3f}"
    delays = " | ".join(f"{each.p99 or 0:.2f}" for each in (typical.to_model, typical.to_phone))
    if not typical.is_valid:
        # A target that is held up takes its frames in batches, and less CPU for it.
        measured, delays = "the machine was busy: measure again", "| "
    return f"| {case.audio} | {processes} | {measured} | {best.mb_idle:.0f} | {delays} |\n"


HEADING = f"""\
## More than one core

A Python process uses one core. More calls take more processes, in one of two ways: (a) several in
one task of as many vCPU, all listening on one port (`SO_REUSEPORT`, Linux picks by a hash of the
addresses); or (b) a task of one vCPU for each, of which the load balancer picks the one with the
fewest open sockets (`least_outstanding_requests`). Made by `make bench-cores`.

Sockets over listeners on loopback, {TRIALS} trials each, {CALLS_PER_TASK} slots for each process;
the last column is on paper, a balancer was not measured:
"""
EVENLY = """\
The same calls on the same core, in one process and divided among two:
"""
CHOICE = f"""\
The choice is (b):

* The hash knows nothing of load. What it refuses, a process beside it has room for.
* A core is no cheaper in company: Fargate's price is linear in vCPU. (a) would save addresses, at
  four processes {0.75 * IPV4_HOUR / (CALLS_PER_TASK * FILL * 60) * 1000:.3f} dollars per 1,000\
 call-minutes (docs/cost.md has the rest).
* A health check sees one process of the port, whichever the hash picks: of four, one that hangs is
  missed by three checks in four. In (b) it is its task, and ends with its own calls only.
* (b) needs nothing: no supervisor, no second notion of a slot, and the service grows and shrinks by
  {CALLS_PER_TASK * FILL:.0f} calls, not by a multiple.
* As few processes as cores: each takes its memory before the first call, and polls its mailbox.

(a) would help where targets run out: 1,000 in a group, see above, are four times as many calls.
"""


def main() -> None:
    CORES.write_bytes(
        msgspec.json.format(msgspec.json.encode(Cores(spreads(), compared())), indent=1) + b"\n"
    )


if __name__ == "__main__":
    main()
