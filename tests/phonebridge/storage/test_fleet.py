"""What is known of the containers, and of the calls that have none yet."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phonebridge.call.call import Call
from phonebridge.call.overdue import HEARTBEAT_TIMEOUT_MS
from phonebridge.storage.fleet import (
    RESERVATION_SECONDS,
    STALE_HEARTBEAT_SECONDS,
    TASK_SECONDS,
    DynamoFleet,
    Fleet,
    TaskState,
)
from tests.support.calls import outbound_call
from tests.support.clock import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TASK = TaskState("task-1", 40, 38, draining=False, at_ms=1_000)


STALE_SECONDS = HEARTBEAT_TIMEOUT_MS / 1000
SWEEP_SECONDS = 60


def beat(fleet: DynamoFleet, clock: Clock, late_ms: int = 0) -> None:
    fleet.beat(replace(TASK, at_ms=clock.now_ms - late_ms))


def ringing(clock: Clock, call_id: str) -> Call:
    return outbound_call(call_id, created_at_ms=clock.now_ms)


def test_the_last_heartbeat_counts(fleet: DynamoFleet) -> None:
    later = replace(TASK, active_calls=0, draining=True, at_ms=11_000)
    fleet.beat(TASK)
    fleet.beat(later)
    assert fleet.heartbeat("task-1") == later
    assert fleet.heartbeat("task-2") is None
    assert fleet.look() == Fleet((later,), 0)


def test_a_task_is_lost_when_it_is_silent_at_two_looks_a_period_apart(
    fleet: DynamoFleet, clock: Clock
) -> None:
    beat(fleet, clock)
    clock.pass_seconds(STALE_SECONDS)
    assert not fleet.is_lost("task-1"), "it may still beat in time"
    clock.pass_seconds(1)
    assert not fleet.is_lost("task-1"), "the first look"
    clock.pass_seconds(STALE_SECONDS - 1)
    assert not fleet.is_lost("task-1"), "the second look comes too soon"
    clock.pass_seconds(1)
    assert fleet.is_lost("task-1")
    assert fleet.is_lost("task-1"), "its other calls are judged alike"


def test_a_task_that_never_beat_is_lost_at_the_second_look(
    fleet: DynamoFleet, clock: Clock
) -> None:
    assert not fleet.is_lost("task-1")
    clock.pass_seconds(SWEEP_SECONDS)
    assert fleet.is_lost("task-1")


def test_a_heartbeat_between_two_looks_makes_the_first_one_void(
    fleet: DynamoFleet, clock: Clock
) -> None:
    beat(fleet, clock)
    clock.pass_seconds(SWEEP_SECONDS)
    assert not fleet.is_lost("task-1")
    beat(fleet, clock)
    clock.pass_seconds(SWEEP_SECONDS)
    assert not fleet.is_lost("task-1")


def test_a_task_whose_clock_is_wrong_is_not_lost_while_it_beats(
    fleet: DynamoFleet, clock: Clock
) -> None:
    for _ in range(5):
        beat(fleet, clock, late_ms=10 * HEARTBEAT_TIMEOUT_MS)
        assert not fleet.is_lost("task-1")
        clock.pass_seconds(SWEEP_SECONDS)


def test_a_look_does_not_count_after_looks_have_failed_for_long(
    fleet: DynamoFleet, clock: Clock
) -> None:
    """The table was away again: the task has had no chance to beat."""
    beat(fleet, clock)
    clock.pass_seconds(52)
    assert not fleet.is_lost("task-1")
    clock.pass_seconds(STALE_HEARTBEAT_SECONDS)
    assert not fleet.is_lost("task-1")


def test_looks_at_the_same_time_are_one(fleet: DynamoFleet, clock: Clock) -> None:
    beat(fleet, clock)
    clock.pass_seconds(SWEEP_SECONDS)
    with ThreadPoolExecutor(4) as sweeps:
        assert not any(sweeps.map(fleet.is_lost, ["task-1"] * 4))


PAUSES = st.lists(
    st.tuples(st.sampled_from(["heartbeat", "look"]), st.integers(1, 70)), max_size=12
)


@given(PAUSES)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whoever_is_lost_was_silent_for_two_periods(
    fleet: DynamoFleet, clock: Clock, happened: list[tuple[str, int]]
) -> None:
    beat(fleet, clock)
    last_beat_ms = clock.now_ms
    for what, pause_seconds in happened:
        clock.pass_seconds(pause_seconds)
        if what == "heartbeat":
            beat(fleet, clock)
            last_beat_ms = clock.now_ms
        elif fleet.is_lost("task-1"):
            assert clock.now_ms - last_beat_ms > 2 * HEARTBEAT_TIMEOUT_MS


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
    now_ms = TASK.at_ms + HEARTBEAT_TIMEOUT_MS
    assert Fleet((TASK,), 0).room(now_ms) == 2
    assert Fleet((TASK,), 0).room(now_ms + 1) == 0
    assert Fleet((TASK, replace(TASK, draining=True)), 0).room(now_ms) == 2
    assert Fleet((TASK, replace(TASK, active_calls=0)), 0).room(now_ms) == 42
    assert Fleet((TASK, replace(TASK, active_calls=41)), 0).room(now_ms) == 2, "none owes any"


def test_calls_that_ring_take_room() -> None:
    assert Fleet((TASK,), 1).room(TASK.at_ms) == 1
    assert Fleet((TASK,), 3).room(TASK.at_ms) == -1
