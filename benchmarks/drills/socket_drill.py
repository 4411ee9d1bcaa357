"""One run in virtual time: the media sockets of all calls break at the same moment."""

import asyncio
from dataclasses import dataclass

from benchmarks.drills.call_story import Stage
from benchmarks.drills.drill import DrillResult
from benchmarks.drills.drill_model import DrillModel, loop_with
from benchmarks.drills.judgement import play
from benchmarks.drills.mechanism import Mechanism
from benchmarks.drills.store_fault import Outage, StoreFault
from benchmarks.drills.stories import Talking
from benchmarks.drills.virtual_system import VirtualSystem, virtual_system

BREAKS_AT_SECONDS = 60.0
CLOSING_SECONDS = 30.0
OVER_SECONDS = 40.0
CALLS = 6
FIRST_SWEEP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class SocketDrill:
    without: Mechanism = Mechanism.NONE

    @property
    def name(self) -> str:
        return "media sockets reset, virtual time"

    @property
    def fault(self) -> str:
        return self.name

    def run(self) -> DrillResult:
        model = DrillModel()
        loop = loop_with(model)
        moment = Outage(StoreFault.NONE, BREAKS_AT_SECONDS, BREAKS_AT_SECONDS)

        async def run() -> DrillResult:
            async with virtual_system(loop, model, moment) as system:
                return await _play(system, moment)

        with self.without.disabled(), asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(run())


async def _play(system: VirtualSystem, moment: Outage) -> DrillResult:
    closes = moment.ends + CLOSING_SECONDS
    stage = Stage(system, moment, closes, moment.ends + OVER_SECONDS)
    stories = [Talking(stage, number, share=0.0) for number in range(CALLS)]
    async with asyncio.TaskGroup() as tasks:
        sweeps = tasks.create_task(system.sweep_every_minute(FIRST_SWEEP_SECONDS))
        tasks.create_task(_break_sockets(system, stage))
        result = await play(list(stories), stage)
        sweeps.cancel()
    return result


async def _break_sockets(system: VirtualSystem, stage: Stage) -> None:
    await stage.until(stage.outage.begins)
    system.carrier.break_sockets()
