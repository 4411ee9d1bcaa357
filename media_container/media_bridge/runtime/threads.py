"""Threads for blocking work. Each kind of work has its own, so that none waits for another."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")


class Threads:
    """Up to `count` threads. Each one starts when it is needed for the first time."""

    def __init__(self, kind: str, count: int) -> None:
        self._pool = ThreadPoolExecutor(count, kind)

    async def run(self, job: Callable[[], T]) -> T:
        """Run a job in a free thread, in the caller's context. Wait for one while all are busy."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, copy_context().run, job)
