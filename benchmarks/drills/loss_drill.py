"""One run with real processes: calls lose their media socket or their container.

The carrier reaches the containers through a balancer that does not know which of them live.
"""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum

from benchmarks.drills.call_story import Stage
from benchmarks.drills.drill import DrillResult
from benchmarks.drills.judgement import play
from benchmarks.drills.mechanism import Mechanism
from benchmarks.drills.real_system import RealSystem, real_system
from benchmarks.drills.store_fault import Outage, StoreFault
from benchmarks.drills.stories import Talking
from simulators.telnyx.behaviour import StopNews
from simulators.telnyx.call import SimulatedCall

FAULT_AFTER_SECONDS = 32.0
CALLS = 6
"""The simulators share the machine with the containers."""
RESTART_SECONDS = 5.0
CLOSING_SECONDS = 60.0
DRAIN_SECONDS = 95.0
OVER_AFTER_CLOSING_SECONDS = 10.0


class Loss(StrEnum):
    KILL = "one of two containers killed"
    KILL_SILENTLY = "one of two containers killed, no webhook"
    KILL_ONLY = "the only container killed, and restarted after 5 s"
    RESET = "media sockets reset"
    RESET_SILENTLY = "media sockets reset, no webhook"
    HALF_OPEN = "media sockets half-open"
    FREEZE_10 = "one of two containers frozen for 10 s"
    FREEZE_30 = "one of two containers frozen for 30 s"
    FREEZE_62 = "one of two containers frozen for 62 s"
    MOVE = "one of two containers stopped by SIGTERM"


_FROZEN_SECONDS = {Loss.FREEZE_10: 10.0, Loss.FREEZE_30: 30.0, Loss.FREEZE_62: 62.0}
_SILENT = (Loss.KILL_SILENTLY, Loss.RESET_SILENTLY)


@dataclass(frozen=True, slots=True)
class LossDrill:
    loss: Loss
    repetition: int = 1
    without: Mechanism = Mechanism.NONE

    @property
    def name(self) -> str:
        return f"{self.loss}, run {self.repetition}"

    @property
    def fault(self) -> str:
        return self.loss

    def run(self) -> DrillResult:
        with self.without.disabled():
            return asyncio.run(self._run())

    async def _run(self) -> DrillResult:
        outage = Outage(StoreFault.NONE, float("inf"), float("inf"))
        containers = 1 if self.loss is Loss.KILL_ONLY else 2
        program = self.without.container
        async with real_system(outage, (), containers=containers, container=program) as system:
            outage.begins = outage.ends = time.monotonic() + FAULT_AFTER_SECONDS
            lasts = _FROZEN_SECONDS.get(self.loss, 0.0)
            lasts += DRAIN_SECONDS if self.loss is Loss.MOVE else 0.0
            closes = outage.ends + lasts + CLOSING_SECONDS
            stage = Stage(system, outage, closes, closes + OVER_AFTER_CLOSING_SECONDS)
            stories = [Talking(stage, number, share=0.0) for number in range(CALLS)]
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._strike(system, stage))
                playing = tasks.create_task(play(list(stories), stage))
            return await playing

    async def _strike(self, system: RealSystem, stage: Stage) -> None:
        await stage.until(stage.outage.begins)
        assert system.stack.telnyx is not None, "drills use no real provider"
        calls = system.stack.telnyx.calls
        _set_stop_news(calls, "missing" if self.loss in _SILENT else "sent")
        container = system.stack.containers[0]
        match self.loss:
            case Loss.KILL | Loss.KILL_SILENTLY:
                await container.kill()
            case Loss.KILL_ONLY:
                await container.kill()
                await asyncio.sleep(RESTART_SECONDS)
                await container.restart()
            case Loss.MOVE:
                container.process.send_signal(signal.SIGTERM)
            case Loss.RESET | Loss.RESET_SILENTLY | Loss.HALF_OPEN:
                self._disturb(calls)
            case _:
                with _frozen(container.process.pid):
                    await asyncio.sleep(_FROZEN_SECONDS[self.loss])

    def _disturb(self, calls: list[SimulatedCall]) -> None:
        for call in calls:
            if call._stream is not None:
                call._stream.disturb("half_open" if self.loss is Loss.HALF_OPEN else "reset")


def _set_stop_news(calls: list[SimulatedCall], news: StopNews) -> None:
    for call in calls:
        call.faults = replace(call.faults, stop_news=news)


@contextmanager
def _frozen(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
