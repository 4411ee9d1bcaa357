"""All drills, in the order of the table's rows."""

from collections.abc import Iterator
from itertools import product

from benchmarks.drills.drill import Drill
from benchmarks.drills.store_drill import StoreDrill
from benchmarks.drills.store_fault import StoreFault

SECONDS = (4.0, 16.0, 60.0, 300.0)
SWEEP_PHASES = (-0.6, 1.0, 5.0, 12.0, 30.0, 50.0)
"""The first sweep hangs in the last moment of the fault and reads when it is over."""
FAULTS = (StoreFault.UNAVAILABLE, StoreFault.THROTTLED, StoreFault.SLOW)
NO_FAULT = StoreDrill(StoreFault.NONE, 16.0, 12.0)
SHORT = (
    StoreDrill(StoreFault.UNAVAILABLE, 52.0, -0.6),
    StoreDrill(StoreFault.THROTTLED, 16.0, 12.0),
)
"""The form of the drills that runs with the tests."""


def all_drills() -> Iterator[Drill]:
    yield NO_FAULT
    for fault, seconds, phase in product(FAULTS, SECONDS, SWEEP_PHASES):
        yield StoreDrill(fault, seconds, phase)
