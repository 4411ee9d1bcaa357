"""What a call owes the table is written in order, whatever fails meanwhile."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from media_bridge.runtime import write_queue
from media_bridge.runtime.retries import RetryPauses, is_passing
from media_bridge.runtime.threads import Threads
from media_bridge.runtime.write_queue import Job, WriteQueue
from phonebridge.errors import Conflict, InvalidTransition, TelnyxRefused, TelnyxUnreachable
from phonebridge.observability.log import logger
from tests.support.waiting import TIMEOUT_SECONDS, until


def out_of_reach() -> Exception:
    return EndpointConnectionError(endpoint_url="http://127.0.0.1:9")


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": ""}}, "PutItem")


PASSING = [
    out_of_reach(),
    refusal("ProvisionedThroughputExceededException"),
    refusal("ThrottlingException"),
    refusal("InternalServerError"),
    Conflict("another writer was faster"),
    TelnyxUnreachable("no answer"),
]
LASTING = [
    refusal("ValidationException"),
    InvalidTransition("it cannot happen"),
    TelnyxRefused(422, "10015", "Bad request"),
    ZeroDivisionError("a bug"),
]


class Table:
    """Raises the given failures one by one, then accepts the write."""

    def __init__(self) -> None:
        self.written: list[int] = []
        self.attempts: list[int] = []
        self.on_main_thread = False

    def write(self, number: int, failures: list[Exception]) -> None:
        self.attempts.append(number)
        self.on_main_thread |= threading.current_thread() is threading.main_thread()
        if failures:
            raise failures.pop()
        self.written.append(number)


def queue(name: str = "records", pause_seconds: float = 0.0) -> WriteQueue:
    pauses = RetryPauses(pause_seconds, pause_seconds)
    return WriteQueue(logger(name), Threads("records", 1), pauses)


@given(st.lists(st.lists(st.sampled_from(PASSING), max_size=4), max_size=8))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_every_job_is_written_once_in_order_however_often_the_table_fails(
    failures: list[list[Exception]],
) -> None:
    table, records = Table(), queue()
    for number, failing in enumerate(failures):
        records.add(Job(partial(table.write, number, list(failing))))
    records.close()
    await records.write()
    assert table.written == list(range(len(failures)))
    assert table.attempts == sorted(table.attempts)
    assert not table.on_main_thread


@pytest.mark.parametrize("error", LASTING, ids=lambda error: type(error).__name__)
async def test_what_can_never_be_written_stops_nothing(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    table, records = Table(), queue(f"lasting-{error!r}")
    reasons: list[str] = []
    lost = Job(partial(table.write, 1, [error]), on_lost=reasons.append)
    records.add(lost)
    records.add(Job(partial(table.write, 2, [])))
    records.close()
    await records.write()
    assert table.written == [2]
    assert table.attempts == [1, 2]
    assert len(reasons) == 1
    assert lost.done.is_set()
    [line] = capsys.readouterr().out.splitlines()
    assert '"message":"record not written"' in line
    assert str(error) in line


def test_an_unknown_error_is_not_passing() -> None:
    assert all(map(is_passing, PASSING))
    assert not any(map(is_passing, LASTING))


async def test_a_long_outage_is_one_line_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    table, records = Table(), queue("outage")
    records.add(Job(partial(table.write, 1, [out_of_reach() for _ in range(20)])))
    records.close()
    await records.write()
    assert table.written == [1]
    [line] = capsys.readouterr().out.splitlines()
    assert '"message":"record delayed"' in line


@asynccontextmanager
async def stuck(records: WriteQueue) -> AsyncIterator[asyncio.Event]:
    """A queue whose first job fails until the event is set."""
    is_back, tried = asyncio.Event(), threading.Event()

    def fail_while_away() -> None:
        tried.set()
        if not is_back.is_set():
            raise out_of_reach()

    records.add(Job(fail_while_away))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(records.write())
        await until(tried.is_set)
        yield is_back
        is_back.set()
        records.close()


async def test_a_command_does_not_wait_for_a_table_that_is_away() -> None:
    """A key that is pressed a minute late is worse than none."""
    table, records = Table(), queue()
    reasons: list[str] = []
    async with stuck(records) as is_back:
        late = asyncio.get_running_loop().time() + 0.05
        records.add(Job(partial(table.write, 1, []), reasons.append, expires_at=late))
        await until(lambda: reasons)
        assert not is_back.is_set()
    assert table.written == []


async def test_a_command_is_tried_once() -> None:
    table, records = Table(), queue()
    reasons: list[str] = []
    soon = asyncio.get_running_loop().time() + TIMEOUT_SECONDS
    records.add(Job(partial(table.write, 1, [out_of_reach()]), reasons.append, expires_at=soon))
    records.close()
    await records.write()
    assert table.attempts == [1]
    assert reasons


async def test_a_table_that_stays_away_does_not_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(write_queue, "MAX_QUEUED_JOBS", 3)
    table, records = Table(), queue()
    reasons: list[str] = []
    async with stuck(records):
        for number in range(5):
            records.add(Job(partial(table.write, number, []), reasons.append))
        records.add_final(Job(partial(table.write, 99, [])))
        assert len(reasons) == 3
    assert table.written == [0, 1, 99]


async def test_what_is_discarded_is_not_written() -> None:
    table, records = Table(), queue()
    async with stuck(records):
        records.add(Job(partial(table.write, 1, [])))
        records.discard()
    assert table.written == []


async def test_a_process_that_ends_waits_no_longer_between_two_attempts() -> None:
    table, pauses = Table(), RetryPauses(0.01, 600.0)
    records = WriteQueue(logger("ending"), Threads("records", 1), pauses)
    records.add(Job(partial(table.write, 1, [out_of_reach() for _ in range(60)])))
    records.close()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(records.write())
        await until(lambda: len(table.attempts) > 3)
        pauses.shorten()
    assert table.written == [1]


def waits(pauses: RetryPauses) -> Callable[[int], float]:
    return pauses._seconds


@given(st.integers(1, 10_000))
def test_pauses_grow_up_to_their_limit(attempt: int) -> None:
    longest = min(5.0, 0.2 * 2 ** min(attempt - 1, 30))
    assert longest / 2 <= waits(RetryPauses(0.2, 5.0))(attempt) <= longest
