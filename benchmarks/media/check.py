"""`make bench-check`: a guard against regressions that knows no absolute time. The container may
execute at most 2 % more instructions for a frame than the base (instructions_base.json), and take
so many times the CPU of the plain relay, both measured in the same minutes on the same core.
"""

import sys
from collections.abc import Mapping

from benchmarks.media import instructions, run
from benchmarks.media.results import Case, Results
from phonebridge.settings import ModelAudio

CALLS, SECONDS, ROUNDS = 20, 8.0, 3
MAX = {ModelAudio.G711: 1.0, ModelAudio.PCM24K: 1.0}
"""Times the relay's CPU."""
TOLERANCE = 1.15
"""Between two runs on the same machine."""


def ratio(results: Results, audio: ModelAudio) -> float:
    """Of the cheapest rounds: what else runs on the machine can only add."""
    ours, relay = (
        results.best(Case(target, audio, False, CALLS)) for target in ("phonebridge", "relay")
    )
    if ours is None or relay is None:
        raise SystemExit("a run brought no figures: see its line above")
    return ours.cpu_per_call_minute / relay.cpu_per_call_minute


def instructions_grew(base: instructions.Counts, here: Mapping[str, str]) -> bool:
    """False also where nothing can be compared, which is printed."""
    if why := instructions.incomparable(base, here):
        print(f"instructions: NOT CHECKED, {why}")
        return False
    comparisons = [
        each
        for counted in instructions.count([instructions.OURS])
        for each in instructions.compare(counted, base)
    ]
    for each in comparisons:
        print(each, flush=True)
    return any(each.has_grown for each in comparisons)


def cpu_grew() -> bool:
    cases = [
        Case(target, audio, False, CALLS) for audio in MAX for target in ("phonebridge", "relay")
    ]
    results = Results()
    print(run.HEADINGS)
    with run.prepared(SECONDS, tls=False) as bench:
        results.replace_runs(run.measure(bench, cases, ROUNDS))
    failed = False
    for audio, limit in MAX.items():
        found = ratio(results, audio)
        failed |= found > limit * TOLERANCE
        print(f"{audio}: {found:.2f} times the relay's CPU; at most {limit * TOLERANCE:.2f}")
    return failed


def main() -> None:
    cpu = cpu_grew()
    sys.exit(
        instructions_grew(instructions.load(instructions.BASE), instructions.counted_with()) or cpu
    )


if __name__ == "__main__":
    main()
