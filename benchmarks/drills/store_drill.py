"""One run: the table fails for a while, in one way, with the sweep at one phase."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.drills.call_story import CallStory, Stage
from benchmarks.drills.drill import DrillResult, KindResult
from benchmarks.drills.drill_model import DrillModel, loop_with
from benchmarks.drills.mechanism import Mechanism
from benchmarks.drills.store_fault import Outage, StoreFault
from benchmarks.drills.stories import STORIES
from benchmarks.drills.virtual_system import SWEEP_SECONDS, virtual_system

FAULT_BEGINS = 90.0
"""Seconds after the start: the sweep has run, and all calls of the beginning talk."""
LEGS_MUST_END_SECONDS = 10.0
LOOK_SECONDS = 0.5


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

        async def play() -> DrillResult:
            async with virtual_system(loop, model, outage) as system:
                return await _play(self, Stage(system, outage))

        with self.without.disabled(), asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(play())


class _Watch:
    """Notes when a record was last seen to be wrong, and which legs were open too late."""

    def __init__(self, stories: list[CallStory], stage: Stage) -> None:
        self._stories = stories
        self._stage = stage
        self.wrong_until: dict[CallStory, float] = {}
        self.open_late: set[CallStory] = set()

    async def look(self) -> None:
        """From the return of the table to the end of the drill."""
        ends = self._stage.outage.ends
        await self._stage.until(ends)
        while (now := self._stage.system.loop.time()) < self._stage.over:
            for story in self._stories:
                if now < self._stage.closes and not story.is_right():
                    self.wrong_until[story] = now + LOOK_SECONDS - ends
            await asyncio.sleep(LOOK_SECONDS)

    async def count_open_legs(self) -> None:
        await self._stage.until(self._stage.outage.ends + LEGS_MUST_END_SECONDS)
        for story in self._stories:
            if story.wants_end and story.leg and story.leg.is_up:
                self.open_late.add(story)


async def _play(drill: StoreDrill, stage: Stage) -> DrillResult:
    stories = [make(stage, number) for number, make in enumerate(STORIES)]
    watch = _Watch(stories, stage)
    first_sweep = (stage.outage.ends + drill.sweep_phase) % SWEEP_SECONDS
    async with asyncio.TaskGroup() as tasks:
        sweeps = tasks.create_task(stage.system.sweep_every_minute(first_sweep))
        for story in stories:
            tasks.create_task(story.play())
        tasks.create_task(watch.count_open_legs())
        await watch.look()
        sweeps.cancel()
    return _judge(stories, watch)


def _judge(stories: list[CallStory], watch: _Watch) -> DrillResult:
    by_kind: dict[str, list[CallStory]] = {}
    for story in stories:
        by_kind.setdefault(story.kind, []).append(story)
    kinds = tuple(_judge_kind(kind, own, watch) for kind, own in by_kind.items())
    return DrillResult(kinds, tuple(note for story in stories for note in _notes(story)))


def _judge_kind(kind: str, stories: list[CallStory], watch: _Watch) -> KindResult:
    right = [story for story in stories if story.is_right()]
    return KindResult(
        kind=kind,
        calls=len(stories),
        lost=sum(story.is_lost() for story in stories),
        wrong=len(stories) - len(right),
        commands_lost=sum(len(story.commands_lost()) for story in stories),
        commands_repeated=sum(len(story.commands_repeated()) for story in stories),
        legs_open_late=sum(story in watch.open_late for story in stories),
        silences=tuple(round(story.silence(), 1) for story in stories),
        clean_seconds=tuple(round(watch.wrong_until.get(story, 0.0), 1) for story in right),
    )


def _notes(story: CallStory) -> Iterator[str]:
    if story.is_lost():
        yield f"{story.kind}: ended by us"
    if not story.is_right():
        record = story.record()
        told = f"{record.status}, {record.outcome}, {record.reason}" if record else "no record"
        yield f"{story.kind}: the record says {told}"
    yield from (f"lost: {command}" for command in story.commands_lost())
    yield from (f"repeated: {command}" for command in story.commands_repeated())
