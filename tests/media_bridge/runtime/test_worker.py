"""A container among others: its heartbeat, its mailbox, its drain."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NoReturn

import pytest
from botocore.exceptions import EndpointConnectionError

from media_bridge import bridge
from media_bridge.runtime import fleet_watch, heartbeat, worker
from media_bridge.runtime.worker import DrainTimes
from phonebridge.call.call import Call, CallStatus, EndedBy
from phonebridge.call.steering import Interrupt, Say
from phonebridge.call.turn import Speaker
from phonebridge.call.usage import Activity
from phonebridge.storage.fleet import TaskState, call_key
from simulators.scenario import SHORT
from tests.support.media_plane import UNHURRIED, MediaPlane, StartsPlane
from tests.support.published_metrics import published_in
from tests.support.recorded_telnyx import RecordedTelnyx
from tests.support.waiting import TIMEOUT_SECONDS, until


async def test_it_tells_of_itself(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "HEARTBEAT_SECONDS", 0.01)

    def tells(active_calls: int, *, draining: bool) -> bool:
        state = plane.fleet.heartbeat(plane.task.task_id)
        expected = (7, active_calls, draining, False)
        return state is not None and expected == (
            state.slots,
            state.active_calls,
            state.draining,
            state.is_over,
        )

    async with start_plane(max_calls_per_task=7) as plane:
        await until(lambda: tells(0, draining=False))
        await plane.greeted()
        await until(lambda: tells(1, draining=False))
        await plane.idle()
        await until(lambda: tells(0, draining=True))


async def test_the_last_heartbeat_says_that_it_takes_no_more_calls(
    start_plane: StartsPlane,
) -> None:
    """A task that ends within a beat of its first is not taken for one that lives."""
    async with start_plane() as plane:
        pass
    last = plane.fleet.heartbeat(plane.task.task_id)
    assert last is not None
    assert last.draining
    assert last.is_over


async def test_a_call_that_came_gives_back_the_place_that_was_reserved_for_it(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "HEARTBEAT_SECONDS", 0.01)
    async with start_plane() as plane:
        call = plane.answered()
        plane.fleet.reserve(call)
        phone = await plane.dial_in(call, plane.token(call))
        await phone.start()
        await until(lambda: not plane.fleet.look().reserved)
        [state] = plane.fleet.look().tasks
        assert state.active_calls == 1


async def test_it_gives_it_back_although_a_heartbeat_failed(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "HEARTBEAT_SECONDS", 0.01)
    failed = threading.Event()

    def fail(_: TaskState) -> NoReturn:
        if plane.task.carries(call.call_id):
            failed.set()
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1:9")

    async with start_plane() as plane:
        call = plane.answered()
        plane.fleet.reserve(call)
        with monkeypatch.context() as outage:
            outage.setattr(plane.fleet, "beat", fail)
            phone = await plane.dial_in(call, plane.token(call))
            await phone.start()
            await until(failed.is_set)
        await until(lambda: not plane.fleet.look().reserved)


async def test_an_unresponsive_carrier_delays_no_heartbeat_and_no_other_call(
    start_plane: StartsPlane, telnyx: RecordedTelnyx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "HEARTBEAT_SECONDS", 0.01)
    blocked = 24

    def active_calls() -> int:
        state = plane.fleet.heartbeat(plane.task.task_id)
        assert state is not None
        return state.active_calls

    async with start_plane(max_calls_per_task=blocked + 2) as plane:
        phone = await plane.greeted()
        with unresponsive(telnyx):
            for _ in range(blocked):
                failing = await plane.connected(plane.answered())
                await failing.start("a codec of its own")
            await until(lambda: len({path for path, _ in telnyx.commands}) == blocked)

            await plane.greeted()
            await until(lambda: active_calls() == blocked + 2)
            # An interruption would have no effect if its call's greeting is over by now.
            plane.mailbox.post(plane.task.task_id, phone.call.call_id, Say(words="Are you there?"))
            model = await plane.session(phone.call)
            await until(lambda: "Are you there?" in str(model.received))
            await until(lambda: plane.record(phone.call).turns)
            assert telnyx.answered == 0


@contextmanager
def unresponsive(telnyx: RecordedTelnyx) -> Iterator[None]:
    """It answers again, whatever happens: the container waits for it when it drains."""
    telnyx.is_answering.clear()
    try:
        yield
    finally:
        telnyx.is_answering.set()


def post(plane: MediaPlane, call_id: str) -> None:
    plane.mailbox.post(plane.task.task_id, call_id, Interrupt())


async def test_a_command_reaches_its_call_once_and_no_other(start_plane: StartsPlane) -> None:
    async with start_plane() as plane:
        phone, other = await plane.greeted(), await plane.greeted()
        post(plane, phone.call.call_id)
        await phone.hear("clear")
        await until(lambda: not plane.mailbox.collect(plane.task.task_id))
        await other.hear()
    interruptions = [plane.record(each.call).activity.interruptions for each in (phone, other)]
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


async def test_a_task_that_was_marked_leaves_its_calls_in_silence_and_begins_anew(
    start_plane: StartsPlane, telnyx: RecordedTelnyx, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was frozen: others act on its calls by now."""
    monkeypatch.setattr(heartbeat, "HEARTBEAT_SECONDS", 0.01)
    async with start_plane() as plane:
        phone = await plane.greeted()
        old_id = plane.task.task_id

        def mark() -> bool:
            state = plane.fleet.heartbeat(old_id)
            return state is not None and plane.fleet.mark_over(state)

        await until(mark)
        assert await phone.closed() == 1000
        await until(lambda: plane.task.has_room and not plane.task.carries(phone.call.call_id))
        assert plane.task.task_id != old_id
        left = plane.record(phone.call)
        assert (left.call.status, left.activity) == (CallStatus.STREAMING, Activity())
        assert telnyx.commands == []

        other = await plane.greeted()
        assert plane.record(other.call).call.owner_task == plane.task.task_id
        plane.mailbox.post(plane.task.task_id, other.call.call_id, Say(words="Are you there?"))
        model = await plane.session(other.call)
        await until(lambda: "Are you there?" in str(model.received))


async def test_a_task_lists_the_calls_that_it_carries(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "HEARTBEAT_SECONDS", 0.01)

    def lists(*calls: Call) -> bool:
        carried = plane.fleet.carried_calls(plane.task.task_id)
        keys = {call_key(call.call_id) for call in calls}
        return (
            carried is not None
            and carried.version == carried.expected_version
            and carried.call_keys - {""} == keys
        )

    async with start_plane() as plane:
        await until(lists)
        phone, other = await plane.greeted(), await plane.greeted()
        await until(lambda: lists(phone.call, other.call))
        await phone.hang_up()
        await until(lambda: lists(other.call))


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
    assert plane.record(phone.call).activity.frames_in


AT_ONCE = replace(UNHURRIED, moves_seconds=3600, forced_moves_seconds=0)
FORCED = replace(UNHURRIED, moves_seconds=3600, forced_moves_seconds=3600)


@pytest.mark.parametrize("drain_times", [AT_ONCE, FORCED], ids=["pause", "forced"])
async def test_a_drain_moves_calls_to_a_task_that_has_room(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch, drain_times: DrainTimes
) -> None:
    monkeypatch.setattr(fleet_watch, "READ_SECONDS", 0.05)
    monkeypatch.setattr(worker, "MOVE_LOOK_SECONDS", 0.02)
    async with (
        start_plane(task_id="task-2") as other,
        start_plane(scenario=BRIEF, drain_times=drain_times) as plane,
        asyncio.TaskGroup() as tasks,
    ):
        phone = await plane.greeted()
        draining = tasks.create_task(plane.task.drain(600))
        await until(lambda: "streaming_stop" in plane.telnyx.names)
        await phone.stop()
        second = await other.next_stream(phone.call)
        await draining
        await other.converse(second)
        assert other.telnyx.names == ["streaming_stop", "streaming_start"]
        record = other.record(phone.call)
        assert (record.call.owner_task, record.call.end_requested_by) == ("task-2", None)


async def test_a_drain_moves_no_call_that_may_still_end_by_itself(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ECS has taken the task away, and SIGTERM comes an hour later."""
    monkeypatch.setattr(fleet_watch, "READ_SECONDS", 0.05)
    monkeypatch.setattr(worker, "MOVE_LOOK_SECONDS", 0.02)
    async with (
        start_plane(task_id="task-2"),
        start_plane(scenario=BRIEF) as plane,
        asyncio.TaskGroup() as tasks,
    ):
        phone = await plane.greeted()
        draining = tasks.create_task(plane.task.drain(3600))
        await until(lambda: not plane.task.has_room)
        await plane.converse(phone)
        await phone.stop()
        plane.telnyx.legs = {"is_alive": False}
        await draining
        assert plane.telnyx.commands == []


BRIEF = replace(SHORT, greeting="agent_fallback")
"""The model's goodbye is its greeting once more, and a caller hears it in real time."""


async def test_a_drain_ends_the_calls_that_outlast_it_with_a_goodbye(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge, "GOODBYE_TIMEOUT_SECONDS", 0.1)
    async with start_plane(scenario=BRIEF) as plane:
        phone, other = await plane.greeted(), await plane.greeted()
        await plane.task.drain(0)
        for each in (phone, other):
            assert await each.closed() == 1000
            asked = [frame for frame in (await plane.session(each.call)).received]
            assert [f["type"] for f in asked if worker.GOODBYE in str(f)] == ["response.create"]
            assert plane.record(each.call).turns[-1].who is Speaker.AGENT
            assert plane.was_hung_up(each.call)
            assert plane.record(each.call).call.end_requested_by is EndedBy.SHUTDOWN


async def test_a_call_that_outlasts_its_goodbye_is_written_down_and_left(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge, "GOODBYE_TIMEOUT_SECONDS", 600)
    async with start_plane(drain_times=replace(UNHURRIED, goodbye_seconds=0.05)) as plane:
        phone = await plane.greeted()
        await plane.converse(phone)
        await plane.task.drain(0)
        assert await phone.closed() == 1000
        record = plane.record(phone.call)
        assert record.call.end_requested_by is EndedBy.SHUTDOWN
        assert record.activity.frames_out
        assert len(record.turns) == record.activity.turns


async def test_a_signal_shortens_the_drain_of_a_task_that_ecs_takes_away(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM comes with 95 s for the calls; it never lengthens what is left."""
    monkeypatch.setattr(bridge, "GOODBYE_TIMEOUT_SECONDS", 0.1)
    async with start_plane(scenario=BRIEF) as plane, asyncio.TaskGroup() as tasks:
        phone = await plane.greeted()
        draining = tasks.create_task(plane.task.drain(3600))
        await until(lambda: not plane.task.has_room)
        plane.task.cut_drain_short(0.05)
        plane.task.cut_drain_short(3600)
        await draining
        assert plane.was_hung_up(phone.call)


async def test_a_second_sigint_skips_the_drain_and_the_goodbye(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge, "GOODBYE_TIMEOUT_SECONDS", 600)
    async with start_plane(scenario=BRIEF) as plane, asyncio.TaskGroup() as tasks:
        phone = await plane.greeted()
        draining = tasks.create_task(plane.task.drain(600))
        await until(lambda: not plane.task.has_room)
        plane.task.cut_drain_short()
        await until(lambda: plane.was_hung_up(phone.call))
        assert not draining.done()
        plane.task.cut_drain_short()
        await draining
        plane.task.cut_drain_short()  # nothing is waited for any more


async def test_a_call_that_begins_after_the_goodbye_gets_it_too(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its upgrade came before the drain, its claim after."""
    claiming, claimed = threading.Event(), threading.Event()
    async with start_plane(scenario=BRIEF) as plane, asyncio.TaskGroup() as tasks:
        load = plane.store.config

        def slow(call_id: str) -> object:
            claiming.set()
            claimed.wait(TIMEOUT_SECONDS)
            return load(call_id)

        monkeypatch.setattr(plane.store, "config", slow)
        call = plane.answered()
        phone = await plane.dial_in(call, plane.token(call))
        await phone.start()
        await until(claiming.is_set)
        draining = tasks.create_task(plane.task.drain(0))
        await until(lambda: not plane.task.has_room)
        claimed.set()
        await until(lambda: plane.was_hung_up(phone.call))
        await phone.stop()
        await draining


async def test_metrics_are_told_while_calls_run_and_once_more_at_the_end(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(worker, "METRICS_SECONDS", 0.05)
    monkeypatch.setattr(worker, "LAG_SECONDS", 0.01)
    told: list[dict[str, list[float]]] = []

    def hear() -> list[dict[str, list[float]]]:
        told.extend(each.values for each in published_in(capsys.readouterr().out))
        return told

    async with start_plane(max_calls_per_task=7) as plane:
        await until(lambda: [each["ActiveCalls"] for each in hear()] == [[0]] * len(told) and told)
        phone = await plane.greeted()
        for _ in range(2):  # the second time into the answer, which so comes to its end
            await plane.converse(phone)
        await until(lambda: hear()[-1]["ActiveCalls"] == [1])
        await until(lambda: any("TurnLatencyMs" in each for each in hear()))
    hear()
    assert [each["CallSlots"] for each in told] == [[7]] * len(told)
    assert told[-1]["ActiveCalls"] == [0]
    for name in ("ModelConnectMs", "FirstAudioMs", "TurnLatencyMs", "BargeInMs", "LoopLagMs"):
        assert any(each.get(name) for each in told), name
