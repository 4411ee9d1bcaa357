"""`make fuzz`: gives broken input to all readers, and prints what became of it.

A run goes on where the last one stopped, and stops before ten minutes have passed. Results belong
to one seed and one state of the code. `--seed N --only NAME --round R` repeats a failure.
"""

import argparse
import gc
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import msgspec

from benchmarks.drills.results import ROOT, fingerprint
from benchmarks.fuzz.catalogue import all_targets
from benchmarks.fuzz.target import Outcome, Target, play_round

MAX_SECONDS = 480.0
MAX_GROWN_BYTES, MAX_GROWN_PER_INPUT = 64 * 1024 * 1024, 512
"""The allocator keeps some memory of long inputs. A reader that keeps them itself needs more: an
input has about 2 KB."""
MAX_FAILURES = 10
RESULTS = ROOT / ".build" / "fuzz.json"


class Results(msgspec.Struct):
    code: str
    seed: int
    by_name: dict[str, Outcome] = {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--only", default="", help="play targets with this text in their names")
    parser.add_argument("--round", type=int, help="play this round alone")
    parser.add_argument("--share", type=float, default=1.0, help="play this share of the inputs")
    options = parser.parse_args()
    targets = [target for target in all_targets() if options.only in target.name]
    results = _load(options.seed)
    print(f"seed {results.seed}", flush=True)
    if options.round is not None:
        results.by_name = {
            each.name: _repeat(each, results.seed, options.round) for each in targets
        }
    else:
        _run(targets, results, options.share)
    print("\n".join(table(targets, results)))
    has_failed = any(_has_failed(outcome) for outcome in results.by_name.values())
    sys.exit(1 if has_failed else 0)


def _load(seed: int | None, path: Path = RESULTS) -> Results:
    code = fingerprint("benchmarks/fuzz")
    if path.exists():
        stored = msgspec.json.decode(path.read_bytes(), type=Results)
        if stored.code == code and seed in (None, stored.seed):
            return stored
    return Results(code, secrets.randbelow(2**31) if seed is None else seed)


def _run(targets: Sequence[Target], results: Results, share: float) -> None:
    began = time.monotonic()
    for target in targets:
        outcome = results.by_name.setdefault(target.name, Outcome())
        _play(target, outcome, results.seed, round(target.inputs * share), began + MAX_SECONDS)
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_bytes(msgspec.json.encode(results))
        for failure in outcome.failures:
            print(f"{target.name}: {failure}", flush=True)


def _play(target: Target, outcome: Outcome, seed: int, inputs: int, ends_at: float) -> None:
    if outcome.inputs >= inputs or time.monotonic() > ends_at:
        return
    began, first = time.monotonic(), inputs // 10 + outcome.inputs
    held_bytes = 0
    with target.open() as play:
        while outcome.inputs < inputs and time.monotonic() < ends_at:
            play_round(play, chance_of(seed, target, outcome.rounds), outcome.rounds, outcome)
            if not held_bytes and outcome.inputs >= first:
                held_bytes = _resident_bytes()
            if len(outcome.failures) >= MAX_FAILURES:
                break
        outcome.grown_bytes = max(outcome.grown_bytes, _resident_bytes() - (held_bytes or 10**12))
    outcome.seconds += time.monotonic() - began


def _repeat(target: Target, seed: int, number: int) -> Outcome:
    outcome = Outcome()
    with target.open() as play:
        play_round(play, chance_of(seed, target, number), number, outcome)
    return outcome


def chance_of(seed: int, target: Target, number: int) -> Random:
    return Random(f"{seed}/{target.name}/{number}")


def _resident_bytes() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def _has_failed(outcome: Outcome) -> bool:
    may_grow = MAX_GROWN_BYTES + MAX_GROWN_PER_INPUT * outcome.inputs
    return bool(outcome.failures) or outcome.grown_bytes > may_grow


def table(targets: Sequence[Target], results: Results) -> Iterator[str]:
    yield "| target | inputs | refused cleanly | failures | memory grown | seconds |"
    yield "|---|--:|--:|--:|--:|--:|"
    for target in targets:
        outcome = results.by_name.get(target.name, Outcome())
        left = "" if outcome.inputs >= target.inputs else f" of {target.inputs:,}"
        yield (
            f"| {target.name} | {outcome.inputs:,}{left} | {outcome.refused:,} "
            f"| {len(outcome.failures)} | {outcome.grown_bytes / 2**20:.1f} MB "
            f"| {outcome.seconds:.0f} |"
        )


if __name__ == "__main__":
    main()
