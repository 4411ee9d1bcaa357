"""Jobs of one kind keep to their own threads."""

import asyncio
import threading
from contextvars import ContextVar

import pytest

from media_bridge.runtime.threads import Threads
from tests.support.waiting import TIMEOUT_SECONDS


async def test_a_busy_kind_of_work_delays_no_other_kind() -> None:
    commands, heartbeats = Threads("command", 3), Threads("heartbeat", 1)
    answered = threading.Event()
    waiting = [
        asyncio.ensure_future(commands.run(lambda: answered.wait(TIMEOUT_SECONDS)))
        for _ in range(5)
    ]
    assert await heartbeats.run(lambda: "written") == "written"
    assert not any(each.done() for each in waiting)
    answered.set()
    assert await asyncio.gather(*waiting) == [True] * 5


async def test_a_job_runs_in_the_context_of_whoever_asked_for_it() -> None:
    call_id: ContextVar[str] = ContextVar("call_id")
    call_id.set("call-1")
    assert await Threads("call", 1).run(call_id.get) == "call-1"


async def test_an_error_reaches_whoever_asked() -> None:
    with pytest.raises(ZeroDivisionError):
        await Threads("call", 1).run(lambda: 1 / 0)
