"""One run: the table fails for a while, in one way, with the sweep at one phase."""

import asyncio
from dataclasses import dataclass

from benchmarks.drills.call_story import Stage
from benchmarks.drills.drill import DrillResult
from benchmarks.drills.drill_model import DrillModel, loop_with
from benchmarks.drills.judgement import play
from benchmarks.drills.mechanism import Mechanism
from benchmarks.drills.store_fault import Outage, StoreFault
from benchmarks.drills.stories import STORIES
from benchmarks.drills.virtual_system import SWEEP_SECONDS, VirtualSystem, virtual_system

FAULT_BEGINS = 90.0
"""Seconds after the start: the sweep has run, and all calls of the beginning talk."""
CLOSING_SECONDS = 100.0
"""After the return of the table everybody who still talks hangs up."""
AGENT_SECONDS = 8.0
"""The agent hears what the caller wants, says goodbye, and hangs up."""
OVER_SECONDS = 200.0
"""After the return of the table the drill is judged: three sweeps have passed."""


@dataclass(frozen=True, slots=True)
class StoreDrill:
    kind: StoreFault
    seconds: float
    sweep_phase: float
    """When a sweep begins, in seconds after the table is back; all others begin whole minutes
    before and after."""
    without: Mechanism = Mechanism.NONE
    """What is disabled, to show that the drill then finds losses."""

    @property
    def name(self) -> str:
        return f"{self.fault}, sweep at {self.sweep_phase:g} s"

    @property
    def fault(self) -> str:
        if self.kind is StoreFault.NONE:
            return "no fault"
        return f"table {self.kind} for {self.seconds:g} s"

    def run(self) -> DrillResult:
        model = DrillModel()
        loop = loop_with(model)
        outage = Outage(self.kind, FAULT_BEGINS, FAULT_BEGINS + self.seconds)

        async def run() -> DrillResult:
            async with virtual_system(loop, model, outage) as system:
                return await _play(self, system, outage)

        with self.without.disabled(), asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(run())


async def _play(drill: StoreDrill, system: VirtualSystem, outage: Outage) -> DrillResult:
    closes, over = outage.ends + CLOSING_SECONDS, outage.ends + OVER_SECONDS
    stage = Stage(system, outage, closes, over, AGENT_SECONDS, keeps_streams=True)
    stories = [make(stage, number) for number, make in enumerate(STORIES)]
    async with asyncio.TaskGroup() as tasks:
        first_sweep = (outage.ends + drill.sweep_phase) % SWEEP_SECONDS
        sweeps = tasks.create_task(system.sweep_every_minute(first_sweep))
        result = await play(stories, stage)
        sweeps.cancel()
    return result
