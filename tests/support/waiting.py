"""Waits in tests for as long as it takes."""

import asyncio
from collections.abc import Callable, Coroutine
from inspect import isawaitable
from typing import Any, TypeVar, overload

TIMEOUT_SECONDS = 240.0
"""Longer than anything takes, even on a busy machine. It ends tests that hang and shows where."""
POLL_SECONDS = 0.02

T = TypeVar("T")


@overload
async def until(look: Callable[[], Coroutine[Any, Any, T]], *, poll_seconds: float = ...) -> T: ...
@overload
async def until(look: Callable[[], T], *, poll_seconds: float = ...) -> T: ...
async def until(look: Callable[[], Any], *, poll_seconds: float = POLL_SECONDS) -> Any:
    """Wait until `look` returns something true, and return it."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not (found := await _looked(look)):  # noqa: ASYNC110 - it happens elsewhere
            await asyncio.sleep(poll_seconds)
        return found


async def _looked(look: Callable[[], Any]) -> Any:
    found = look()
    return await found if isawaitable(found) else found
