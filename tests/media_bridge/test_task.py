"""A container among others: its heartbeat, its mailbox, its drain."""

import asyncio
import threading
from typing import NoReturn

import pytest
from botocore.exceptions import EndpointConnectionError

from media_bridge import bridge, task
from media_plane import MediaPlane, StartsPlane
from patience import until
from phonebridge.call import EndedBy
from phonebridge.mailbox import TaskState
from phonebridge.steering import Interrupt


async def test_it_tells_of_itself(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task, "HEARTBEAT_SECONDS", 0.05)

    def beat() -> TaskState | None:
        return plane.mailbox.heartbeat(plane.task.task_id)

    async with start_plane(max_calls_per_task=7) as plane:
        now_ms = plane.now_ms()
        assert await until(beat) == TaskState(plane.task.task_id, 7, 0, False, now_ms)
        await plane.greeted()
        await until(lambda: beat() == TaskState(plane.task.task_id, 7, 1, False, now_ms))
        await plane.idle()
        await until(lambda: beat() == TaskState(plane.task.task_id, 7, 0, True, now_ms))


def post(plane: MediaPlane, call_id: str) -> None:
    plane.mailbox.post(plane.task.task_id, call_id, Interrupt())


async def test_a_command_reaches_its_call_once_and_no_other(start_plane: StartsPlane) -> None:
    async with start_plane() as plane:
        phone, other = await plane.greeted(), await plane.greeted()
        post(plane, phone.call.call_id)
        await phone.hear("clear")
        assert not plane.mailbox.collect(plane.task.task_id)
        await other.hear()
    interruptions = [plane.record(each.call).call.activity.interruptions for each in (phone, other)]
    assert interruptions == [1, 0]


async def test_a_command_waits_for_a_call_that_is_about_to_begin(start_plane: StartsPlane) -> None:
    async with start_plane() as plane:
        early, other = plane.answered(), await plane.greeted()
        post(plane, early.call_id)
        post(plane, other.call.call_id)
        await other.hear("clear")
        phone = await plane.dial_in(early, plane.token(early))
        await phone.start()
        await until(lambda: not plane.mailbox.collect(plane.task.task_id))


async def test_calls_go_on_while_the_table_is_out_of_reach(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = threading.Event()

    def fail(*_: object) -> NoReturn:
        tried.set()
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1:9")

    async with start_plane() as plane:
        phone = await plane.greeted()
        post(plane, phone.call.call_id)
        with monkeypatch.context() as outage:
            outage.setattr(plane.mailbox, "collect", fail)
            await until(tried.is_set)
            await phone.hear()
        await phone.hear("clear")


async def test_a_drain_waits_for_the_calls_to_end(start_plane: StartsPlane) -> None:
    async with start_plane() as plane, asyncio.TaskGroup() as tasks:
        phone = await plane.greeted()
        draining = tasks.create_task(plane.task.drain(60))
        await until(lambda: not plane.task.has_room)
        await plane.converse(phone)
        assert not draining.done()
        await phone.stop()
        await draining
    assert plane.record(phone.call).call.end_requested_by is None
    assert plane.record(phone.call).call.activity.frames_in


async def test_a_drain_ends_the_calls_that_outlast_it(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge, "GOODBYE_PATIENCE", 0.1)
    async with start_plane() as plane:
        phone, other = await plane.greeted(), await plane.greeted()
        await plane.task.drain(0)
        for each in (phone, other):
            assert await each.closed() == 1000
            assert plane.was_hung_up(each.call)
            assert plane.record(each.call).call.end_requested_by is EndedBy.SHUTDOWN
