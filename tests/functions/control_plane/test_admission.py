"""Room for one more call, as one process of the API sees it."""

from typing import TYPE_CHECKING, NoReturn

import pytest
from botocore.exceptions import EndpointConnectionError

from control_plane.admission import MEMORY_MS, Admission
from phonebridge.errors import AtCapacity
from phonebridge.storage.fleet import DynamoFleet, TaskState
from tests.support.calls import outbound_call
from tests.support.clock import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def admission(fleet: DynamoFleet, clock: Clock) -> Admission:
    return Admission(fleet, clock)


def task_state(clock: Clock, active_calls: int, draining: bool = False) -> TaskState:
    return TaskState("task-1", clock.now_ms, 2, active_calls, draining)


def test_a_fleet_that_nobody_knows_refuses_nobody(admission: Admission) -> None:
    for _ in range(3):
        admission.admit()


def test_a_fleet_that_is_gone_refuses_everybody(
    admission: Admission, fleet: DynamoFleet, clock: Clock
) -> None:
    fleet.beat(task_state(clock, 0))
    fleet.mark_over(task_state(clock, 0))
    with pytest.raises(AtCapacity):
        admission.admit()


def test_a_task_that_stays_silent_while_it_is_looked_at_has_no_room(
    admission: Admission, fleet: DynamoFleet, clock: Clock
) -> None:
    fleet.beat(task_state(clock, 0))
    for _ in range(3):
        assert fits(admission)
        clock.pass_seconds(2)
    assert not fits(admission)
    fleet.beat(task_state(clock, 0))
    clock.pass_seconds(2)
    assert fits(admission)


def test_nobody_is_refused_because_the_table_was_away(
    admission: Admission, fleet: DynamoFleet, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first request after the outage comes before the first heartbeat."""
    fleet.beat(task_state(clock, 0))
    assert fits(admission)
    with monkeypatch.context() as outage:
        outage.setattr(fleet, "look", fail)
        for _ in range(2):
            clock.pass_seconds(2)
            with pytest.raises(EndpointConnectionError):
                admission.admit()
    for _ in range(3):
        clock.pass_seconds(2)
        assert fits(admission)


@pytest.mark.parametrize("quiet_seconds", [8, 52, 3600])
def test_nobody_is_refused_after_a_time_without_requests(
    admission: Admission, fleet: DynamoFleet, clock: Clock, quiet_seconds: float
) -> None:
    """Whether the table could be reached meanwhile is not known."""
    fleet.beat(task_state(clock, 0))
    assert fits(admission)
    clock.pass_seconds(quiet_seconds)
    assert fits(admission)


def fits(admission: Admission) -> bool:
    try:
        admission.admit()
    except AtCapacity:
        return False
    return True


def fail() -> NoReturn:
    raise EndpointConnectionError(endpoint_url="http://127.0.0.1:9")


@pytest.mark.parametrize(("active_calls", "draining"), [(2, False), (0, True)])
def test_a_full_or_draining_fleet_refuses(
    admission: Admission, fleet: DynamoFleet, clock: Clock, active_calls: int, draining: bool
) -> None:
    fleet.beat(task_state(clock, active_calls, draining))
    with pytest.raises(AtCapacity, match="not placed"):
        admission.admit()


def test_calls_of_other_processes_that_ring_count(
    admission: Admission, fleet: DynamoFleet, clock: Clock
) -> None:
    fleet.beat(task_state(clock, 1))
    fleet.reserve(outbound_call(created_at_ms=clock.now_ms))
    with pytest.raises(AtCapacity):
        admission.admit()


def test_one_look_serves_a_second_and_counts_what_was_let_in(
    admission: Admission, fleet: DynamoFleet, clock: Clock, client: "DynamoDBClient"
) -> None:
    looks: list[bool] = []
    client.meta.events.register(
        "before-parameter-build.dynamodb.Query",
        lambda params, **_: looks.append(params.get("ConsistentRead", False)),
    )
    fleet.beat(task_state(clock, 0))
    admission.admit()
    admission.admit()
    with pytest.raises(AtCapacity):
        admission.admit()
    assert looks == [False], "eventually consistent"
    clock.pass_seconds(MEMORY_MS / 1000)
    admission.admit()
    assert len(looks) == 2
