"""Calls that lost their media stream, or their container, and go on."""

from dataclasses import replace

import pytest

from media_bridge.runtime import heartbeat, rescues, server
from media_bridge.runtime.websocket import OTHER_SOCKET
from phonebridge.call.call import Call, CallStatus, Hangup
from phonebridge.call.config import TurnDetection
from phonebridge.call.events import CallHungUp, MediaAttached, StreamingStopped
from phonebridge.call.steering import Update
from phonebridge.storage.call_store import CallRecord
from phonebridge.storage.fleet import TaskState
from simulators.audio.speech import CLIPS
from tests.support.clock import Clock
from tests.support.media_plane import MediaPlane, StartsPlane
from tests.support.recorded_telnyx import RecordedTelnyx
from tests.support.waiting import until


def carried_elsewhere(plane: MediaPlane) -> Call:
    """Return a call that streams to a task which is no more."""
    call = plane.answered()
    elsewhere = MediaAttached(call.stream_number, "task-9", plane.now_ms())
    return plane.services.switchboard.apply(call.call_id, elsewhere)


def hang_up(plane: MediaPlane, call: Call) -> None:
    assert call.leg
    hangup = Hangup("normal_clearing", "callee", plane.now_ms())
    plane.services.switchboard.apply(call.call_id, CallHungUp(call.leg, hangup))


async def test_one_record_has_all_streams_of_a_call(start_plane: StartsPlane) -> None:
    async with start_plane() as plane:
        phone = await plane.greeted()
        await plane.converse(phone)
        await phone.vanish()
        second = await plane.next_stream(phone.call)
        await plane.converse(second)
        hang_up(plane, second.call)
        await second.hang_up()
    record = plane.record(phone.call)
    assert {turn.stream_number for turn in record.turns} == {1, 2}
    assert [each.stream_number for each in record.usages] == [1, 2]
    assert record.activity.turns == len(record.turns)
    assert record.activity.frames_in == sum(each.activity.frames_in for each in record.usages)
    assert record.call.reason == "callee_hung_up"


async def test_the_next_stream_continues_the_conversation(start_plane: StartsPlane) -> None:
    async with start_plane() as plane:
        phone = await plane.greeted()
        await plane.converse(phone)
        await until(lambda: CLIPS["caller_opening_hours"].text in texts(plane.record(phone.call)))
        await phone.vanish()
        await plane.converse(await plane.next_stream(phone.call))
        session = await plane.session(phone.call)
        items = [f["item"] for f in session.received if f["type"] == "conversation.item.create"]
        restored = str(items)
    assert CLIPS["caller_opening_hours"].text in restored
    assert items[-1]["role"] == "system", "the message to go on without a greeting"


def texts(record: CallRecord) -> list[str]:
    return [turn.text for turn in record.turns]


async def test_a_stream_that_is_lost_soon_after_its_predecessor_is_replaced_too(
    start_plane: StartsPlane,
) -> None:
    """The first rescue has not looked at the call again yet."""
    async with start_plane(rescue_pauses_seconds=(0.0, 600.0)) as plane:
        phone = await plane.greeted()
        await phone.vanish()
        second = await plane.next_stream(phone.call)
        await second.vanish()
        await plane.converse(await plane.next_stream(second.call))


async def test_an_update_counts_for_the_next_stream_too(start_plane: StartsPlane) -> None:
    async with start_plane() as plane:
        phone = await plane.greeted()
        update = Update(turn_detection=TurnDetection(silence_duration_ms=400))
        plane.mailbox.post("task-1", phone.call.call_id, update)
        await until(lambda: plane.record(phone.call).config.turn_detection == update.turn_detection)
        assert plane.record(phone.call).config.max_duration_seconds == 1800


async def test_a_half_open_socket_is_replaced(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "PING_SECONDS", 1.0)
    monkeypatch.setattr(server, "PONG_TIMEOUT_SECONDS", 0.5)
    async with start_plane() as plane:
        phone = await plane.greeted()
        phone.read_no_more()
        await plane.converse(await plane.next_stream(phone.call))


async def test_a_new_socket_replaces_the_one_that_the_same_task_still_holds(
    start_plane: StartsPlane,
) -> None:
    """The carrier has told of the end of a stream whose socket looks alive to us."""
    async with start_plane() as plane:
        phone = await plane.greeted()
        plane.services.switchboard.apply(phone.call.call_id, StreamingStopped(1))
        second = await plane.next_stream(phone.call)
        assert await phone.closed() == OTHER_SOCKET
        await plane.converse(second)
        await until(lambda: len(plane.record(phone.call).usages) == 1)


@pytest.mark.parametrize("is_alive", [True, False])
async def test_the_calls_of_a_task_that_is_marked_go_on_or_end_as_the_carrier_says(
    start_plane: StartsPlane, is_alive: bool
) -> None:
    async with start_plane() as plane:
        own = await plane.greeted()
        call = carried_elsewhere(plane)
        plane.telnyx.legs = {"is_alive": is_alive}
        plane.task._bury("task-9")
        if is_alive:
            await plane.converse(await plane.next_stream(call))
            assert plane.telnyx.names == ["streaming_stop", "streaming_start"]
        else:
            await until(lambda: plane.record(call).call.status is CallStatus.ENDED)
            assert plane.telnyx.commands == []
        assert plane.record(call).call.fault is None
        assert plane.telnyx.questions == 1
        await plane.converse(own)


async def test_a_call_that_the_lost_task_was_about_to_claim_gets_another_stream(
    start_plane: StartsPlane, clock: Clock
) -> None:
    async with start_plane() as plane:
        call = plane.answered()
        clock.pass_seconds(rescues.STREAM_TIMEOUT_MS / 1000)
        plane.task._bury("task-9")
        await plane.converse(await plane.next_stream(call))
        assert plane.telnyx.names == ["streaming_stop", "streaming_start"]


async def test_a_stream_that_no_task_claims_is_followed_by_another(
    start_plane: StartsPlane, clock: Clock
) -> None:
    async with start_plane() as plane:
        call = carried_elsewhere(plane)
        plane.task._bury("task-9")
        await until(lambda: "streaming_start" in plane.telnyx.names)
        clock.pass_seconds(rescues.STREAM_TIMEOUT_MS / 1000)
        await plane.converse(await plane.next_stream(replace(call, stream_number=2)))


async def test_a_call_without_a_task_waits_until_one_starts(
    start_plane: StartsPlane, telnyx: RecordedTelnyx
) -> None:
    async with start_plane() as plane:
        call = carried_elsewhere(plane)
        plane.task._draining = True
        plane.task._bury("task-9")
        await until(lambda: "speak" in telnyx.names)
        assert telnyx.names == ["streaming_stop", "speak"]
        call = plane.record(call).call
    async with start_plane(task_id="task-2") as plane:
        await plane.converse(await plane.next_stream(call))


async def test_a_stop_without_a_hangup_is_asked_about(start_plane: StartsPlane) -> None:
    """The carrier has closed the stream in order, and the webhook got lost."""
    async with start_plane() as plane:
        phone = await plane.greeted()
        await phone.stop()
        await plane.converse(await plane.next_stream(phone.call))


# Frozen tasks.


async def test_a_task_that_was_frozen_goes_on_once_the_table_has_answered(
    start_plane: StartsPlane,
) -> None:
    async with start_plane() as plane:
        phone = await plane.greeted()
        await until(lambda: plane.fleet.heartbeat("task-1"))
        plane.services.pulse.late_at = 0.0
        await plane.converse(phone)
        assert not plane.services.pulse.is_doubtful


async def test_a_task_that_was_frozen_and_marked_says_nothing_more(
    start_plane: StartsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "HEARTBEAT_SECONDS", 600.0)
    async with start_plane() as plane:
        phone = await plane.greeted()
        state = await until(lambda: plane.fleet.heartbeat("task-1"))
        assert isinstance(state, TaskState)
        assert plane.fleet.mark_over(state)
        session = await plane.session(phone.call)
        plane.services.pulse.late_at = 0.0
        received = len(session.received)
        await phone.say("caller_opening_hours")
        assert await phone.closed() == 1000
        assert [f["type"] for f in session.received[received:]] == []
        assert not plane.services.pulse.is_doubtful, "the task takes new calls under a new id"
        await plane.greeted()
