"""docs/performance.md, from results.json, instructions.json, quality.json and cold_start.json. Its
charts are drawn by draw_charts.py."""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import linear_regression

from benchmarks.accuracy import quality_figures
from benchmarks.control_plane import cold_start
from benchmarks.media import instructions, results
from benchmarks.media.charts import charts
from benchmarks.media.container import PEERS, TARGETS
from benchmarks.media.figures import Delays, Figures
from benchmarks.media.results import OURS, Case, Results
from phonebridge.settings import ModelAudio

PAGE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
CHARTS = "performance"
NOT_IN_TABLES = {10, 20, 100, 200}
"""Numbers of calls that the charts show."""
MIN_POINTS = 3
"""Any two points lie on a line."""

COMMANDS = """\
Made by `make bench` on one machine; the command, the load and every figure are in `benchmarks/`.
`make bench-pages` writes this page again. The tables leave out the rows of 10, 20, 100 and 200
calls: the charts show them, and `benchmarks/results/results.json` has every figure.
"""

METHOD = """\
The media container runs as its own process on one core and writes to a local DynamoDB. On another
core the load generator plays both far ends of every call: a caller who sends a 20 ms frame fifty
times a second, and a model that answers every 8 s with 4 s of speech, ten times faster than it is
spoken; every third answer is interrupted. One process plays both ends, so one clock times them.

Delays run from sound to sound: from a step in a caller's frame to the same step in what the model
receives, each taken to play from the moment it passed its socket. What is gathered before it is
sent on, and what a filter holds back, is in them. To the caller they run from the model's first
delta to the first chunk. CPU is user and system time of the target and its children: the cheapest
round and the median one, and times ours in the same case. Memory is the proportional share above
the idle process. Delays are those of the median round. A run in which the generator itself sent
frames more than 2 ms late (p99) is marked.
"""

INSTRUCTIONS = """\
Made by `make bench-instructions`. One call is played in virtual time, in one process, under
valgrind's counter; what is counted begins at the WebSocket library and ends where it hands bytes
on. The operating system and TLS are not in it, nor are start-up, the far ends, and what the
container does for all its calls together; timers and tasks are those of asyncio's own loop. Counts
differ by less than 1 % whatever else the machine does: `make bench-check` fails if the container's
are more than 2 % above the base, `benchmarks/results/instructions_base.json`.

A caller's frame is 20 ms of a caller to whom nobody answers. An agent's is 20 ms of what the model
says in the load's conversation, with all that its turns bring: words, events, for the container
pacing, marks, truncations and records. The relay paces nothing.
"""

CAPACITY = """\
The most that were carried with a p99 below 20 ms beyond the filter's delay, and what then failed.
At 320 calls the generator takes three quarters of its core, on which the store runs too: beyond
that, what fails may be theirs.
"""

COLUMNS = (
    "target",
    "calls",
    "CPU s per call-minute: least / median",
    "times ours",
    "MB per call",
    "to model ms: p50 / p99 / p99.9",
    "to caller ms: p50 / p99 / p99.9",
    "clear p99 ms",
    "lost ms per minute",
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
    parts = ["# Performance\n", COMMANDS, f"{known.machine}; {versions}.\n", "## How\n", METHOD]
    parts += ["## Beside whom\n", *_peers()]
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
        parts += ["## Control plane\n", _cold_starts(starts)]
    return "\n".join(parts)


def _peers() -> Iterator[str]:
    """Each in the words of its own program: how it is used, and what it lacks."""
    for program in sorted(PEERS.glob("*.py")):
        name = program.stem.removesuffix("_bot")
        if name in TARGETS:
            told = ast.get_docstring(ast.parse(program.read_text()))
            yield f"**{name}**{_pinned(name)}: {told}\n"


def _pinned(name: str) -> str:
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
    yield f"## {audio}, {'TLS to the model' if tls else 'no TLS'}\n"
    yield HEAD + "".join(_row(known, case) for case in sorted(cases, key=_order))
    if not tls:
        yield f"{OURS}: {growth_of(known, audio)}\n"
        for chart in charts(known):
            if chart.name.endswith(audio):
                yield f"![{chart.alt_text}]({CHARTS}/{chart.file_name})\n"


def growth_of(known: Results, audio: ModelAudio) -> str:
    """Whether the CPU time of a container grows with its calls in a straight line."""
    points = known.core_shares(OURS, audio)
    if len(points) < MIN_POINTS:
        return f"measured with {len(points)} numbers of calls, which are too few for a line."
    slope, intercept = linear_regression(*zip(*points, strict=True))
    distance, calls = max((abs(y - (intercept + slope * x)), x) for x, y in points)
    return (
        f"{intercept:z.2f} % of a core and {slope:.3f} % for each call, by least squares;"
        f" off that line by at most {distance:.2f} % of a core (at {calls:g} calls)."
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
    """Against ours under the same load."""
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
