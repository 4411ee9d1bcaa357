"""Turns reach the table together, and none is lost on the way."""

import asyncio
import threading
from collections.abc import Iterable
from dataclasses import replace

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from media_bridge.runtime import turn_writer
from media_bridge.runtime.retries import RetryPauses
from media_bridge.runtime.turn_writer import TurnWriter
from phonebridge.call.turn import Speaker, Turn
from phonebridge.observability.log import logger
from phonebridge.storage.call_store import DynamoCallStore
from phonebridge.storage.turn_items import StoredTurns, latest_turns

Written = list[tuple[str, Turn]]


class Recorder:
    """The writing side of a store. `fails` and `leaves` are the results of the next requests."""

    def __init__(self) -> None:
        self.requests: list[Written] = []
        self.fails: list[Exception] = []
        self.leaves: list[Written] = []

    def add_turns(self, turns: Iterable[tuple[str, Turn]]) -> Written:
        assert threading.current_thread() is not threading.main_thread()
        self.requests.append(list(turns))
        if self.fails:
            raise self.fails.pop()
        return self.leaves.pop() if self.leaves else []


def turn(number: int, text: str = "Hello.") -> Turn:
    return Turn(number=number, who=Speaker.AGENT, text=text, started_ms=0, ended_ms=900)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def turns(recorder: Recorder) -> TurnWriter:
    return TurnWriter(recorder, logger("turn-log"), RetryPauses(0.0, 0.0))  # type: ignore[arg-type]


async def test_turns_of_all_calls_go_in_one_request(turns: TurnWriter, recorder: Recorder) -> None:
    for call_id in ("a", "b"):
        turns.add(call_id, turn(1))
    await turns.flush()
    await turns.flush()
    assert recorder.requests == [[("a", turn(1)), ("b", turn(1))]]


async def test_what_is_known_better_by_then_is_written_once(
    turns: TurnWriter, recorder: Recorder
) -> None:
    turns.add("a", turn(1))
    turns.add("a", turn(1, "Hello, Ada speaking."))
    await turns.flush()
    assert recorder.requests == [[("a", turn(1, "Hello, Ada speaking."))]]


async def test_a_table_out_of_reach_gets_them_the_next_time(
    turns: TurnWriter, recorder: Recorder
) -> None:
    recorder.fails = [EndpointConnectionError(endpoint_url="http://127.0.0.1:9")]
    turns.add("a", turn(1))
    await turns.flush()
    turns.add("a", turn(2))
    await turns.flush()
    assert recorder.requests[1] == [("a", turn(1)), ("a", turn(2))]


async def test_a_call_waits_until_its_own_turns_are_written(
    turns: TurnWriter, recorder: Recorder
) -> None:
    recorder.fails = [EndpointConnectionError(endpoint_url="http://127.0.0.1:9") for _ in range(5)]
    recorder.leaves = [[("b", turn(1))]]
    for call_id in ("a", "b"):
        turns.add(call_id, turn(1))
    await turns.wait_until_written("a")
    assert len(recorder.requests) == 6
    await turns.wait_until_written("b")
    assert recorder.requests[6] == [("b", turn(1))]


async def test_turns_that_the_table_refuses_for_good_stop_no_other(
    turns: TurnWriter, recorder: Recorder
) -> None:
    recorder.fails = [
        ClientError({"Error": {"Code": "ValidationException", "Message": ""}}, "BatchWriteItem")
    ]
    turns.add("a", turn(1))
    await turns.wait_until_written("a")
    assert len(recorder.requests) == 1


async def test_what_the_table_had_no_room_for_comes_again(
    turns: TurnWriter, recorder: Recorder
) -> None:
    recorder.leaves = [[("a", turn(2))]]
    turns.add("a", turn(1))
    turns.add("a", turn(2))
    await turns.flush()
    await turns.flush()
    assert recorder.requests[1] == [("a", turn(2))]


async def test_a_table_that_stays_away_does_not_fill_the_memory(
    turns: TurnWriter, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn_writer, "MAX_QUEUED_TURNS", 2)
    for number in (1, 2, 3):
        turns.add("a", turn(number))
    await turns.flush()
    assert recorder.requests == [[("a", turn(2)), ("a", turn(3))]]


async def test_a_turn_that_cannot_be_stored_stops_no_other(
    turns: TurnWriter, recorder: Recorder
) -> None:
    recorder.fails = [ZeroDivisionError()]
    turns.add("a", turn(1))
    await turns.flush()
    turns.add("a", turn(2))
    await turns.flush()
    assert recorder.requests[1] == [("a", turn(2))]


async def test_a_turn_too_long_for_the_table_is_cut_and_stops_no_other(
    store: DynamoCallStore,
) -> None:
    turns = TurnWriter(store, logger("turn-log-long"), RetryPauses())
    endless = "\N{FACE WITH TEARS OF JOY}" * 200_000
    turns.add("a", replace(turn(1, endless), unheard=endless))
    turns.add("b", turn(1))
    await turns.flush()
    (cut,) = stored_turns(store, "a")
    assert cut.text == cut.unheard == endless[: turn_writer.MAX_TEXT_LENGTH]
    assert stored_turns(store, "b") == (turn(1),)


async def test_a_flush_waits_for_a_write_under_way(store: DynamoCallStore) -> None:
    turns = TurnWriter(store, logger("turn-log-store"), RetryPauses())
    numbers = range(1, 61)
    for number in numbers:
        turns.add("a", turn(number))
    await asyncio.gather(turns.flush(), turns.flush())
    assert store.add_turns([]) == []
    assert [each.number for each in stored_turns(store, "a")] == list(numbers)


def stored_turns(store: DynamoCallStore, call_id: str) -> tuple[Turn, ...]:
    """A call's record is its partition: only its head is missing here."""
    items = store._table.partition(f"CALL#{call_id}")
    return latest_turns([item.read(StoredTurns) for item in items])
