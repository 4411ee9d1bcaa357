"""The heartbeats of a task do not depend on what else its process does."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Queue
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from media_bridge.runtime import heartbeat
from media_bridge.runtime.heartbeat import Beat, BeatOutcome, Heartbeat
from phonebridge.observability.log import logger
from phonebridge.storage.fleet import DynamoFleet, TaskState
from tests.support.waiting import TIMEOUT_SECONDS

Told = Queue[tuple[Beat, BeatOutcome]]


def compose(count: int) -> Beat:
    return Beat(TaskState("task-1", count, 40, 3, draining=False), claimed=0)


@contextmanager
def beating(fleet: Any, told: Told, compose: Callable[[int], Beat] = compose) -> Iterator[None]:
    beats = Heartbeat(fleet, compose, lambda *beat: told.put(beat), logger("beats"))
    beats.start()
    try:
        yield
    finally:
        beats.end()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "HEARTBEAT_SECONDS", 0.01)


def next_of(told: Told) -> tuple[int, BeatOutcome]:
    beat, outcome = told.get(timeout=TIMEOUT_SECONDS)
    return beat.state.version, outcome


def test_it_counts_and_says_at_last_that_the_task_is_over(fleet: DynamoFleet) -> None:
    told: Told = Queue()
    with beating(fleet, told):
        assert [next_of(told) for _ in range(3)] == [(n, BeatOutcome.WRITTEN) for n in (1, 2, 3)]
    last = fleet.heartbeat("task-1")
    assert last is not None
    assert last.is_over


def test_whatever_fails_the_next_heartbeat_comes(capsys: pytest.CaptureFixture[str]) -> None:
    failures: list[Exception] = [
        EndpointConnectionError(endpoint_url="http://127.0.0.1:9"),
        ZeroDivisionError("a bug"),
    ]

    class Failing:
        def beat(self, task: TaskState) -> bool:
            if failures:
                raise failures.pop()
            return True

    told: Told = Queue()
    with beating(Failing(), told):
        outcomes = [next_of(told) for _ in range(3)]
    assert outcomes == [(1, BeatOutcome.FAILED), (2, BeatOutcome.FAILED), (3, BeatOutcome.WRITTEN)]


def test_a_task_that_was_marked_is_told_so(fleet: DynamoFleet) -> None:
    told: Told = Queue()
    fleet.mark_absent("task-1")
    with beating(fleet, told):
        assert next_of(told) == (1, BeatOutcome.MARKED)


def test_it_beats_while_every_other_thread_waits(fleet: DynamoFleet) -> None:
    """The event loop included: this is its thread."""
    told: Told = Queue()
    with beating(fleet, told):
        seen = threading.Event()
        while not seen.wait(0.0):
            if next_of(told)[0] > 5:
                seen.set()
