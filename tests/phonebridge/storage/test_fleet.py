"""What is known of the containers, and of the calls that have none yet."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.control_plane.dynamodb_units import item_bytes
from phonebridge.call.call import Call
from phonebridge.liveness import Watch
from phonebridge.storage.fleet import (
    RESERVATION_SECONDS,
    TASK_SECONDS,
    DynamoFleet,
    Fleet,
    TaskState,
    call_key,
)
from tests.support.calls import outbound_call
from tests.support.clock import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TASK = TaskState("task-1", 1, 40, 38, draining=False)


def ringing(clock: Clock, call_id: str) -> Call:
    return outbound_call(call_id, created_at_ms=clock.now_ms)


def test_the_last_heartbeat_counts(fleet: DynamoFleet) -> None:
    later = replace(TASK, version=2, active_calls=0, draining=True)
    assert fleet.beat(TASK)
    assert fleet.beat(later)
    assert fleet.heartbeat("task-1") == later
    assert fleet.heartbeat("task-2") is None
    assert fleet.look() == Fleet((later,), 0)
    assert fleet.tasks() == (later,)


def test_a_heartbeat_of_another_version_hides_no_other(
    fleet: DynamoFleet, client: "DynamoDBClient", table_name: str
) -> None:
    fleet.beat(TASK)
    fleet.beat(replace(TASK, task_id="task-2"))
    client.update_item(
        TableName=table_name,
        Key={"pk": {"S": "FLEET"}, "sk": {"S": "TASK#task-1"}},
        UpdateExpression="SET slots = :newer",
        ExpressionAttributeValues={":newer": {"S": "many"}},
    )
    assert [task.task_id for task in fleet.tasks()] == ["task-2"]
    assert [task.task_id for task in fleet.look().tasks] == ["task-2"]


def test_a_task_that_was_marked_beats_no_more(fleet: DynamoFleet) -> None:
    fleet.beat(TASK)
    assert fleet.mark_over(TASK)
    assert not fleet.beat(replace(TASK, version=2))
    assert not fleet.beat(replace(TASK, version=99))
    marked = fleet.heartbeat("task-1")
    assert marked is not None
    assert marked.is_over


def test_a_task_that_beat_after_it_was_read_is_not_marked(fleet: DynamoFleet) -> None:
    fleet.beat(TASK)
    fleet.beat(replace(TASK, version=2))
    assert not fleet.mark_over(TASK)
    assert fleet.beat(replace(TASK, version=3))


def test_one_observer_wins(fleet: DynamoFleet) -> None:
    fleet.beat(TASK)
    with ThreadPoolExecutor(8) as observers:
        assert sum(observers.map(fleet.mark_over, [TASK] * 8)) == 1
        assert sum(observers.map(fleet.mark_absent, ["task-2"] * 8)) == 1
    assert not fleet.beat(replace(TASK, task_id="task-2"))


def test_a_task_without_a_heartbeat_is_not_marked_once_it_has_one(fleet: DynamoFleet) -> None:
    fleet.beat(TASK)
    assert not fleet.mark_absent("task-1")


def test_a_task_tells_which_calls_it_carries(fleet: DynamoFleet) -> None:
    assert fleet.carried_calls("task-1") is None
    fleet.beat(replace(TASK, list_version=7))
    assert fleet.carried_calls("task-1") is None
    fleet.list_calls("task-1", 7, ["call-1", "call-2"])
    carried = fleet.carried_calls("task-1")
    assert carried is not None
    assert (carried.count, carried.expected_version, carried.version) == (1, 7, 7)
    assert carried.call_keys == {call_key("call-1"), call_key("call-2")}
    assert carried.lacks(call_key("call-3"))
    assert not carried.lacks(call_key("call-1"))

    fleet.list_calls("task-1", 8, [])
    emptied = fleet.carried_calls("task-1")
    assert emptied is not None
    assert emptied.lacks(call_key("call-1"))
    fleet.mark_over(replace(TASK, list_version=7))
    assert fleet.carried_calls("task-1") is None


def test_the_list_of_a_full_task_costs_one_write_unit(
    fleet: DynamoFleet, client: "DynamoDBClient", table_name: str
) -> None:
    fleet.list_calls("task-1", 1_000_000, [f"call-{number}" for number in range(100)])
    [item] = client.scan(TableName=table_name)["Items"]
    assert item_bytes(item) < 1024


def test_the_sweep_remembers_what_it_read(fleet: DynamoFleet) -> None:
    assert fleet.sweep_watch() == Watch()
    watch = Watch().after_read({"task-1": 3}, 1_795_000_000.25)
    fleet.keep_sweep_watch(watch)
    assert fleet.sweep_watch() == watch
    assert fleet.look() == Fleet((), 0)


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
    assert Fleet((TASK,), 0).room() == 2
    assert Fleet((TASK,), 0).room(frozenset({"task-1"})) == 0
    assert Fleet((replace(TASK, is_over=True),), 0).room() == 0
    assert Fleet((TASK, replace(TASK, draining=True)), 0).room() == 2
    assert Fleet((TASK, replace(TASK, active_calls=0)), 0).room() == 42
    assert Fleet((TASK, replace(TASK, active_calls=41)), 0).room() == 2, "none owes any"


def test_calls_that_ring_take_room() -> None:
    assert Fleet((TASK,), 1).room() == 1
    assert Fleet((TASK,), 3).room() == -1
