"""Writes docs/performance.md from the stored results: results.json, instructions.json, quality.json
and cold_start.json. `draw_charts.py` draws its charts."""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import linear_regression

from benchmarks.accuracy import quality_figures
from benchmarks.control_plane import cold_start
from benchmarks.media import instructions, results
from benchmarks.media.charts import COMPARED_CALLS, charts
from benchmarks.media.container import PEERS, TARGETS
from benchmarks.media.figures import Delays, Figures
from benchmarks.media.results import OURS, Case, Results
from phonebridge.settings import ModelAudio

PAGE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
CHARTS = "performance"
NOT_IN_TABLES = {10, 20, 100, 200}
"""Numbers of calls that only the charts show."""
MIN_POINTS = 3
"""A line through two points says nothing about linearity."""

INTRODUCTION = """\
# Performance

How much CPU and memory the media container needs, how much delay it adds, and how many calls one
core carries. `make bench` measures it on one machine, beside other ways to build the same bridge.
"""

COMMANDS = """\
`make bench` measures everything again, and `make bench-pages` writes this page from the stored
results. The tables leave out the rows of 10, 20, 100 and 200 calls. The charts show them, and
`benchmarks/results/results.json` has every figure. [Cost](cost.md) and [scale](scale.md) are
computed from the same results.
"""

METHOD = """\
The media container runs as its own process on one core and writes to a local DynamoDB. A load
generator on another core plays the caller and the model of every call. The caller sends a frame of
20 ms fifty times a second. The model answers every 8 s with 4 s of speech, ten times faster than
real time. Every third answer is interrupted. One process plays both ends, so one clock times them.

* **CPU** is user and system time of the target and its children. The table shows the cheapest round
  and the median round, and the ratio to Phonebridge in the same case.
* **Memory** is the proportional set size (PSS) above the idle process.
* **Delay to the model** runs from a step in the caller's audio to the same step in what the model
  receives. It includes buffering and the delay of filters.
* **Delay to the caller** runs from the model's first delta to the first chunk.
* **Clear** is the delay from `speech_started` to `clear`.

Delays are those of the median round. A run is marked if the generator itself sent frames more than
2 ms late (p99).
"""

INSTRUCTIONS = """\
`make bench-instructions` counts the instructions of one call under valgrind, in virtual time and in
one process. Counting begins at the WebSocket library and ends where it hands bytes on. It leaves
out the operating system, TLS, start-up, the far ends, and work that is shared by all calls. Timers
and tasks are those of asyncio's own loop.

Counts differ by less than 1 % whatever else the machine does. `make bench-check` fails if the
container's are more than 2 % above `benchmarks/results/instructions_base.json`.

A caller's frame is 20 ms of a caller whom nobody answers. An agent's frame is 20 ms of the model's
speech in the same conversation as under load. It includes the words and events of the turns, and in
the container also pacing, marks, truncations and records. The relay paces nothing.
"""

NEIGHBOURS = """\
---

Next: [cost](cost.md), [scale](scale.md), [first words](first-words.md), [design](design.md).
"""

CAPACITY = """\
The largest number of calls with a p99 below 20 ms beyond the filter's delay, and what failed with
more calls. At 320 calls the generator uses three quarters of its core, on which the store runs too.
Beyond that, they may be what fails.
"""

CONTROL_PLANE = """\
The Lambda functions on the same machine: the time until the handler is ready, and the CPU time of
single requests.
"""

COLUMNS = (
    "target",
    "calls",
    "CPU s per call-minute: least / median",
    "× phonebridge",
    "MB per call",
    "to model ms: p50 / p99 / p99.9",
    "to caller ms: p50 / p99 / p99.9",
    "clear p99 ms",
    "audio lost, ms per minute",
    "late chunks",
)
HEAD = f"| {' | '.join(COLUMNS)} |\n|---|{'--:|' * (len(COLUMNS) - 1)}\n"


def render(
    known: Results,
    starts: cold_start.ColdStarts | None = None,
    quality: Sequence[quality_figures.Comparison] = (),
    counted: instructions.Counts | None = None,
) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in known.versions.items())
    parts = [INTRODUCTION, *_summary(known), COMMANDS, "## Method\n", METHOD]
    parts += [f"Machine and versions: {known.machine}; {versions}.\n"]
    parts += ["## What it is compared with\n", *_peers()]
    for tls in (False, True):
        for audio in ModelAudio:
            parts += _section(known, audio, tls)
    if known.capacities:
        parts += ["## Calls on one core\n", CAPACITY, _capacities(known)]
    if counted and counted.counts:
        parts += ["## Instructions\n", INSTRUCTIONS, _instructions(counted)]
    if quality:
        parts += ["## Speech\n", quality_figures.section(quality)]
    if starts:
        parts += ["## Control plane\n", CONTROL_PLANE, _cold_starts(starts)]
    return "\n".join((*parts, NEIGHBOURS))


def _summary(known: Results) -> Iterator[str]:
    """The first figures of the page, without those that were not measured."""
    for audio in ModelAudio:
        ours = known.best(Case(OURS, audio, tls=False, calls=COMPARED_CALLS))
        relay = known.best(Case("relay", audio, tls=False, calls=COMPARED_CALLS))
        if ours and relay:
            ratio = ours.cpu_per_call_minute / relay.cpu_per_call_minute
            yield (
                f"* `{audio}`: with {COMPARED_CALLS} calls on one core, a call-minute takes"
                f" {ours.cpu_per_call_minute:.3f} s of CPU,\n"
                f"  {ratio:.2f} times as much as in a minimal relay.\n"
            )


def _peers() -> Iterator[str]:
    """Describe each peer with the docstring of its program."""
    for program in sorted(PEERS.glob("*.py")):
        name = program.stem.removesuffix("_bot")
        if name in TARGETS:
            description = ast.get_docstring(ast.parse(program.read_text()))
            yield f"**{name}**{_pins_of(name)}: {description}\n"


def _pins_of(name: str) -> str:
    requirements = PEERS / f"{name}.requirements.in"
    if not requirements.exists():
        return ""
    lines = (line.partition("#")[0] for line in requirements.read_text().splitlines())
    pins = [line.partition(";")[0].strip().replace("==", " ") for line in lines if "==" in line]
    return f" ({', '.join(pins)})"


def _section(known: Results, audio: ModelAudio, tls: bool) -> Iterator[str]:
    cases = [
        case
        for case in known.cases()
        if (case.audio, case.tls) == (audio, tls) and case.calls not in NOT_IN_TABLES
    ]
    if not cases:
        return
    yield f"## Results: {audio}, {'TLS to the model' if tls else 'no TLS'}\n"
    yield HEAD + "".join(_row(known, case) for case in sorted(cases, key=_order))
    if not tls:
        yield f"CPU of {OURS}: {growth_of(known, audio)}\n"
        for chart in charts(known):
            if chart.name.endswith(audio):
                yield f"![{chart.alt_text}]({CHARTS}/{chart.file_name})\n"


def growth_of(known: Results, audio: ModelAudio) -> str:
    """Fit a line to the CPU time of a container by its number of calls."""
    points = known.core_shares(OURS, audio)
    if len(points) < MIN_POINTS:
        return f"measured with only {len(points)} numbers of calls, too few to fit a line."
    slope, intercept = linear_regression(*zip(*points, strict=True))
    distance, calls = max((abs(y - (intercept + slope * x)), x) for x, y in points)
    return (
        f"{intercept:z.2f} % of a core plus {slope:.3f} % per call (least squares)."
        f" The largest deviation is {distance:.2f} % of a core, at {calls:g} calls."
    )


def _order(case: Case) -> tuple[int, bool, str]:
    return case.calls, case.target != OURS, case.target


def _row(known: Results, case: Case) -> str:
    best, typical = known.best(case), known.typical(case)
    if best is None or typical is None:
        return (
            f"| {case.target} | {case.calls} | {known.failure(case)} {'|' * (len(COLUMNS) - 2)}\n"
        )
    cells = [
        case.target if typical.is_valid else f"{case.target} (generator late)",
        str(case.calls),
        f"{best.cpu_per_call_minute:.3f} / {known.median_cpu(case):.3f}",
        _ratio(known, case, best),
        f"{best.mb_per_call:.2f}",
        _three(typical.to_model),
        _three(typical.to_phone),
        _ms(typical.barge_in.p99),
        f"{typical.lost_ms_per_minute:z.1f}",
        str(typical.late_chunks),
    ]
    return f"| {' | '.join(cells)} |\n"


def _ratio(known: Results, case: Case, figures: Figures) -> str:
    """The CPU time relative to Phonebridge under the same load."""
    ours = known.best(Case(OURS, case.audio, case.tls, case.calls))
    if ours is None:
        return "–"
    return f"{figures.cpu_per_call_minute / ours.cpu_per_call_minute:.2f}"


def _capacities(known: Results) -> str:
    head = "| target | audio | TLS | calls | then |\n|---|---|---|--:|---|\n"
    return head + "".join(
        f"| {c.target} | {c.audio} | {'yes' if c.tls else 'no'} | {c.calls} | {c.limit} |\n"
        for c in known.capacities
    )


def _instructions(counted: instructions.Counts) -> str:
    tools = ", ".join(f"{name} {version}" for name, version in counted.counted_with.items())
    head = "| target | audio | caller's frame | agent's frame |\n|---|---|--:|--:|\n"
    rows = (
        f"| {each.target} | {each.audio} | {each.caller_frame:,} | {each.agent_frame:,} |\n"
        for each in counted.counts
    )
    return f"{head}{''.join(rows)}\n{tools}.\n"


def _cold_starts(starts: cold_start.ColdStarts) -> str:
    cold = "| function | import ms | init ms | heaviest imports |\n|---|--:|--:|---|\n" + "".join(
        f"| {each.module} | {each.import_ms:.0f} | {each.init_ms:.0f} |"
        f" {', '.join(f'{heavy.module} {heavy.ms:.0f}' for heavy in each.heaviest)} |\n"
        for each in starts.functions
    )
    warm = "| request | CPU ms | with local DynamoDB ms | requests per CPU second |\n"
    warm += "|---|--:|--:|--:|\n" + "".join(
        f"| {each.request} | {each.cpu_ms:.2f} | {each.wall_ms:.2f} | {1000 / each.cpu_ms:.0f} |\n"
        for each in starts.requests
    )
    return f"{cold}\n{warm}"


def _three(delays: Delays) -> str:
    return " / ".join(map(_ms, (delays.p50, delays.p99, delays.p999)))


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def stored_page() -> str:
    known, starts = results.load(), cold_start.load()
    return render(known, starts, quality_figures.load(), instructions.load())


def main() -> None:
    PAGE.write_text(stored_page())


if __name__ == "__main__":
    main()
