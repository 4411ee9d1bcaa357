"""Tasks find out which of the others are dead, and only one of them acts."""

import math
from dataclasses import dataclass, field, replace
from typing import NoReturn

import pytest
from botocore.exceptions import EndpointConnectionError

from media_bridge.runtime.fleet_watch import READ_SECONDS, FleetWatch
from phonebridge.liveness import SILENCE_SECONDS
from phonebridge.observability.log import logger
from phonebridge.storage.fleet import DynamoFleet, TaskState

TASK = TaskState("other", 1, 40, 3, draining=False)
READS = math.ceil(SILENCE_SECONDS / READ_SECONDS)


@dataclass
class Observer:
    """One task that watches, by a clock of its own."""

    fleet: DynamoFleet
    own_id: str = "observer"
    now: float = 100.0
    won: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        log = logger(f"watch-{self.own_id}")
        self.watch = FleetWatch(
            self.fleet, log, lambda: self.own_id, self.won.append, lambda: self.now
        )

    async def look(self, times: int = 1) -> None:
        for _ in range(times):
            await self.watch.look()
            self.now += READ_SECONDS


def is_over(fleet: DynamoFleet) -> bool:
    task = fleet.heartbeat("other")
    assert task is not None
    return task.is_over


async def test_a_silent_task_is_marked_by_one_of_those_that_watch_it(fleet: DynamoFleet) -> None:
    fleet.beat(TASK)
    observers = [Observer(fleet, "observer"), Observer(fleet, "another")]
    for each in observers:
        await each.look(READS)
        assert not is_over(fleet)
    for each in observers:
        await each.look(2)
    assert is_over(fleet)
    assert [each.won for each in observers] == [["other"], []]


async def test_a_task_that_beats_is_left_alone(fleet: DynamoFleet) -> None:
    observer = Observer(fleet)
    for count in range(20):
        fleet.beat(replace(TASK, version=count))
        await observer.look()
    assert observer.won == []


async def test_an_outage_starts_every_timer_anew(
    fleet: DynamoFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> NoReturn:
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1:9")

    fleet.beat(TASK)
    observer = Observer(fleet)
    await observer.look(READS)
    with monkeypatch.context() as outage:
        outage.setattr(fleet, "tasks", fail)
        await observer.look(26)
    await observer.look(READS)
    assert observer.won == []
    await observer.look(2)
    assert observer.won == ["other"]


async def test_a_task_that_could_not_write_marks_no_other(fleet: DynamoFleet) -> None:
    """The others may have been kept from writing too, while all could read."""
    fleet.beat(TASK)
    observer = Observer(fleet)
    for _ in range(20):
        await observer.look(READS)
        observer.watch.start_over()
    assert observer.won == []


async def test_a_task_does_not_mark_itself(fleet: DynamoFleet) -> None:
    fleet.beat(replace(TASK, task_id="observer"))
    observer = Observer(fleet)
    await observer.look(3 * READS)
    assert observer.won == []


async def test_the_calls_of_a_task_that_ended_are_nobodys_to_take(fleet: DynamoFleet) -> None:
    fleet.beat(replace(TASK, is_over=True))
    observer = Observer(fleet)
    await observer.look(3 * READS)
    assert observer.won == []
