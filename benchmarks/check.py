"""`make bench-check`: a guard against regressions that knows no absolute time. The container may
take so many times the CPU of the plain relay, both measured in the same minutes on the same core.
"""

import sys

import run
from phonebridge.settings import ModelAudio
from results import Case, Results

CALLS, SECONDS, ROUNDS = 20, 8.0, 3
MOST = {ModelAudio.G711: 1.0, ModelAudio.PCM24K: 1.0}
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


def main() -> None:
    cases = [
        Case(target, audio, False, CALLS) for audio in MOST for target in ("phonebridge", "relay")
    ]
    results = Results()
    print(run.HEADINGS)
    with run.prepared(SECONDS, tls=False) as bench:
        results.replace_runs(run.measure(bench, cases, ROUNDS))
    failed = False
    for audio, most in MOST.items():
        found = ratio(results, audio)
        failed |= found > most * TOLERANCE
        print(f"{audio}: {found:.2f} times the relay's CPU; at most {most * TOLERANCE:.2f}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
