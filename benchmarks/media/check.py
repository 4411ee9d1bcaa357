"""`make bench-check`: a guard against regressions that does not depend on absolute times.

The container may execute at most 2 % more instructions per frame than the base
(instructions_base.json). Its CPU time is limited relative to the plain relay, measured in the same
minutes on the same core.
"""

import sys
from collections.abc import Mapping

from benchmarks.media import instructions, run
from benchmarks.media.results import Case, Results
from phonebridge.settings import ModelAudio

CALLS, SECONDS, ROUNDS = 20, 8.0, 3
MAX = {ModelAudio.G711: 1.0, ModelAudio.PCM24K: 1.0}
"""Limits of the CPU time, relative to the relay."""
TOLERANCE = 1.15
"""Variation between two runs on the same machine."""


def ratio(results: Results, audio: ModelAudio) -> float:
    """Compare the cheapest rounds, because other load on the machine can only add time."""
    ours, relay = (
        results.best(Case(target, audio, False, CALLS)) for target in ("phonebridge", "relay")
    )
    if ours is None or relay is None:
        raise SystemExit("a run has no figures; its line above says why")
    return ours.cpu_per_call_minute / relay.cpu_per_call_minute


def instructions_grew(base: instructions.Counts, here: Mapping[str, str]) -> bool:
    """Compare the instructions with the base. If they are not comparable, print why and return
    False."""
    if why := instructions.incomparable(base, here):
        print(f"instructions not checked: {why}")
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
        print(f"{audio}: {found:.2f} times the CPU of the relay (limit: {limit * TOLERANCE:.2f})")
    return failed


def main() -> None:
    cpu = cpu_grew()
    sys.exit(
        instructions_grew(instructions.load(instructions.BASE), instructions.counted_with()) or cpu
    )


if __name__ == "__main__":
    main()
