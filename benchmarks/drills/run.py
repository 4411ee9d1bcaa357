"""`make drill`: runs the drills that have no result yet, prints the table, writes the page."""

import argparse
import time

from benchmarks.drills import page, results, steady_costs
from benchmarks.drills.catalogue import all_drills
from benchmarks.drills.drill import Drill
from benchmarks.drills.table import markdown, rows_by_fault
from benchmarks.media import store_faults
from benchmarks.soak import figures

MAX_SECONDS = 200.0
"""No drill begins later than this. The longest ones take more than six minutes, and a run of the
command ends within ten."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="run drills with this text in their names")
    wanted = parser.parse_args().only
    drills = [drill for drill in all_drills() if wanted in drill.name]
    known = results.load()
    left = _run([drill for drill in drills if drill.name not in known.by_name], known)
    print("\n".join(markdown(rows_by_fault(drills, known.by_name))))
    if left:
        print(f"{len(left)} of {len(drills)} drills are left. Run the command again.")
    elif not wanted:
        costs, audio, soak = steady_costs.measure(), store_faults.load(), figures.load()
        page.write(page.render(drills, known.by_name, costs, audio, soak))
        print(f"wrote {page.PAGE.relative_to(results.ROOT)}")


def _run(drills: list[Drill], known: results.Results) -> list[Drill]:
    """Return those for which there was no time."""
    began = time.monotonic()
    for number, drill in enumerate(drills):
        if time.monotonic() - began > MAX_SECONDS:
            return drills[number:]
        result = known.by_name[drill.name] = drill.run()
        results.save(known)
        print(f"{drill.name}: {'clean' if result.is_clean else 'LOSSES'}", flush=True)
        for note in sorted(set(result.notes)):
            print(f"    {result.notes.count(note)} x {note}", flush=True)
    return []


if __name__ == "__main__":
    main()
