"""Plays the stories of a drill side by side and counts what became of them."""

import asyncio
from collections.abc import Iterator

from benchmarks.drills.call_story import CallStory, Stage
from benchmarks.drills.drill import DrillResult, KindResult
from benchmarks.drills.system import LegState

LEGS_MUST_END_SECONDS = 10.0
LOOK_SECONDS = 0.5


async def play(stories: list[CallStory], stage: Stage) -> DrillResult:
    watch = _Watch(stories, stage)
    async with asyncio.TaskGroup() as tasks:
        for story in stories:
            tasks.create_task(story.play())
            tasks.create_task(watch.count_open_legs(story))
        tasks.create_task(watch.find_left_calls())
        await watch.look()
    return _judge(stories, watch)


class _Watch:
    """Notes when a record was last seen to be wrong, which legs were open too late, and which calls
    were left when the drill closed."""

    def __init__(self, stories: list[CallStory], stage: Stage) -> None:
        self._stories = stories
        self._stage = stage
        self.wrong_until: dict[CallStory, float] = {}
        self.open_late: set[CallStory] = set()
        self.left: set[CallStory] = set()

    async def look(self) -> None:
        """Compare the records with the stories from the end of the outage to the end of the
        drill."""
        ends = self._stage.outage.ends
        await self._stage.until(ends)
        while (now := self._stage.system.time()) < self._stage.over:
            for story in self._stories:
                if now < self._stage.closes and not story.is_right():
                    self.wrong_until[story] = now + LOOK_SECONDS - ends
            await asyncio.sleep(LOOK_SECONDS)

    async def find_left_calls(self) -> None:
        """Find calls that are not as they should be shortly before everybody hangs up."""
        await self._stage.until(self._stage.closes - LOOK_SECONDS)
        self.left = {story for story in self._stories if story.is_left()}

    async def count_open_legs(self, story: CallStory) -> None:
        asked_at = self._stage.within(story.share) + self._stage.agent_seconds
        done = max(asked_at, self._stage.outage.ends) if story.needs_table else asked_at
        await self._stage.until(done + LEGS_MUST_END_SECONDS)
        if story.wants_end and story.leg and story.leg.state is not LegState.ENDED:
            self.open_late.add(story)


def _judge(stories: list[CallStory], watch: _Watch) -> DrillResult:
    by_kind: dict[str, list[CallStory]] = {}
    for story in stories:
        by_kind.setdefault(story.kind, []).append(story)
    kinds = tuple(_judge_kind(kind, own, watch) for kind, own in by_kind.items())
    return DrillResult(kinds, tuple(note for story in stories for note in _notes(story, watch)))


def _judge_kind(kind: str, stories: list[CallStory], watch: _Watch) -> KindResult:
    right = [story for story in stories if story.is_right()]
    return KindResult(
        kind=kind,
        calls=len(stories),
        lost=sum(story.is_lost() or story in watch.left for story in stories),
        moved=sum(story.is_moved() for story in stories),
        wrong=len(stories) - len(right),
        commands_lost=sum(len(story.commands_lost()) for story in stories),
        commands_repeated=sum(len(story.commands_repeated()) for story in stories),
        legs_open_late=sum(story in watch.open_late for story in stories),
        silences=tuple(round(story.silence(), 1) for story in stories),
        clean_seconds=tuple(round(watch.wrong_until.get(story, 0.0), 1) for story in right),
    )


def _notes(story: CallStory, watch: _Watch) -> Iterator[str]:
    if story.is_lost():
        yield f"{story.kind}: ended by us"
    if story in watch.left:
        yield f"{story.kind}: left without its media"
    if story.is_moved():
        yield f"{story.kind}: got another stream"
    if not story.is_right():
        record = story.record()
        told = f"{record.status}, {record.outcome}, {record.reason}" if record else "no record"
        yield f"{story.kind}: the record says {told}"
    yield from (f"lost: {command}" for command in story.commands_lost())
    yield from (f"repeated: {command}" for command in story.commands_repeated())
