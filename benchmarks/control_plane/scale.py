"""Writes docs/scale.md: which limit is reached first. It uses the DynamoDB requests of one call
(requests.json) and the results of the other benchmarks.
"""

from collections import Counter
from pathlib import Path

from benchmarks.control_plane import cold_start, count_requests
from benchmarks.control_plane.limits import (
    BURST,
    CALL_MINUTES,
    LOADS,
    NEW_TABLE_WRITES,
    SLOTS,
    WEBHOOK_REQUESTS,
    WEBHOOKS,
    OneCall,
    limits,
    nearest,
    steady,
)
from benchmarks.media import report, results
from media_bridge.runtime.mailbox_reader import READ_SECONDS as MAILBOX_SECONDS
from phonebridge.settings import ModelAudio

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scale.md"
GROWING = (1_000, 10_000, 100_000)
WEBHOOKS_OF_AN_END = 3
"""`streaming.stopped`, `call.hangup` and `call.cost`."""
ENDS_A_SECOND = WEBHOOK_REQUESTS // WEBHOOKS_OF_AN_END


def render(one: OneCall, known: results.Results, starts: cold_start.ColdStarts | None) -> str:
    parts = [INTRODUCTION, _call(one), _limits(one)]
    if starts:
        parts.append(_control_plane(starts))
    return "\n".join((*parts, ALL_AT_ONCE, GROWTH, _growth(known), MORE_THAN_ONE_CORE))


def _call(one: OneCall) -> str:
    counts = Counter((each.partition, each.operation) for each in one.asked)
    rows = (f"| `{kind}` | {operation} | {n} |" for (kind, operation), n in sorted(counts.items()))
    return "\n".join(
        (
            f"## One call of {one.seconds:.0f} s\n",
            "| partition | operation | requests |\n|---|---|--:|",
            *rows,
            f"\nThese are {one.all_writes:.0f} write units, including the copies for the indexes."
            " `TASK` is the mailbox of a task.\nA task that carries calls polls it"
            f" {1 / MAILBOX_SECONDS:.0f} times a second, independent of the number of calls.\n",
        )
    )


def _limits(one: OneCall) -> str:
    columns = " | ".join(load.name for load in LOADS)
    rows = (
        f"| {row[0].name} ({row[0].most:,.0f}) |"
        + "".join(f" {limit.share:.2f} |" for limit in row)
        + f" {row[0].remedy} |"
        for row in zip(*(limits(one, load) for load in LOADS), strict=True)
    )
    return "\n".join(
        (
            f"## Many calls of {CALL_MINUTES:.0f} minutes\n",
            "A figure is the share of a limit that is used. Above 1, the limit is exceeded. The"
            f" limits are those of\na new account. A task has one vCPU and carries {SLOTS} calls"
            " ([cost](cost.md)).\n",
            f"| limit | {columns} | remedy |\n|---|{'--:|' * len(LOADS)}---|",
            *rows,
            "",
            *(_next(one, calls) for calls in GROWING),
            "",
        )
    )


def _next(one: OneCall, calls: int) -> str:
    """Name the limits that remain after every quota was raised."""
    own = nearest(limits(one, steady(calls)))
    passed = [each for each in own if each.share > 1]
    listed = ", ".join(f"{each.name} ({each.share:.2f})" for each in passed or own[:1])
    verdict = "exceeded are" if passed else "the nearest limit is"
    return f"* {calls:,} calls with all quotas raised: {verdict} {listed}."


def _control_plane(starts: cold_start.ColdStarts) -> str:
    """Estimate the CPU time of the Lambdas from single requests on the benchmark's machine."""
    ms = {each.request: each.cpu_ms for each in starts.requests}
    create, webhook = ms["create a call"], ms["webhook call.hangup"]
    busy = BURST.rate * (create + WEBHOOKS * webhook) / 1000
    return (
        f"At {BURST.rate:.0f} creates a second the Lambdas need the CPU time of {busy:.1f} cores:"
        f" {create:.1f} ms for a create\nand {webhook:.1f} ms for each of {WEBHOOKS} webhooks"
        " ([performance](performance.md)). The rest of the time, they wait.\n"
    )


def _growth(known: results.Results) -> str:
    return "".join(f"* {audio}: {report.growth_of(known, audio)}\n" for audio in ModelAudio)


INTRODUCTION = """\
# Scale

Which limit stops you first when you make more calls, and what to do about it. In a new account, the
first limits are quotas that you can have raised. After that, the partition `FLEET` of the table is
the first limit.

`make bench-scale` makes one whole call on the local stack, counts its requests to DynamoDB, and
multiplies them. Nothing on this page was measured on AWS. For prices see [cost](cost.md), for the
figures of one container [performance](performance.md).
"""
ALL_AT_ONCE = f"""\
## Many calls in the same second

* The route of the webhooks is the first limit: it takes {WEBHOOK_REQUESTS:,} requests a second.
  A call that ends sends {WEBHOOKS_OF_AN_END}, so {ENDS_A_SECOND} calls that end in one second \
fill it. Telnyx repeats
  what is refused with 429, and the sweep ends a call whose hangup never arrives.
* A new table takes {NEW_TABLE_WRITES:,} writes a second, and grows with its load. For a campaign \
that needs
  more at once, set its `WarmThroughput`.
* `FLEET` is the hottest key, because each call writes and deletes its reservation there.
"""
GROWTH = """\
## CPU of one container

The CPU time of a container grows about linearly with its calls. The figures come from the same run
of `make bench` as [performance](performance.md).
"""
MORE_THAN_ONE_CORE = """\
## More than one core

A Python process uses one core. More calls need more processes: either several processes in one
task that share a port (`SO_REUSEPORT`), or one task of one vCPU for each process. Phonebridge uses
one task for each process:

* The load balancer sends new calls to the tasks in turn, so each has about as many. Linux would
  choose a process by a hash of the addresses, whatever its load. One process would refuse calls
  while another has room.
* A larger task is not cheaper. The price of Fargate is linear in vCPU.
* A health check of a shared port reaches one process only. It would miss another one that hangs.
* Nothing has to be built: no supervisor, and no second kind of slot. The service grows and shrinks
  by the calls of one task.
* A process needs its memory before its first call, and polls its mailbox. So the fewer processes,
  the better.

A load balancer has 1,000 targets in a group. Above that, several processes in a task would help.

---

Next: [cost](cost.md), [performance](performance.md), [operations](operations.md).
"""


def main() -> None:
    PAGE.write_text(render(count_requests.load(), results.load(), cold_start.load()))


if __name__ == "__main__":
    main()
