"""Runs of one call in virtual time: its container dies at each of its requests, one by one.

The requests are those that the container makes in a run without a fault. In each further run, it
dies before one of them. So it dies at every point between two requests.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from benchmarks.drills.call_story import CallStory, Stage
from benchmarks.drills.container_process import ContainerProcess
from benchmarks.drills.drill import DrillResult
from benchmarks.drills.drill_model import DrillModel, loop_with
from benchmarks.drills.judgement import play
from benchmarks.drills.mechanism import Mechanism
from benchmarks.drills.store_fault import Outage, StoreFault
from benchmarks.drills.stories import EndedByAgent, EndedByApi, Talking, Transferred
from benchmarks.drills.system import LegState
from benchmarks.drills.virtual_system import VirtualSystem, virtual_system
from phonebridge.call.call import Call

ACTS_AT_SECONDS = 15.0
TALKS_BEFORE_SECONDS = 10.0
TALKS_AFTER_SECONDS = 20.0
CLOSING_SECONDS = 80.0
OVER_SECONDS = 150.0
"""After the act. Two sweeps have passed since everybody hung up."""
REPAIR_SECONDS = 60.0
"""A leg may be open for so long after its end was requested: the caller may have to ask again."""
INSISTS_AFTER_SECONDS = 12.0
RESTART_SECONDS = 5.0
FIRST_SWEEP_SECONDS = 25.0


class Heir(StrEnum):
    """Who continues the calls of the container."""

    OTHER = "one of two containers dies at each request"
    OTHER_WITHOUT_WEBHOOK = "one of two containers dies at each request, no webhook"
    RESTARTED = (
        "the only container dies at each request after the claim, and is restarted after 5 s"
    )


class _Insisting(CallStory):
    """The caller asks again if nothing happens: a model that is gone has forgotten the wish."""

    created_before_seconds = TALKS_BEFORE_SECONDS
    tool: str
    arguments: ClassVar[dict[str, str]] = {}

    async def insist(self) -> None:
        while self.leg and self.leg.state is LegState.ANSWERED and not self._is_over():
            if (call := self.record()) and not self.is_granted(call):
                self.system.let_agent(self.to, self.tool, self.arguments)
            await asyncio.sleep(INSISTS_AFTER_SECONDS)

    def is_granted(self, call: Call) -> bool:
        raise NotImplementedError

    def _is_over(self) -> bool:
        return self.system.time() >= self.stage.closes


class Goodbye(_Insisting, EndedByAgent):
    tool = "end_call"

    async def play(self) -> None:
        await self.create(self.stage.outage.begins - self.created_before_seconds)
        await self.stage.until(self.stage.outage.begins)
        self.asked_at = self.system.time()
        await self.insist()

    def is_granted(self, call: Call) -> bool:
        return call.end_requested_by is not None


class Handover(_Insisting, Transferred):
    tool = "transfer_call"
    arguments: ClassVar = {"destination": "reception"}

    async def play(self) -> None:
        self.expect_target()
        await self.create(self.stage.outage.begins - self.created_before_seconds)
        await self.stage.until(self.stage.outage.begins)
        self.asked_at = self.system.time()
        await self.insist()
        await self.hang_up_at_the_end()

    def is_granted(self, call: Call) -> bool:
        return call.transfer is not None


class Conversation(Talking):
    """It takes longer if the container dies, so that there is time for the next one."""

    created_before_seconds = TALKS_BEFORE_SECONDS

    async def play(self) -> None:
        assert isinstance(self.system, VirtualSystem), "only its containers can die"
        begins = self.stage.outage.begins
        await self.create(begins - self.created_before_seconds)
        await self.stage.until(begins + TALKS_AFTER_SECONDS)
        if not self.system.has_lost_container and self.leg:
            self.system.hang_up(self.leg)
        await self.hang_up_at_the_end()


class Request(EndedByApi):
    created_before_seconds = TALKS_BEFORE_SECONDS


Event = Callable[[VirtualSystem, ContainerProcess], None]
"""What happens to the container apart from its death."""


def nothing(system: VirtualSystem, container: ContainerProcess) -> None:
    pass


def socket_breaks(system: VirtualSystem, container: ContainerProcess) -> None:
    system.carrier.break_sockets()


def task_is_stopped(system: VirtualSystem, container: ContainerProcess) -> None:
    """ECS sends SIGTERM, so the call moves to another container."""
    container.drain()


@dataclass(frozen=True, slots=True)
class ContainerDrill:
    story: type[CallStory] = Conversation
    event: Event = nothing
    heir: Heir = Heir.OTHER
    without: Mechanism = Mechanism.NONE

    @property
    def name(self) -> str:
        event = self.event.__name__.replace("_", " ")
        return f"{self.heir}: {self.story.__name__.lower()}, {event}"

    @property
    def fault(self) -> str:
        return self.heir

    def run(self) -> DrillResult:
        requests, undisturbed = self.run_until(None)
        results = {"undisturbed": undisturbed}
        first = 1
        if self.heir is Heir.RESTARTED:
            # Nobody can take a call that is answered while there is no container.
            first += requests.index("model")
        for number, request in enumerate(requests[first - 1 :], first):
            _, results[f"{number} {request}"] = self.run_until(number)
        return DrillResult(
            tuple(kind for result in results.values() for kind in result.kinds),
            tuple(f"{at}: {note}" for at, result in results.items() for note in result.notes),
            runs=len(results),
        )

    def run_until(self, dies_at: int | None) -> tuple[list[str], DrillResult]:
        """Return the requests that the container has made, and what became of the call."""
        model = DrillModel()
        loop = loop_with(model)
        moment = Outage(StoreFault.NONE, ACTS_AT_SECONDS, ACTS_AT_SECONDS)
        first = ContainerProcess(dies_at)
        second = ContainerProcess(heir_of=first if self.heir is Heir.RESTARTED else None)

        async def run() -> DrillResult:
            async with virtual_system(loop, model, moment, (first, second)) as system:
                system.carrier.reports_breaks = self.heir is not Heir.OTHER_WITHOUT_WEBHOOK
                return await self._play(system, moment, first)

        with self.without.disabled(), asyncio.Runner(loop_factory=lambda: loop) as runner:
            result = runner.run(run())
        return first.requests, result

    async def _play(
        self, system: VirtualSystem, moment: Outage, container: ContainerProcess
    ) -> DrillResult:
        closes, over = moment.ends + CLOSING_SECONDS, moment.ends + OVER_SECONDS
        stage = Stage(system, moment, closes, over, REPAIR_SECONDS)
        async with asyncio.TaskGroup() as tasks:
            sweeps = tasks.create_task(system.sweep_every_minute(FIRST_SWEEP_SECONDS))
            happens = tasks.create_task(self._happen(system, stage, container))
            result = await play([self.story(stage, 0, 0.0)], stage)
            sweeps.cancel()
            happens.cancel()
        return result

    async def _happen(
        self, system: VirtualSystem, stage: Stage, container: ContainerProcess
    ) -> None:
        await stage.until(stage.outage.begins)
        self.event(system, container)


CONTAINER_DRILLS = (
    ContainerDrill(),
    ContainerDrill(Goodbye),
    ContainerDrill(Request),
    ContainerDrill(Handover),
    ContainerDrill(event=socket_breaks),
    ContainerDrill(event=task_is_stopped),
    ContainerDrill(heir=Heir.OTHER_WITHOUT_WEBHOOK),
    ContainerDrill(Goodbye, heir=Heir.OTHER_WITHOUT_WEBHOOK),
    ContainerDrill(heir=Heir.RESTARTED),
)
SHORT = tuple(
    drill
    for drill in CONTAINER_DRILLS
    if drill.heir is Heir.RESTARTED or drill in (ContainerDrill(), ContainerDrill(Handover))
)
"""These run with the tests."""
