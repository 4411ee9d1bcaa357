"""The media containers and the room they have, in one partition of the table: whoever wants to
place a call learns of all of them by one query.

A container is full of the calls it carries; a call that is dialled has no container yet, so its
place is reserved until one claims it, or until it must have been answered.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from phonebridge.call.call import Call
from phonebridge.call.overdue import HEARTBEAT_TIMEOUT_MS
from phonebridge.storage.table import ItemKey, Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TASK_SECONDS = 86_400
STALE_HEARTBEAT_SECONDS = 150
"""How long an observation of a stale heartbeat counts: the sweep runs every minute, so a run may be
missed. After a longer gap in the runs the table was probably away, for the task as well."""
RESERVATION_SECONDS = 60  # from the request for the call on
"""Telnyx lets a phone ring for 30 s; then come the answer, its webhook and the media socket."""

_PARTITION = "FLEET"


@dataclass(frozen=True, slots=True)
class TaskState:
    """One media container, as it last described itself."""

    task_id: str
    slots: int
    active_calls: int
    draining: bool
    at_ms: int


@dataclass(frozen=True, slots=True)
class Fleet:
    tasks: tuple[TaskState, ...]
    reserved: int

    def room(self, now_ms: int) -> int:
        """How many more calls can be carried; less than none when more ring than that."""
        taking = [task for task in self.tasks if not task.draining and _is_alive(task, now_ms)]
        return sum(max(0, task.slots - task.active_calls) for task in taking) - self.reserved


@dataclass(frozen=True, slots=True)
class _StaleHeartbeat:
    """The first observation that a task has not beaten since a certain heartbeat, which is part of
    the key: a later heartbeat makes the observation meaningless without a write."""

    seen_at_ms: int


@dataclass(frozen=True, slots=True)
class _Reservation:
    """Its key says it all."""


class DynamoFleet:
    def __init__(
        self, table_name: str, client: "DynamoDBClient", now_ms: Callable[[], int]
    ) -> None:
        self._table = Table(table_name, client, now_ms)
        self._now_ms = now_ms

    def beat(self, task: TaskState) -> None:
        self._table.put(_task_key(task.task_id), task, TASK_SECONDS)

    def heartbeat(self, task_id: str) -> TaskState | None:
        return self._table.get(_task_key(task_id), TaskState)

    def is_lost(self, task_id: str) -> bool:
        """Whether a task is silent for certain: its heartbeat is too old, and it was the same and
        too old at an earlier call of this method, at least `HEARTBEAT_TIMEOUT_MS` ago.

        One observation proves nothing. After an outage of the table all heartbeats are old, until
        the tasks have beaten again. To note the observation takes a write, as a heartbeat does.
        """
        looked_at_ms = self._now_ms()
        task = self.heartbeat(task_id)
        if task and _is_alive(task, looked_at_ms):
            return False
        observed = _StaleHeartbeat(self._now_ms())
        key = _stale_heartbeat_key(task_id, task.at_ms if task else 0)
        first = self._table.put_if_absent(key, observed, STALE_HEARTBEAT_SECONDS)
        return looked_at_ms >= first.seen_at_ms + HEARTBEAT_TIMEOUT_MS

    def reserve(self, call: Call) -> None:
        self._table.put(_reservation_key(call), _Reservation(), RESERVATION_SECONDS)

    def release(self, call: Call) -> None:
        self._table.remove(_reservation_key(call))

    def look(self) -> Fleet:
        """One query. It begins behind the reservations that are over: DynamoDB may take days to
        delete them, and they would be paid for every time."""
        tasks, reserved = [], 0
        for stored in self._table.query_from(_PARTITION, f"CALL#{self._now_ms():013d}"):
            if stored.sk.startswith("TASK#"):
                tasks.append(stored.read(TaskState))
            else:
                reserved += 1
        return Fleet(tuple(tasks), reserved)


def _is_alive(task: TaskState, now_ms: int) -> bool:
    return now_ms <= task.at_ms + HEARTBEAT_TIMEOUT_MS


def _task_key(task_id: str) -> ItemKey:
    return ItemKey(_PARTITION, f"TASK#{task_id}")


def _stale_heartbeat_key(task_id: str, beat_at_ms: int) -> ItemKey:
    return ItemKey(f"TASK#{task_id}", f"STALE#{beat_at_ms:013d}")


def _reservation_key(call: Call) -> ItemKey:
    ends_at_ms = call.created_at_ms + RESERVATION_SECONDS * 1000
    return ItemKey(_PARTITION, f"CALL#{ends_at_ms:013d}#{call.call_id}")
