"""Runs with real processes in which calls lose their media socket, their container or their model
session, again and again.

Calls follow each other without a pause, so that each loss meets calls of every age. The carrier
reaches the containers through a balancer that does not know which of them live.
"""

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import count, cycle
from typing import Literal

import msgspec

from aws.processes import Container
from benchmarks.drills.call_story import Stage
from benchmarks.drills.drill import DrillResult, KindResult
from benchmarks.drills.judgement import MOVED, Seen, judge
from benchmarks.drills.mechanism import Mechanism
from benchmarks.drills.real_system import RealSystem, real_system
from benchmarks.drills.store_fault import Outage, StoreFault
from benchmarks.drills.stories import Talking
from simulators.openai.faults import EXPIRED, FROZEN, GONE, SessionEnding
from simulators.telnyx.behaviour import StopNews

LANES = 8
"""Calls at a time. The simulators share the machine with the containers."""
LANE_PAUSE_SECONDS = 1.0
FIRST_LOSS_SECONDS = 20.0
RUN_SECONDS = 100.0
MANY_LOSSES_SECONDS = 240.0
"""No loss begins later than this in a run."""
CALL_SECONDS = 45.0
PATIENT_CALL_SECONDS = 130.0
RESTART_SECONDS = 5.0
"""The time until the replacement of a killed container starts."""
DRAIN_SECONDS = 110.0
JUDGED_AFTER_SECONDS = 10.0
FIRST_STORY = 200
"""Gives the callers numbers that mean nothing to the simulators."""

MODEL_ENDINGS = (
    SessionEnding(1000),
    EXPIRED,
    GONE,
    SessionEnding(1011, "internal error"),
    SessionEnding(1012, "service restart"),
    SessionEnding(1013, "try again later"),
    SessionEnding(3008, "timeout"),
    FROZEN,
)


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
    REPLACE = "two containers replaced in turn by SIGTERM"
    MODEL = "model sessions lost in eight ways"


@dataclass(frozen=True, slots=True)
class _Course:
    """How a kind of loss is repeated."""

    watch_seconds: float
    """How long after a loss the caller's silence is measured."""
    call_seconds: float = CALL_SECONDS
    run_seconds: float = RUN_SECONDS
    containers: int = 2


_COURSES: Mapping[Loss, _Course] = {
    Loss.KILL: _Course(14.0, run_seconds=MANY_LOSSES_SECONDS),
    Loss.KILL_SILENTLY: _Course(20.0, run_seconds=MANY_LOSSES_SECONDS),
    Loss.KILL_ONLY: _Course(50.0, PATIENT_CALL_SECONDS, containers=1),
    Loss.RESET: _Course(20.0),
    Loss.RESET_SILENTLY: _Course(25.0),
    Loss.HALF_OPEN: _Course(30.0),
    Loss.FREEZE_10: _Course(30.0, PATIENT_CALL_SECONDS),
    Loss.FREEZE_30: _Course(50.0, PATIENT_CALL_SECONDS),
    Loss.FREEZE_62: _Course(80.0, PATIENT_CALL_SECONDS),
    Loss.REPLACE: _Course(20.0),
    Loss.MODEL: _Course(15.0, run_seconds=140.0),
}
_FROZEN_SECONDS = {Loss.FREEZE_10: 10.0, Loss.FREEZE_30: 30.0, Loss.FREEZE_62: 62.0}
_SILENT = (Loss.KILL_SILENTLY, Loss.RESET_SILENTLY)


class Passing(Talking):
    """A conversation of its own length. It has a stage of its own."""

    created_before_seconds = 0.0


@dataclass(frozen=True, slots=True)
class LossDrill:
    loss: Loss
    repetition: int = 1
    without: Mechanism = Mechanism.NONE
    run_seconds: float | None = None
    """None stands for the usual length."""

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
        course = _COURSES[self.loss]
        never = Outage(StoreFault.NONE, float("inf"), float("inf"))
        program = self.without.container
        async with real_system(never, (), course.containers, program) as system:
            losses = _Losses(system, self.loss, course)
            async with asyncio.TaskGroup() as tasks:
                for lane in range(LANES):
                    tasks.create_task(losses.fill_lane(lane * course.call_seconds / LANES))
                await losses.repeat(self.run_seconds or course.run_seconds)
            await asyncio.sleep(JUDGED_AFTER_SECONDS)
            return losses.judge()


class _Losses:
    """One run: the calls, and what is done to them."""

    def __init__(self, system: RealSystem, loss: Loss, course: _Course) -> None:
        assert system.stack.telnyx is not None, "drills use no real provider"
        assert system.stack.openai is not None, "drills use no real provider"
        self._system = system
        self._carrier = system.stack.telnyx
        self._model = system.stack.openai
        self._loss = loss
        self._course = course
        self._numbers = count(FIRST_STORY)
        self._stories: list[Passing] = []
        self._silences: list[float] = []
        self._endings = cycle(MODEL_ENDINGS)
        self._is_over = False

    async def fill_lane(self, first_seconds: float) -> None:
        """Place a call as soon as the one before it is over. The first one is shorter."""
        seconds = first_seconds or self._course.call_seconds
        while not self._is_over:
            await self._call(seconds)
            await asyncio.sleep(LANE_PAUSE_SECONDS)
            seconds = self._course.call_seconds

    async def _call(self, seconds: float) -> None:
        now = time.monotonic()
        stage = Stage(self._system, Outage(StoreFault.NONE, now, now), now + seconds, now + seconds)
        story = Passing(stage, next(self._numbers), share=0.0)
        self._stories.append(story)
        await story.play()

    async def repeat(self, run_seconds: float) -> None:
        ends = time.monotonic() + run_seconds
        await asyncio.sleep(FIRST_LOSS_SECONDS)
        for turn in count():
            if time.monotonic() > ends:
                break
            began = time.monotonic()
            before = {story: _streams(story) for story in self._live()}
            await self._strike(turn)
            rest = began + self._course.watch_seconds - time.monotonic()
            await asyncio.sleep(max(0.0, rest))
            self._measure(before, began)
        self._is_over = True

    def _live(self) -> list[Passing]:
        """Calls that nobody ends while the silence is measured."""
        ends = time.monotonic() + self._course.watch_seconds
        return [s for s in self._stories if s.leg and s.leg.has_stream and s.stage.closes > ends]

    def _measure(self, before: Mapping[Passing, int], began: float) -> None:
        """Measure the silence of those calls that lost something."""
        for story, streams in before.items():
            is_hit = self._loss is Loss.MODEL or _streams(story) > streams
            if story.leg and (is_hit or not story.leg.has_stream):
                until = began + self._course.watch_seconds
                self._silences.append(round(story.leg.longest_silence(began, until), 1))

    async def _strike(self, turn: int) -> None:
        self._set_stop_news("missing" if self._loss in _SILENT else "sent")
        containers = self._system.stack.containers
        container = containers[turn % len(containers)]
        match self._loss:
            case Loss.KILL | Loss.KILL_SILENTLY | Loss.KILL_ONLY:
                await container.kill()
                await asyncio.sleep(RESTART_SECONDS)
                await container.restart()
            case Loss.REPLACE:
                await self._replace(container)
            case Loss.RESET | Loss.RESET_SILENTLY | Loss.HALF_OPEN:
                self._disturb()
            case Loss.MODEL:
                self._end_sessions(next(self._endings))
            case _:
                await _freeze(container.process.pid, _FROZEN_SECONDS[self._loss])

    async def _replace(self, container: Container) -> None:
        """As ECS does at a deployment: no new socket reaches a task that is to stop."""
        balancer = self._system.balancer
        all_targets = balancer.targets
        balancer.targets = tuple(port for port in all_targets if port != container.port)
        container.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(DRAIN_SECONDS):
            await container.process.wait()
        await container.restart()
        balancer.targets = all_targets

    def _set_stop_news(self, news: StopNews) -> None:
        for call in self._carrier.calls:
            call.faults = replace(call.faults, stop_news=news)

    def _disturb(self) -> None:
        how: Literal["reset", "half_open"] = (
            "half_open" if self._loss is Loss.HALF_OPEN else "reset"
        )
        for call in self._carrier.calls:
            if call.stream is not None and call.streams.is_streaming:
                call.stream.disturb(how)

    def _end_sessions(self, ending: SessionEnding) -> None:
        for session in self._model.sessions:
            session.end(ending)

    def judge(self) -> DrillResult:
        result = judge(self._stories, Seen())
        kinds = tuple(self._with_silences(each) for each in result.kinds)
        notes = tuple(note for note in result.notes if not note.endswith(MOVED))
        return DrillResult(kinds, notes)

    def _with_silences(self, kind: KindResult) -> KindResult:
        return msgspec.structs.replace(
            kind, silences=tuple(self._silences), clean_seconds=(), moved=0
        )


def _streams(story: Passing) -> int:
    executed = story.leg.executed if story.leg else ()
    return sum(each.name == "streaming_start" for each in executed)


async def _freeze(pid: int, seconds: float) -> None:
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        os.kill(pid, signal.SIGCONT)
