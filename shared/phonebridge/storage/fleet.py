"""The media containers and their free places, in one partition of the table.

To place a call, one query reads all of them. Each call that a container carries takes a place
there. A call that is being dialled has no container yet. It reserves a place until a container
claims the call, or until the ringing must be over.
"""

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from phonebridge.call.call import Call
from phonebridge.liveness import CarriedCalls, Watch
from phonebridge.storage.table import ItemKey, Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TASK_SECONDS = 86_400
RESERVATION_SECONDS = 60  # from the request for the call on
"""Telnyx lets a phone ring for 30 s. Then follow the answer, its webhook and the media socket."""

_PARTITION = "FLEET"
_TASKS = "TASK#"


@dataclass(frozen=True, slots=True)
class TaskState:
    """One media container, as its last heartbeat describes it."""

    task_id: str
    """A process gets a new id when it starts, and when it finds itself marked."""
    version: int
    """Counts the heartbeats, and the mark of the task that found this one silent."""
    slots: int
    active_calls: int
    draining: bool
    list_version: int = 0
    """The version of the list of calls that belongs to this heartbeat."""
    is_over: bool = False
    """The task has ended, or an observer marked it because it was silent. It never beats again."""

    @property
    def has_room(self) -> bool:
        return not (self.draining or self.is_over) and self.active_calls < self.slots


@dataclass(frozen=True, slots=True)
class Fleet:
    tasks: tuple[TaskState, ...]
    reserved: int

    @property
    def counts(self) -> dict[str, int]:
        """The heartbeats of the tasks that are not over."""
        return {task.task_id: task.version for task in self.tasks if not task.is_over}

    def room(self, silent: frozenset[str] = frozenset()) -> int:
        """Return how many more calls can be carried. It is negative if more are ringing than
        that."""
        taking = [
            task
            for task in self.tasks
            if not (task.draining or task.is_over or task.task_id in silent)
        ]
        return sum(max(0, task.slots - task.active_calls) for task in taking) - self.reserved


@dataclass(frozen=True, slots=True)
class _TaskCalls:
    """The calls of a task. Each has eight digits, so the list of a full task stays below 1 KB."""

    version: int
    call_keys: str


@dataclass(frozen=True, slots=True)
class _SweepWatch:
    """A `Watch` that outlives the runs of the sweep."""

    json: str


@dataclass(frozen=True, slots=True)
class _Reservation:
    """A reserved place. The key contains everything."""


class DynamoFleet:
    def __init__(
        self, table_name: str, client: "DynamoDBClient", now_ms: Callable[[], int]
    ) -> None:
        self._table = Table(table_name, client, now_ms)
        self._now_ms = now_ms

    def beat(self, task: TaskState) -> bool:
        """Write a heartbeat. Return False if the task was marked as over."""
        key = _task_key(task.task_id)
        return self._table.put_unless_marked(key, task, TASK_SECONDS, mark="is_over")

    def mark_over(self, task: TaskState) -> bool:
        """Mark a task that has not beaten since it was read. Return False if it has, or if somebody
        else marked it first. Only the winner acts on the task's calls."""
        over = replace(task, version=task.version + 1, is_over=True)
        key = _task_key(task.task_id)
        return self._table.put_if_version(key, over, TASK_SECONDS, version=task.version)

    def mark_absent(self, task_id: str) -> bool:
        """Mark a task of which the table has no heartbeat. Return False if it has one now."""
        over = TaskState(task_id, 0, slots=0, active_calls=0, draining=True, is_over=True)
        return self._table.put_if_absent(_task_key(task_id), over, TASK_SECONDS) is over

    def heartbeat(self, task_id: str) -> TaskState | None:
        return self._table.get(_task_key(task_id), TaskState)

    def tasks(self) -> tuple[TaskState, ...]:
        """List the tasks with one eventually consistent query."""
        stored = self._table.query_prefix(_PARTITION, _TASKS)
        return tuple(task for each in stored if (task := each.read_or_none(TaskState)))

    def list_calls(self, task_id: str, version: int, call_ids: Iterable[str]) -> None:
        keys = ",".join(sorted(map(call_key, call_ids)))
        self._table.put(_calls_key(task_id), _TaskCalls(version, keys), TASK_SECONDS)

    def carried_calls(self, task_id: str) -> CarriedCalls | None:
        """Return the calls of a task, or None if it is over or has not written a list."""
        task = self.heartbeat(task_id)
        listed = self._table.get(_calls_key(task_id), _TaskCalls)
        if task is None or task.is_over or listed is None:
            return None
        keys = frozenset(listed.call_keys.split(","))
        return CarriedCalls(task.version, task.list_version, listed.version, keys)

    def sweep_watch(self) -> Watch:
        """Return what the last run of the sweep knew of the tasks."""
        stored = self._table.get(_WATCH_KEY, _SweepWatch)
        return msgspec.json.decode(stored.json, type=Watch) if stored else Watch()

    def keep_sweep_watch(self, watch: Watch) -> None:
        """Store what this run knows. It is in the partition of the heartbeats. So when it can be
        stored, the sweep could have read heartbeats, and tasks could have written them."""
        self._table.put(_WATCH_KEY, _SweepWatch(msgspec.json.encode(watch).decode()), TASK_SECONDS)

    def reserve(self, call: Call) -> None:
        self._table.put(_reservation_key(call), _Reservation(), RESERVATION_SECONDS)

    def release(self, call: Call) -> None:
        self._table.remove(_reservation_key(call))

    def look(self) -> Fleet:
        """Read the fleet with one query. It skips expired reservations, because DynamoDB may take
        days to delete them, and each read of them costs."""
        tasks, reserved = [], 0
        for stored in self._table.query_from(_PARTITION, f"CALL#{self._now_ms():013d}"):
            if stored.sk.startswith(_TASKS):
                if task := stored.read_or_none(TaskState):
                    tasks.append(task)
            else:
                reserved += 1
        return Fleet(tuple(tasks), reserved)


def call_key(call_id: str) -> str:
    """Return the name of a call in the list of a task."""
    return f"{zlib.crc32(call_id.encode()):08x}"


_WATCH_KEY = ItemKey(_PARTITION, "BEATS")
"""Its sort key comes before those that `look` reads."""


def _task_key(task_id: str) -> ItemKey:
    return ItemKey(_PARTITION, f"{_TASKS}{task_id}")


def _calls_key(task_id: str) -> ItemKey:
    return ItemKey(f"TASK#{task_id}", "CALLS")


def _reservation_key(call: Call) -> ItemKey:
    ends_at_ms = call.created_at_ms + RESERVATION_SECONDS * 1000
    return ItemKey(_PARTITION, f"CALL#{ends_at_ms:013d}#{call.call_id}")
