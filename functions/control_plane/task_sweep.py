"""Finds the calls whose task is silent or does not list them.

A task is marked if two runs, at least 45 s apart, read the same count, and if the count stays the
same while this run goes on reading. The second condition is needed because a run may begin in the
last moment of an outage, before any task has written a heartbeat again.
"""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from phonebridge.call.call import Call, CallStatus
from phonebridge.liveness import HEARTBEAT_SECONDS, SILENCE_SECONDS, CarriedCalls, Watch, is_missing
from phonebridge.storage.fleet import DynamoFleet, TaskState, call_key

SILENT_RUNS_SECONDS = 45.0
"""Two runs are a minute apart. EventBridge may start one some seconds late."""
MAX_RUN_GAP_SECONDS = 150.0
"""One run may fail or be skipped. After a longer gap, the table was probably unavailable."""
CLOSE_READS = 1 + math.ceil(SILENCE_SECONDS / HEARTBEAT_SECONDS)
NO_HEARTBEAT = -1
"""The count of a task of which the table has no heartbeat."""


@dataclass(frozen=True, slots=True)
class Orphans:
    """`tasks` are over; `calls` are missing from the lists of their living tasks. `has_room` says
    that a living task can take a call."""

    tasks: frozenset[str]
    calls: frozenset[str]
    has_room: bool = True

    def has(self, call: Call) -> bool:
        return call.owner_task in self.tasks or call.call_id in self.calls


class TaskSweep:
    def __init__(
        self,
        fleet: DynamoFleet,
        now_ms: Callable[[], int],
        log: Logger,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._fleet = fleet
        self._now_ms = now_ms
        self._log = log
        self._sleep = sleep

    def find(self, calls: Iterable[Call]) -> Orphans:
        """Return the calls without a task. This takes some seconds if a task or a call is suspect.
        If the table fails meanwhile, nothing is found."""
        carried = {
            call.call_id: call.owner_task
            for call in calls
            if call.status is CallStatus.STREAMING and call.owner_task
        }
        try:
            return self._find(carried)
        except (BotoCoreError, ClientError) as error:
            self._log.error("tasks could not be read", reason=str(error))
            return Orphans(frozenset(), frozenset())

    def _find(self, carried: dict[str, str]) -> Orphans:
        owners = frozenset(carried.values())
        tasks = self._tasks()
        over = frozenset(task_id for task_id in owners & tasks.keys() if tasks[task_id].is_over)
        suspects = self._note_counts(tasks, owners)
        first = {owner: self._fleet.carried_calls(owner) for owner in owners - over - suspects}
        unlisted = {
            call_id: owner
            for call_id, owner in carried.items()
            if (listed := first.get(owner)) and listed.lacks(call_key(call_id))
        }
        silent = self._watch_closely(suspects) if suspects or unlisted else {}
        marked = {task_id for task_id, task in silent.items() if self._mark(task_id, task)}
        missing = self._missing(unlisted, first)
        return Orphans(over | marked, missing, _has_room(tasks, over | marked | suspects))

    def _tasks(self) -> dict[str, TaskState]:
        return {task.task_id: task for task in self._fleet.tasks()}

    def _note_counts(self, tasks: dict[str, TaskState], owners: frozenset[str]) -> frozenset[str]:
        """Return the tasks that were silent from an earlier run until now."""
        counts = _counts(tasks, owners)
        now = self._now_ms() / 1000
        watch = self._fleet.sweep_watch().after_read(counts, now, MAX_RUN_GAP_SECONDS)
        if counts:
            self._fleet.keep_sweep_watch(watch)
        return watch.silent_tasks(SILENT_RUNS_SECONDS)

    def _watch_closely(self, suspects: frozenset[str]) -> dict[str, TaskState | None]:
        """Return the tasks that stay silent for `SILENCE_SECONDS` more, as they were read last."""
        watch = Watch()
        for _ in range(CLOSE_READS):
            self._sleep(HEARTBEAT_SECONDS)
            tasks = self._tasks()
            watch = watch.after_read(_counts(tasks, suspects), self._now_ms() / 1000)
        return {task_id: tasks.get(task_id) for task_id in watch.silent_tasks() & suspects}

    def _mark(self, task_id: str, task: TaskState | None) -> bool:
        won = self._fleet.mark_over(task) if task else self._fleet.mark_absent(task_id)
        if won:
            self._log.error("task is silent", task=task_id)
        return won

    def _missing(
        self, unlisted: dict[str, str], first: dict[str, CarriedCalls | None]
    ) -> frozenset[str]:
        """Return the calls that are missing from the lists of their living tasks at a second look,
        too."""
        second = {owner: self._fleet.carried_calls(owner) for owner in set(unlisted.values())}
        return frozenset(
            call_id
            for call_id, owner in unlisted.items()
            if (before := first[owner])
            and (after := second[owner])
            and is_missing(call_key(call_id), before, after)
        )


def _has_room(tasks: dict[str, TaskState], lost: frozenset[str]) -> bool:
    return any(task.has_room for task_id, task in tasks.items() if task_id not in lost)


def _counts(tasks: dict[str, TaskState], owners: frozenset[str]) -> dict[str, int]:
    counts = {task_id: task.version for task_id, task in tasks.items() if not task.is_over}
    return {task_id: NO_HEARTBEAT for task_id in owners - tasks.keys()} | counts
