import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from tests.support.patient_loop import PatientLoop

T = TypeVar("T")
HELD_UP_SECONDS = 0.05


def run(main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=PatientLoop) as runner:
        return runner.run(main)


async def act_on_a_busy_machine(steps: int) -> str:
    for _ in range(steps):
        time.sleep(HELD_UP_SECONDS)  # noqa: ASYNC251 - others are served meanwhile
        await asyncio.sleep(0)
    return "done"


def test_a_timeout_does_not_expire_while_the_machine_serves_others() -> None:
    async def act() -> str:
        async with asyncio.timeout(3 * HELD_UP_SECONDS):
            return await act_on_a_busy_machine(steps=6)

    assert run(act()) == "done"


def test_a_timeout_expires_although_somebody_is_always_ready() -> None:
    async def act() -> None:
        async with asyncio.timeout(HELD_UP_SECONDS):
            await act_on_a_busy_machine(steps=1000)

    with pytest.raises(TimeoutError):
        run(act())


def test_sleeping_takes_at_least_its_time() -> None:
    async def sleep() -> float:
        began = time.monotonic()
        await asyncio.sleep(HELD_UP_SECONDS)
        return time.monotonic() - began

    assert run(sleep()) >= HELD_UP_SECONDS


def test_a_socket_wakes_a_loop_that_waits_for_nothing_else() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(1))
        writer.close()

    async def converse() -> bytes:
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"x")
            heard = await reader.read()
            writer.close()
            return heard

    assert run(converse()) == b"x"
