"""docs/reliability.md, from the results of the drills."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.drills.container_drill import ContainerDrill
from benchmarks.drills.drill import Drill, DrillResult
from benchmarks.drills.loss_drill import LossDrill
from benchmarks.drills.results import ROOT
from benchmarks.drills.steady_costs import SteadyCosts
from benchmarks.drills.table import Row, loss_markdown, markdown, rows_by_fault, rows_by_kind
from benchmarks.media import store_faults
from benchmarks.media.store_faults import StoredFigures
from benchmarks.soak import figures
from benchmarks.soak.figures import Soak

PAGE = ROOT / "docs" / "reliability.md"


def render(
    drills: Sequence[Drill],
    results: dict[str, DrillResult],
    costs: SteadyCosts,
    audio: StoredFigures | None = None,
    soak: Soak | None = None,
) -> str:
    """`audio` is what `make bench-faults` has stored, and `soak` what `make soak` has."""
    by_fault = rows_by_fault(drills, results)
    losses = [drill for drill in drills if isinstance(drill, LossDrill)]
    deaths = [drill for drill in drills if isinstance(drill, ContainerDrill)]
    others = [drill for drill in drills if not isinstance(drill, LossDrill | ContainerDrill)]
    known = [results[drill.name] for drill in others if drill.name in results]
    return "\n".join(
        (
            INTRODUCTION,
            _verdict(by_fault),
            HOW_TO_READ,
            *markdown(rows_by_fault(others, results)),
            "\n### The same runs, by what happened on the call\n",
            *markdown(rows_by_kind(known), first="call"),
            LOSSES,
            *loss_markdown(rows_by_fault(losses, results)),
            DEATHS,
            *markdown(rows_by_fault(deaths, results)),
            "",
            *_not_run(drills, results),
            LIMITS,
            *_audio_section(audio),
            *(_soak(soak) if soak else ()),
            "## What the protection costs\n",
            _costs(costs),
            WHAT_RUNS,
        )
    )


def _verdict(rows: Sequence[Row]) -> str:
    calls = sum(row.calls for row in rows)
    runs = sum(row.repetitions for row in rows)
    facts = (
        (sum(row.lost for row in rows), "healthy calls were ended"),
        (sum(row.moved for row in rows), "healthy calls got another media stream"),
        (sum(row.legs_open_late for row in rows), "legs were open 10 s after the fault"),
        (sum(row.wrong for row in rows), "records were wrong in the end"),
        (sum(row.commands_lost for row in rows), "commands were lost"),
        (sum(row.commands_repeated for row in rows), "commands were carried out twice"),
    )
    listed = "\n".join(f"* **{count}** {what}." for count, what in facts)
    return f"In {runs} drills with {calls:,} calls:\n\n{listed}\n"


def _audio_section(audio: StoredFigures | None) -> list[str]:
    if audio is None:
        return []
    text = AUDIO.format(calls=audio.calls, rounds=audio.rounds, machine=audio.machine)
    return [text, *store_faults.table(audio), ""]


def _soak(soak: Soak) -> Iterator[str]:
    yield "## Half an hour at capacity\n"
    yield (
        f"`make soak` on {soak.date} ({soak.machine}): {soak.slots} calls at a time for "
        f"{soak.minutes:.0f} minutes, {soak.calls:,} calls in all. {soak.streams_lost} media "
        f"sockets and {soak.sessions_lost} sessions of the model were lost on purpose, and "
        f"{soak.wrong_records} records were wrong. In the second half of the run, memory grew by "
        f"{figures.growth_kb(soak):.1f} KB per call.\n"
    )
    yield from figures.table(soak)
    yield ""


def _not_run(drills: Sequence[Drill], results: dict[str, DrillResult]) -> Iterator[str]:
    missing = {drill.fault: None for drill in drills}
    for drill in drills:
        if drill.name in results:
            missing.pop(drill.fault, None)
    if missing:
        yield "Not run for this page:\n"
        yield from (f"* {fault}" for fault in missing)


def _costs(costs: SteadyCosts) -> str:
    return (
        f"* Heartbeats: {costs.heartbeat_units_per_task_hour:,.0f} write units for each hour of a"
        f" task, whether it carries calls or not.\n"
        f"* A call of a minute: {costs.write_units_per_call:.0f} write units"
        f" and {costs.read_units_per_call:.1f} read units, without heartbeats and mailbox polls.\n"
    )


INTRODUCTION = """\
# Reliability

What happens to calls when a part of the system fails? `make drill` causes each fault on purpose,
counts its effects on the calls, and writes this page. Nothing on this page was measured on AWS.
[Operations](operations.md#when-a-task-dies) describes how failures are detected.
"""
HOW_TO_READ = """\
## The table fails

DynamoDB holds the state of all calls. These runs break it in three ways:

* *unavailable*: it does not respond.
* *throttled*: it refuses each request at once.
* *slow*: a response takes 0.5 to 3.5 s, which is longer than many clients wait.

A run has 22 calls (7 with real processes). Runs differ in the time of the sweep. The columns mean:

* **Lost**: our side ended a call that should have continued.
* **Silence**: the longest time that each caller heard nothing. In a conversation without a fault
  the caller hears nothing for 4 s while it is the caller's turn.
* **Wrong records**: status, outcome, reason or duration is wrong 200 s after the fault.
* **Clean-up**: how long after the fault a record was wrong.
"""
LOSSES = """
## A model session, a media socket or a container is lost

All of this runs with real processes. Eight people call at a time, and their calls follow each other
without a pause. A balancer gives each new socket to the next container, and does not know which of
them live. A killed container is started again after 5 s. The losses go on during the whole run, so
a call meets several of them.

* **Interruptions**: how often a call lost its stream or its session. The silences belong to them.
* **Silence** is the longest time in which the caller heard nothing after the loss. It includes the
  caller's own turn: without a loss it is 2.7 s. Sentences of Telnyx's voice count as sound.
* **No webhook**: Telnyx does not report `streaming.stopped`. Its conditions are not documented.
* **Frozen** containers get `SIGSTOP`, and then `SIGCONT`.
* **Eight ways**: the model's server closes the session with 1000, 1001, 1011, 1012, 1013 or 3008.
  In the seventh it breaks the connection. In the eighth it reads and sends nothing more.

After a kill, the longest silences belong to calls whose next sockets were given to the dead
container several times in a row. After the loss of a session, they belong to the server that
answers nothing any more: it is found after 5 s by its missing pong. The next session hears what the
caller said meanwhile.

A freeze may cost a call two of its five streams: a container that resumes may claim a stream in the
moment before it learns that its calls were moved. So a call that meets three freezes within a few
minutes may end.

Only AWS can show how soon ECS takes a dead task out of the balancer. The same is true of what the
balancer does with a socket for a task that has just died.
"""
DEATHS = """
## A container dies at any point of a call

These runs are in virtual time. Each has one call and two containers. In the first run, the requests
of the call's container to the table, to Telnyx and to the model are counted. Then the run is
repeated for each of them: the container dies before it sends this request, and the other container
or the sweep continues the call. Some calls only go on. Others are ended by the agent or by the API,
are transferred, or lose their media socket. In one drill, the container is stopped.
"""
LIMITS = """
## What these figures mean for callers

* A callee who answers while the table is unavailable hears nothing until it is back. No call can be
  set up without its record. Then the call continues.
* A call that is created while the table is slow can end with `dial_failed`. The record was written,
  but the table did not confirm it in time, and after 50 s the dial must not be repeated. No phone
  has rung. The client sees the end in the record and may place the call again.
"""
AUDIO = """\
## The audio while the table fails

The audio path never waits for the table. `make bench-faults` measures the delay that the container
adds to the audio of {calls} calls on one core ({machine}). The table fails during the whole
measurement. Each figure is the median of {rounds} rounds.
"""
WHAT_RUNS = """\
## What a drill runs

Most drills run in virtual time. They use the real handlers and the real media container. The
carrier, the model and the table are simulations in memory that follow the protocols. Rows with
*real processes* use the local stack of `make dev` with a proxy in front of its DynamoDB.

Each mechanism has a switch in `benchmarks/drills/mechanism.py`. A test disables one mechanism after
the other, and shows that a drill then reports losses.

`make drill` stores the result of each run in `.build/drills.json` and stops before ten minutes
have passed. Run it again until it reports that nothing is left. A change of the code that drills
run discards the stored results. A change of comments, of docstrings or of this page does not.

## Broken input

`make fuzz` gives broken input to all readers. The decoders, the bridge and the life of a call get a
million changed frames, model events, webhooks and messages. Each route, handler and socket gets
20,000. Genuine messages are changed: bits, lengths, types, depth, numbers, Unicode and order. A
failure is an exception, a status 500, an endless loop, growing memory, or a call that does not end.
`ARGS="--seed N --only NAME --round R"` repeats one.

---

Next: [operations](operations.md), [the life of a call](lifecycle.md), [scale](scale.md).
"""


def write(page: str, path: Path = PAGE) -> None:
    path.write_text(page)
