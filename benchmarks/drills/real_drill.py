"""One run with real processes: the table fails for a while, in real time."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from benchmarks.drills.call_story import CallStory, Stage, number_of
from benchmarks.drills.drill import DrillResult
from benchmarks.drills.judgement import play
from benchmarks.drills.real_system import real_system
from benchmarks.drills.store_fault import Outage, StoreFault
from benchmarks.drills.stories import (
    Answered,
    Created,
    EndedByAgent,
    EndedByApi,
    EndedByCaller,
    Talking,
    Transferred,
)

FAULT_AFTER_SECONDS = 30.0
CLOSING_SECONDS = 80.0
OVER_SECONDS = 95.0
AGENT_SECONDS = 15.0
"""The agent finishes its sentence, hears what the caller wants, and says goodbye."""

STORIES: tuple[Callable[[Stage, int], CallStory], ...] = (
    partial(Talking, share=0.0),
    partial(EndedByAgent, share=0.3),
    partial(EndedByCaller, share=0.5),
    partial(EndedByApi, share=0.4),
    partial(Answered, share=0.4),
    partial(Created, share=0.3),
    partial(Transferred, share=0.3),
)
"""Fewer than in virtual time: the simulators share the machine."""
HELD = (4,)
"""The callee of this story picks up when the story says so."""


@dataclass(frozen=True, slots=True)
class RealDrill:
    kind: StoreFault
    seconds: float

    @property
    def name(self) -> str:
        return self.fault

    @property
    def fault(self) -> str:
        return f"table {self.kind} for {self.seconds:g} s, real processes"

    def run(self) -> DrillResult:
        return asyncio.run(self._run())

    async def _run(self) -> DrillResult:
        outage = Outage(self.kind, float("inf"), float("inf"))
        held = [number_of(number) for number in HELD]
        async with real_system(outage, held) as system:
            outage.begins = time.monotonic() + FAULT_AFTER_SECONDS
            outage.ends = outage.begins + self.seconds
            stage = Stage(system, outage, outage.ends + CLOSING_SECONDS, outage.ends + OVER_SECONDS)
            return await play([make(stage, number) for number, make in enumerate(STORIES)], stage)
