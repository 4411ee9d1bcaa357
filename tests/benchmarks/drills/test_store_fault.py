"""A client of a faulty table waits, fails and succeeds as boto3's does."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from benchmarks.drills.lockstep_loop import LockstepLoop
from benchmarks.drills.store_fault import CALLS, HEARTBEATS, FaultyClient, Outage, StoreFault
from benchmarks.drills.table_in_memory import TableInMemory

ITEM = {"pk": {"S": "CALL#1"}, "sk": {"S": "META"}}
Story = Callable[[LockstepLoop, TableInMemory], Awaitable[None]]


def played(story: Story) -> None:
    loop = LockstepLoop(lambda *_: None)
    table = TableInMemory(loop.time, lambda: None)

    async def program() -> None:
        await story(loop, table)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(program())


def put(client: FaultyClient) -> Callable[[], dict[str, Any]]:
    return lambda: client.put_item(TableName="calls", Item=ITEM)


def stored(table: TableInMemory) -> bool:
    return bool(table.get_item(Key=ITEM, ConsistentRead=True))


def test_a_table_that_is_away_costs_three_timeouts() -> None:
    async def story(loop: LockstepLoop, table: TableInMemory) -> None:
        client = FaultyClient(loop, table, Outage(StoreFault.UNAVAILABLE, 0, 60), CALLS)
        with pytest.raises(ReadTimeoutError):
            await loop.run_job(put(client))
        assert 6.0 <= loop.time() < 6.1
        assert not stored(table)

    played(story)


def test_a_heartbeat_is_tried_once_and_for_a_second() -> None:
    async def story(loop: LockstepLoop, table: TableInMemory) -> None:
        client = FaultyClient(loop, table, Outage(StoreFault.UNAVAILABLE, 0, 60), HEARTBEATS)
        with pytest.raises(ReadTimeoutError):
            await loop.run_job(put(client))
        assert loop.time() == 1.0

    played(story)


def test_a_request_that_hangs_in_the_last_moment_of_an_outage_succeeds_after_it() -> None:
    async def story(loop: LockstepLoop, table: TableInMemory) -> None:
        client = FaultyClient(loop, table, Outage(StoreFault.UNAVAILABLE, 0, 0.6), CALLS)
        await loop.run_job(put(client))
        assert 2.0 <= loop.time() < 2.1
        assert stored(table)

    played(story)


def test_a_throttled_request_fails_after_three_attempts() -> None:
    async def story(loop: LockstepLoop, table: TableInMemory) -> None:
        client = FaultyClient(loop, table, Outage(StoreFault.THROTTLED, 0, 60), CALLS)
        with pytest.raises(ClientError):
            await loop.run_job(put(client))
        assert loop.time() < 3.1

    played(story)


def test_a_slow_table_does_what_was_asked_although_nobody_waits_any_more() -> None:
    async def story(loop: LockstepLoop, table: TableInMemory) -> None:
        client = FaultyClient(loop, table, Outage(StoreFault.SLOW, 0, 60), HEARTBEATS)
        with pytest.raises(ReadTimeoutError):
            await loop.run_job(put(client))  # it takes 1.3 s, and a heartbeat waits for one
        assert not stored(table)
        await asyncio.sleep(1.0)
        assert stored(table)

    played(story)
