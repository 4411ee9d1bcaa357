"""All drills, in the order of the table's rows."""

from collections.abc import Iterator
from itertools import product

from benchmarks.drills.container_drill import CONTAINER_DRILLS, ContainerDrill, Heir
from benchmarks.drills.drill import Drill
from benchmarks.drills.loss_drill import Loss, LossDrill
from benchmarks.drills.mechanism import Mechanism
from benchmarks.drills.real_drill import RealDrill
from benchmarks.drills.socket_drill import SocketDrill
from benchmarks.drills.store_drill import StoreDrill
from benchmarks.drills.store_fault import StoreFault

SECONDS = (4.0, 16.0, 60.0, 300.0)
SWEEP_PHASES = (-0.6, 5.0, 20.0, 45.0)
"""The first sweep hangs in the last moment of the fault and reads when it is over."""
FAULTS = (StoreFault.UNAVAILABLE, StoreFault.THROTTLED, StoreFault.SLOW)
NO_FAULT = StoreDrill(StoreFault.NONE, 16.0, 5.0)
REPEATED = (
    RealDrill(StoreFault.UNAVAILABLE, 4.0),
    RealDrill(StoreFault.UNAVAILABLE, 16.0),
    RealDrill(StoreFault.UNAVAILABLE, 60.0),
    RealDrill(StoreFault.THROTTLED, 4.0),
    RealDrill(StoreFault.THROTTLED, 16.0),
    RealDrill(StoreFault.SLOW, 16.0),
)
"""These rows are repeated with real processes."""
SHORT = (
    StoreDrill(StoreFault.UNAVAILABLE, 16.0, -0.6),
    StoreDrill(StoreFault.THROTTLED, 4.0, 5.0),
)
"""These run with the tests."""
SWITCHES: tuple[StoreDrill | SocketDrill | ContainerDrill, ...] = (
    StoreDrill(StoreFault.UNAVAILABLE, 60.0, 12.0, Mechanism.WRITE_QUEUE),
    StoreDrill(StoreFault.UNAVAILABLE, 60.0, 12.0, Mechanism.HANGUP_AT_ONCE),
    StoreDrill(StoreFault.SLOW, 60.0, 40.0, Mechanism.OWED_COMMANDS),
    StoreDrill(StoreFault.UNAVAILABLE, 300.0, 12.0, Mechanism.ASK_CARRIER),
    StoreDrill(StoreFault.UNAVAILABLE, 61.75, -1.95, Mechanism.SECOND_LOOK),
    StoreDrill(StoreFault.UNAVAILABLE, 16.0, 12.0, Mechanism.CLAIM_RETRY),
    SocketDrill(Mechanism.NEXT_STREAM),
    ContainerDrill(heir=Heir.OTHER_WITHOUT_WEBHOOK, without=Mechanism.FLEET_WATCH),
)
"""A drill for each mechanism. It reports losses without the mechanism."""

REPETITIONS = {Loss.KILL: 3, Loss.KILL_SILENTLY: 3}
LOSSES = tuple(LossDrill(loss, 1 + n) for loss in Loss for n in range(REPETITIONS.get(loss, 1)))
LOSS_SWITCH = LossDrill(Loss.RESET, without=Mechanism.NEXT_STREAM)
"""It takes minutes, so it does not run with the tests."""


def all_drills() -> Iterator[Drill]:
    yield NO_FAULT
    for fault, seconds, phase in product(FAULTS, SECONDS, SWEEP_PHASES):
        yield StoreDrill(fault, seconds, phase)
    yield from CONTAINER_DRILLS
    yield from REPEATED
    yield from LOSSES
