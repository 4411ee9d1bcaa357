"""What is known of the containers, and of the calls that have none yet."""

from dataclasses import replace
from typing import TYPE_CHECKING

from phonebridge.call import Call
from phonebridge.fleet import RESERVATION_SECONDS, TASK_SECONDS, DynamoFleet, Fleet, TaskState
from phonebridge.overdue import HEARTBEAT_PATIENCE_MS
from support.calls import outbound_call
from support.clock import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TASK = TaskState("task-1", 40, 38, draining=False, at_ms=1_000)


def ringing(clock: Clock, call_id: str) -> Call:
    return outbound_call(call_id, created_at_ms=clock.now_ms)


def test_the_last_heartbeat_counts(fleet: DynamoFleet) -> None:
    later = replace(TASK, active_calls=0, draining=True, at_ms=11_000)
    fleet.beat(TASK)
    fleet.beat(later)
    assert fleet.heartbeat("task-1") == later
    assert fleet.heartbeat("task-2") is None
    assert fleet.look() == Fleet((later,), 0)


def test_a_silent_task_is_forgotten_in_a_day(fleet: DynamoFleet, clock: Clock) -> None:
    fleet.beat(TASK)
    clock.pass_seconds(TASK_SECONDS - 1)
    assert fleet.look().tasks == (TASK,)
    clock.pass_seconds(1)
    assert fleet.heartbeat("task-1") is None
    assert fleet.look().tasks == ()


def test_a_place_is_reserved_until_a_container_claims_the_call(
    fleet: DynamoFleet, clock: Clock
) -> None:
    first, second = ringing(clock, "call-1"), ringing(clock, "call-2")
    fleet.reserve(first)
    fleet.reserve(second)
    assert fleet.look().reserved == 2
    fleet.release(first)
    fleet.release(first)
    assert fleet.look().reserved == 1


def test_nobody_pays_for_reservations_that_are_over(
    fleet: DynamoFleet, clock: Clock, client: "DynamoDBClient", table_name: str
) -> None:
    fleet.beat(TASK)
    for number in range(5):
        fleet.reserve(ringing(clock, f"call-{number}"))
    clock.pass_seconds(RESERVATION_SECONDS + 1)
    assert fleet.look() == Fleet((TASK,), 0)
    queries: list[int] = []
    client.meta.events.register(
        "after-call.dynamodb.Query", lambda parsed, **_: queries.append(parsed["ScannedCount"])
    )
    fleet.look()
    assert queries == [1]
    items = client.scan(TableName=table_name)["Count"]
    assert items == 6, "they are all still there"


def test_only_tasks_that_live_and_stay_have_room() -> None:
    now_ms = TASK.at_ms + HEARTBEAT_PATIENCE_MS
    assert Fleet((TASK,), 0).room(now_ms) == 2
    assert Fleet((TASK,), 0).room(now_ms + 1) == 0
    assert Fleet((TASK, replace(TASK, draining=True)), 0).room(now_ms) == 2
    assert Fleet((TASK, replace(TASK, active_calls=0)), 0).room(now_ms) == 42
    assert Fleet((TASK, replace(TASK, active_calls=41)), 0).room(now_ms) == 2, "none owes any"


def test_calls_that_ring_take_room() -> None:
    assert Fleet((TASK,), 1).room(TASK.at_ms) == 1
    assert Fleet((TASK,), 3).room(TASK.at_ms) == -1
