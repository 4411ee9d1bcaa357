"""What the safety costs while nothing fails, in DynamoDB units."""

import asyncio

import msgspec

from benchmarks.drills.carrier import Callee
from benchmarks.drills.drill_model import DrillModel, loop_with
from benchmarks.drills.store_fault import Outage, StoreFault
from benchmarks.drills.table_in_memory import Units
from benchmarks.drills.virtual_system import VirtualSystem, virtual_system

IDLE_SECONDS = 600.0
CALL_SECONDS = 60.0
LAST_WRITES_SECONDS = 10.0
NUMBER = "+15550123"
OF_TASKS = ("FLEET", "TASK")
"""Partitions of heartbeats, of lists of calls, of reservations and of mailboxes."""


class SteadyCosts(msgspec.Struct, frozen=True):
    heartbeat_units_per_task_hour: float
    write_units_per_call: float
    read_units_per_call: float


def measure() -> SteadyCosts:
    model = DrillModel()
    loop = loop_with(model)

    async def play() -> SteadyCosts:
        async with virtual_system(loop, model, Outage(StoreFault.NONE, 0, 0)) as system:
            await asyncio.sleep(IDLE_SECONDS)
            idle = _sum(system.table.written, of_tasks=True)
            before = _call_units(system)
            await _one_call(system)
            writes, reads = (
                after - b for after, b in zip(_call_units(system), before, strict=True)
            )
            return SteadyCosts(idle * 3600 / IDLE_SECONDS, writes, reads)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(play())


async def _one_call(system: VirtualSystem) -> None:
    system.carrier.callees[NUMBER] = Callee(1.0)
    await system.ask("POST", "/api/ai-calls/create", {"to": NUMBER, "instructions": "Be brief."})
    await asyncio.sleep(CALL_SECONDS)
    system.carrier.hang_up(system.carrier.legs[0])
    await asyncio.sleep(LAST_WRITES_SECONDS)


def _call_units(system: VirtualSystem) -> tuple[float, float]:
    return _sum(system.table.written, of_tasks=False), _sum(system.table.read, of_tasks=False)


def _sum(units: Units, *, of_tasks: bool) -> float:
    """Add the units. The sums that the table also keeps are left out."""
    return sum(
        sum(by_second.values())
        for partition, by_second in units.items()
        if partition not in ("items", "table")
        and (partition.partition("#")[0] in OF_TASKS) is of_tasks
    )
