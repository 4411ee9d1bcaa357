"""The table in memory answers as the embedded DynamoDB does, and knows what each answer costs."""

import json
from typing import TYPE_CHECKING, cast

import pytest

from benchmarks.drills.table_in_memory import TableInMemory, Units, busiest
from phonebridge.call.call import Hangup
from phonebridge.call.config import CallConfig
from phonebridge.call.events import CallAnswered, CallHungUp, CallRequested, DialAccepted
from phonebridge.call.steering import Interrupt, Say
from phonebridge.call.turn import Speaker, Turn
from phonebridge.errors import Conflict
from phonebridge.ports import TimelineEntry
from phonebridge.storage.call_store import DynamoCallStore
from phonebridge.storage.fleet import DynamoFleet, TaskState
from phonebridge.storage.mailbox import DynamoMailbox
from tests.support.calls import LEG, after, outbound_call
from tests.support.clock import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DIALED = after(outbound_call(), CallRequested())
RINGING = after(DIALED, DialAccepted(LEG))
ANSWERED = after(RINGING, CallAnswered(LEG, 5_000))
HUNG_UP = after(ANSWERED, CallHungUp(LEG, Hangup("normal_clearing", "callee", 9_000)))


@pytest.fixture
def table() -> TableInMemory:
    return TableInMemory(now=lambda: 0.0, pause=lambda: None)


@pytest.fixture
def kept(table: TableInMemory, clock: Clock) -> DynamoCallStore:
    return DynamoCallStore("calls", as_client(table), clock)


def as_client(table: TableInMemory) -> "DynamoDBClient":
    return cast("DynamoDBClient", table)


def life_of_a_call(store: DynamoCallStore) -> list[object]:
    turn = Turn(number=1, who=Speaker.AGENT, text="Hello!", started_ms=0, ended_ms=500)
    entry = TimelineEntry(5_000, "event-1", "call.answered")
    results: list[object] = [store.create(DIALED, CallConfig()), store.create(DIALED, CallConfig())]
    store.link_leg(LEG, "call-1")
    store.save(RINGING)
    with pytest.raises(Conflict):
        store.save(RINGING)
    results.append(list(store.possibly_live()))
    store.save(ANSWERED)
    store.add_timeline_entry("call-1", entry)
    store.add_timeline_entry("call-1", entry)
    store.add_turns([("call-1", turn)])
    store.save(HUNG_UP)
    results += [list(store.possibly_live()), store.load("call-1"), store.load("call-2")]
    return [*results, store.find_by_leg(LEG), store.config("call-1"), store.record("call-1")]


def room_in_a_fleet(fleet: DynamoFleet) -> list[object]:
    fleet.beat(TaskState("task-1", 1, 40, 3, draining=False))
    fleet.reserve(outbound_call("call-1", created_at_ms=1_795_000_000_000))
    fleet.reserve(outbound_call("call-2", created_at_ms=1_790_000_000_000))  # ended long ago
    results: list[object] = [fleet.look()]
    for _ in range(2):
        fleet.release(outbound_call("call-1", created_at_ms=1_795_000_000_000))
    return [*results, fleet.look(), fleet.heartbeat("task-1"), fleet.heartbeat("task-2")]


def letters_in_a_mailbox(mailbox: DynamoMailbox) -> list[object]:
    mailbox.post("task-1", "call-1", Say(words="Good evening!"))
    mailbox.post("task-2", "call-2", Interrupt())
    [posted] = mailbox.collect("task-1")
    for _ in range(2):
        mailbox.acknowledge("task-1", posted)
    return [posted.call_id, posted.command, mailbox.collect("task-1")]


def test_a_call_lives_there_as_in_dynamodb(store: DynamoCallStore, kept: DynamoCallStore) -> None:
    assert life_of_a_call(kept) == life_of_a_call(store)


def test_a_fleet_too(fleet: DynamoFleet, table: TableInMemory, clock: Clock) -> None:
    assert room_in_a_fleet(DynamoFleet("calls", as_client(table), clock)) == room_in_a_fleet(fleet)


def test_a_mailbox_too(mailbox: DynamoMailbox, table: TableInMemory, clock: Clock) -> None:
    in_memory = DynamoMailbox("calls", as_client(table), clock)
    assert letters_in_a_mailbox(in_memory) == letters_in_a_mailbox(mailbox)


def test_letters_are_counted(
    client: "DynamoDBClient", mailbox: DynamoMailbox, table: TableInMemory, clock: Clock
) -> None:
    in_memory = DynamoMailbox("calls", as_client(table), clock)
    for each in (mailbox, in_memory):
        each.post("task-1", "call-1", Interrupt())
    counts = [
        asked.query(**json.loads(box.count_query("task-1")))["Count"]
        for asked, box in ((client, mailbox), (as_client(table), in_memory))
    ]
    assert counts == [1, 1]


def test_a_move_is_written_once_in_its_partition_and_once_in_each_index(
    kept: DynamoCallStore, table: TableInMemory
) -> None:
    kept.create(RINGING, CallConfig())
    table.written.clear()

    kept.save(ANSWERED)
    assert written(table.written) == {"CALL": 1, "live": 1, "items": 1, "table": 2}

    kept.save(HUNG_UP)  # leaves one index and enters the other
    assert written(table.written) == {"CALL": 2, "live": 2, "ended": 1, "items": 2, "table": 5}


def test_what_a_condition_refuses_is_billed_and_counted(
    kept: DynamoCallStore, table: TableInMemory
) -> None:
    kept.create(RINGING, CallConfig())
    table.written.clear()
    with pytest.raises(Conflict):
        kept.save(RINGING)
    assert written(table.written) == {"CALL": 1, "items": 1, "table": 1}
    assert table.refused == {"version = :given": 1}


def test_reads_are_billed_by_four_kilobytes_and_half_where_they_may_be_late(
    kept: DynamoCallStore, table: TableInMemory, clock: Clock
) -> None:
    kept.create(DIALED, CallConfig(instructions="x" * 9_000))
    kept.record("call-1")
    assert written(table.read) == {"CALL": 3}

    kept.config("call-1")
    assert written(table.read) == {"CALL": 4.5}

    DynamoMailbox("calls", as_client(table), clock).collect("task-1")
    assert written(table.read) == {"CALL": 4.5, "TASK": 0.5}


def written(units: Units) -> dict[str, float]:
    """Return the written units by kind of partition."""
    return {kind: busiest(units, kind) for kind in {name.partition("#")[0] for name in units}}
