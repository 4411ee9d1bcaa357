"""Blocking jobs and an event loop share one virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from benchmarks.drills.lockstep_loop import LockstepLoop


def played(story: Callable[[LockstepLoop], Awaitable[None]]) -> None:
    loop = LockstepLoop(lambda *_: None)

    async def program() -> None:
        await story(loop)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(program())


def test_a_job_that_sleeps_does_not_hold_up_the_loop() -> None:
    async def story(loop: LockstepLoop) -> None:
        job = loop.run_job(partial(loop.sleep, 6.0))
        await asyncio.sleep(1.0)
        assert (loop.time(), job.done()) == (1.0, False)
        await job
        assert loop.time() == 6.0

    played(story)


def test_a_pool_runs_as_many_jobs_at_a_time_as_it_has_threads() -> None:
    ended: list[float] = []

    async def story(loop: LockstepLoop) -> None:
        def work() -> None:
            loop.sleep(2.0)
            ended.append(loop.time())

        with ThreadPoolExecutor(2) as pool:
            await asyncio.gather(*(loop.run_in_executor(pool, work) for _ in range(5)))

    played(story)
    assert ended == [2.0, 2.0, 4.0, 4.0, 6.0]


def test_a_coroutine_that_awaits_a_job_gets_its_error() -> None:
    def fail() -> None:
        raise ValueError("no")

    async def story(loop: LockstepLoop) -> None:
        with pytest.raises(ValueError, match="no"):
            await loop.run_job(fail)

    played(story)


def test_nobody_answers_on_a_port_without_a_server() -> None:
    async def story(loop: LockstepLoop) -> None:
        with pytest.raises(ConnectionRefusedError):
            loop.dial_port(8080, lambda *_: None, lambda: None)

    played(story)
