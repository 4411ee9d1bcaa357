import asyncio
import time
from collections.abc import Coroutine
from ctypes import c_double, sizeof
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.support.patient_loop import (
    MAX_LEAD_SECONDS,
    MAX_STEP_SECONDS,
    PatientLoop,
    following_loop,
    shared_clock,
)

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


async def seconds_of(steps: int) -> float:
    """Return how much time passes for the loop in so many steps, of which each takes a while."""
    began = asyncio.get_running_loop().time()
    for _ in range(steps):
        time.sleep(HELD_UP_SECONDS)  # noqa: ASYNC251 - the time passes for the machine
        await asyncio.sleep(0)
    return asyncio.get_running_loop().time() - began


@pytest.mark.parametrize(("leader_seconds", "seconds"), [(0.05, 0.05), (60, MAX_LEAD_SECONDS)])
def test_a_follower_runs_no_further_ahead_and_does_not_make_up_for_missed_time(
    tmp_path: Path, leader_seconds: float, seconds: float
) -> None:
    path = tmp_path / "clock"
    path.write_bytes(bytes(sizeof(c_double)))

    async def act() -> None:
        assert await seconds_of(steps=30) <= MAX_LEAD_SECONDS
        assert await seconds_of(steps=30) == pytest.approx(0, abs=MAX_STEP_SECONDS)
        shared_clock(path).value += leader_seconds
        assert await seconds_of(steps=30) == pytest.approx(seconds, abs=MAX_STEP_SECONDS)

    with asyncio.Runner(loop_factory=lambda: following_loop(path)) as runner:
        runner.run(act())


def test_a_loop_shows_its_time_at_each_step(tmp_path: Path) -> None:
    async def show() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, PatientLoop)
        with loop.clock_shown_in(tmp_path / "clock"):
            began = shared_clock(tmp_path / "clock").value
            await asyncio.sleep(HELD_UP_SECONDS)
            assert shared_clock(tmp_path / "clock").value - began >= HELD_UP_SECONDS

    run(show())
