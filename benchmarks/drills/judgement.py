"""Plays the stories of a drill side by side and counts what became of them."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.drills.call_story import CallStory, Stage
from benchmarks.drills.drill import DrillResult, KindResult
from benchmarks.drills.system import LegState

LEGS_MUST_END_SECONDS = 10.0
LOOK_SECONDS = 0.5
MOVED = "got another stream"


async def play(stories: list[CallStory], stage: Stage) -> DrillResult:
    watch = _Watch(stories, stage)
    async with asyncio.TaskGroup() as tasks:
        for story in stories:
            tasks.create_task(story.play())
            tasks.create_task(watch.count_open_legs(story))
        tasks.create_task(watch.find_left_calls())
        await watch.look()
    return judge(stories, watch.seen)


@dataclass(slots=True)
class Seen:
    """What was seen while the stories were played, and cannot be seen in the end."""

    wrong_until: dict[CallStory, float] = field(default_factory=dict)
    """When a record was last seen to be wrong."""
    open_late: set[CallStory] = field(default_factory=set)
    """The legs that were open too late."""
    left: set[CallStory] = field(default_factory=set)
    """The calls that had no media when the drill closed."""


class _Watch:
    def __init__(self, stories: list[CallStory], stage: Stage) -> None:
        self._stories = stories
        self._stage = stage
        self.seen = Seen()

    async def look(self) -> None:
        """Compare the records with the stories from the end of the outage to the end of the
        drill."""
        ends = self._stage.outage.ends
        await self._stage.until(ends)
        while (now := self._stage.system.time()) < self._stage.over:
            for story in self._stories:
                if now < self._stage.closes and not story.is_right():
                    self.seen.wrong_until[story] = now + LOOK_SECONDS - ends
            await asyncio.sleep(LOOK_SECONDS)

    async def find_left_calls(self) -> None:
        """Find calls that are not as they should be shortly before everybody hangs up."""
        await self._stage.until(self._stage.closes - LOOK_SECONDS)
        self.seen.left = {story for story in self._stories if story.is_left()}

    async def count_open_legs(self, story: CallStory) -> None:
        asked_at = self._stage.within(story.share) + self._stage.agent_seconds
        done = max(asked_at, self._stage.outage.ends) if story.needs_table else asked_at
        await self._stage.until(done + LEGS_MUST_END_SECONDS)
        if story.wants_end and story.leg and story.leg.state is not LegState.ENDED:
            self.seen.open_late.add(story)


def judge(stories: Sequence[CallStory], seen: Seen) -> DrillResult:
    by_kind: dict[str, list[CallStory]] = {}
    for story in stories:
        by_kind.setdefault(story.kind, []).append(story)
    kinds = tuple(_judge_kind(kind, own, seen) for kind, own in by_kind.items())
    return DrillResult(kinds, tuple(note for story in stories for note in _notes(story, seen)))


def _judge_kind(kind: str, stories: list[CallStory], seen: Seen) -> KindResult:
    right = [story for story in stories if story.is_right()]
    return KindResult(
        kind=kind,
        calls=len(stories),
        lost=sum(story.is_lost() or story in seen.left for story in stories),
        moved=sum(story.is_moved() for story in stories),
        wrong=len(stories) - len(right),
        commands_lost=sum(len(story.commands_lost()) for story in stories),
        commands_repeated=sum(len(story.commands_repeated()) for story in stories),
        legs_open_late=sum(story in seen.open_late for story in stories),
        silences=tuple(round(story.silence(), 1) for story in stories),
        clean_seconds=tuple(round(seen.wrong_until.get(story, 0.0), 1) for story in right),
    )


def _notes(story: CallStory, seen: Seen) -> Iterator[str]:
    if story.is_lost():
        yield f"{story.kind}: ended by us"
    if story in seen.left:
        yield f"{story.kind}: left without its media"
    if story.is_moved():
        yield f"{story.kind}: {MOVED}"
    if not story.is_right():
        record = story.record()
        told = f"{record.status}, {record.outcome}, {record.reason}" if record else "no record"
        yield f"{story.kind}: the record says {told}"
    yield from (f"lost: {command}" for command in story.commands_lost())
    yield from (f"repeated: {command}" for command in story.commands_repeated())
