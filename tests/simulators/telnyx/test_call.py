"""The life of a call, seen through its webhooks and its media socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import telnyx

from simulators.audio.g711 import MU_LAW
from simulators.audio.speech import CLIPS
from simulators.scenario import SCENARIOS
from simulators.telnyx.behaviour import CarrierFaults, Person, StopNews
from simulators.telnyx.call import SimulatedCall
from simulators.telnyx.undocumented import SecondStream, Undocumented
from tests.support.telnyx_counterpart import (
    Exchange,
    MediaServer,
    WebhookReceiver,
    exchange,
    media_server,
    webhook_receiver,
)
from tests.support.waiting import until

NO_FAULTS = CarrierFaults()
PERSON = Person(SCENARIOS["short"], answers_after_ms=20)
IMPATIENT = replace(PERSON, silence_timeout_ms=200)
RINGING = replace(PERSON, answers_after_ms=20_000)
"""Rings until the test lets them answer or decline."""


class Stage:
    def __init__(self, phone: Exchange, receiver: WebhookReceiver, media: MediaServer) -> None:
        self.phone = phone
        self.receiver = receiver
        self.media = media

    async def dial(self, to: str = "+15550100", **options: Any) -> SimulatedCall:
        await self.phone.dial(to, **options)
        return self.phone.simulator.calls[-1]

    async def dial_streaming(self, to: str = "+15550100", **options: Any) -> SimulatedCall:
        return await self.dial(
            to, stream_url=self.media.url, stream_bidirectional_mode="rtp", **options
        )

    async def outcome(self) -> tuple[str, str, str]:
        hangup = (await self.receiver.wait_for("call.hangup")).json["data"]["payload"]
        return hangup["hangup_cause"], hangup["hangup_source"], hangup["sip_hangup_cause"]


@asynccontextmanager
async def stage(
    person: Person = PERSON, faults: CarrierFaults = NO_FAULTS, **options: Any
) -> AsyncIterator[Stage]:
    async with (
        webhook_receiver() as receiver,
        media_server() as media,
        exchange(person, faults, webhook_url=receiver.url, **options) as phone,
    ):
        yield Stage(phone, receiver, media)


async def test_a_person_who_is_busy_or_declines_or_does_not_answer() -> None:
    expected = {
        "+15550101": ("user_busy", "callee", "486"),
        "+15550102": ("timeout", "caller", "487"),
        "+15550103": ("call_rejected", "callee", "603"),
    }
    for number, outcome in expected.items():
        async with stage() as call:
            await call.dial(number)
            assert await call.outcome() == outcome
        assert sorted(call.receiver.types) == ["call.hangup", "call.initiated"]
        hangup = (await call.receiver.wait_for("call.hangup")).json["data"]["payload"]
        assert "call_quality_stats" not in hangup
        assert hangup["telnyx_error"] is None


async def test_without_retry_a_timeout_is_a_no_answer() -> None:
    async with stage() as call:
        await call.dial("+15550102", retry_on_timeout=False)
        assert (await call.outcome())[0] == "no_answer"


async def test_hanging_up_before_the_answer_cancels() -> None:
    async with stage(RINGING) as call:
        dialled = await call.dial()
        await call.phone.sdk.calls.actions.hangup(dialled.call_control_id)
        assert await call.outcome() == ("originator_cancel", "caller", "487")


async def test_a_person_may_decline_while_it_rings() -> None:
    async with stage(RINGING) as call:
        (await call.dial()).hang_up()
        assert await call.outcome() == ("call_rejected", "callee", "603")


async def test_a_dial_with_a_stream_is_connected_while_ringing_and_starts_on_answer() -> None:
    async with stage(RINGING) as call:
        dialled = await call.dial_streaming(stream_auth_token="secret")
        socket = await call.media.socket()
        await socket.wait_for("connected")
        dialled.pick_up()
        await socket.wait_for("media")
        dialled.hang_up()
        await socket.wait_closed()
        assert await call.outcome() == ("normal_clearing", "callee", "200")
        await call.receiver.wait_for("streaming.stopped")
    events = [frame["event"] for frame in socket.frames]
    assert events[:2] == ["connected", "start"]
    assert events[-1] == "stop"
    assert set(events[2:-1]) == {"media"}
    assert socket.connection.close_code == 1005
    assert sorted(call.receiver.types) == [
        "call.answered",
        "call.hangup",
        "call.initiated",
        "streaming.started",
        "streaming.stopped",
    ]


async def test_an_unanswered_dial_closes_its_socket_with_neither_start_nor_stop() -> None:
    async with stage(RINGING) as call:
        dialled = await call.dial_streaming()
        socket = await call.media.socket()
        await socket.wait_for("connected")
        dialled.hang_up()
        await socket.wait_closed()
    assert [frame["event"] for frame in socket.frames] == ["connected"]


async def test_nobody_answers_before_the_stream_of_the_dial_is_open() -> None:
    async with stage(replace(PERSON, answers_after_ms=0)) as call:
        dialled = await call.dial_streaming("+15550132")
        socket = await call.media.socket()
        await call.receiver.wait_for("call.answered")
        await socket.wait_closed()
        assert dialled.state == "answered"
    assert [frame["event"] for frame in socket.frames] == ["connected"]


async def test_a_refused_socket_fails_the_stream_and_the_call_stays_up() -> None:
    async with stage(RINGING) as call:
        dialled = await call.dial(stream_url="ws://127.0.0.1:9/nobody")
        failed = (await call.receiver.wait_for("streaming.failed")).json["data"]["payload"]
        dialled.pick_up()
        await call.receiver.wait_for("call.answered")
        dialled.hang_up()
        assert (await call.outcome())[0] == "normal_clearing"
    assert failed["failure_reason"] == "connection_failed"
    assert failed["stream_params"] == {
        "stream_url": "ws://127.0.0.1:9/nobody",
        "track": "inbound_track",
    }


async def test_streaming_may_fail_without_any_socket() -> None:
    async with stage(IMPATIENT) as call:
        await call.dial_streaming("+15550112")
        await call.receiver.wait_for("streaming.failed")
        await call.outcome()
    assert call.media.sockets.empty()


async def test_the_stream_of_a_dial_may_fail_where_another_opens() -> None:
    async with stage() as call:
        dialled = await call.dial_streaming("+15550131")
        await call.receiver.wait_for("streaming.failed")
        await call.receiver.wait_for("call.answered")
        assert call.media.sockets.empty()
        await call.phone.sdk.calls.actions.start_streaming(
            dialled.call_control_id, stream_url=call.media.url
        )
        await (await call.media.socket()).wait_for("start")


async def test_the_stream_of_a_dial_may_close_while_the_phone_rings() -> None:
    async with stage(RINGING) as call:
        dialled = await call.dial_streaming("+15550132")
        socket = await call.media.socket()
        await socket.wait_closed()
        dialled.pick_up()
        await call.receiver.wait_for("call.answered")
    assert [frame["event"] for frame in socket.frames] == ["connected"]


async def test_a_stream_that_the_agent_closes_while_the_phone_rings_is_not_started() -> None:
    async with stage(RINGING) as call:
        dialled = await call.dial_streaming()
        socket = await call.media.socket()
        await socket.wait_for("connected")
        await socket.connection.close()
        await until(lambda: not dialled.streams.is_streaming)
        dialled.pick_up()
        await call.receiver.wait_for("call.answered")
        await call.phone.sdk.calls.actions.start_streaming(
            dialled.call_control_id, stream_url=call.media.url
        )
        await (await call.media.socket()).wait_for("start")
    assert [frame["event"] for frame in socket.frames] == ["connected"]


async def test_an_agent_that_says_nothing_is_hung_up_on() -> None:
    async with stage(replace(RINGING, silence_timeout_ms=400)) as call:
        dialled = await call.dial_streaming()
        await (await call.media.socket()).wait_for("connected")
        dialled.pick_up()
        await dialled.ended.wait()
    assert dialled.conversation.goodbye == "agent_silent"
    assert dialled.media.frames_out > 0


async def test_closing_the_socket_does_not_hang_up() -> None:
    async with stage() as call:
        dialled = await call.dial_streaming()
        socket = await call.media.socket()
        await socket.wait_for("start")
        await socket.connection.close()
        await call.receiver.wait_for("streaming.stopped")
        assert dialled.state == "answered"
        await call.phone.sdk.calls.actions.hangup(dialled.call_control_id)
        assert await call.outcome() == ("normal_clearing", "caller", "200")


async def test_a_second_socket_takes_over_with_a_start_of_its_own() -> None:
    async with stage(faults=CarrierFaults(second_socket_after_ms=60)) as call:
        dialled = await call.dial_streaming(stream_auth_token="secret")
        first, second = await call.media.socket(), await call.media.socket()
        starts = [await socket.wait_for("start") for socket in (first, second)]
        await second.wait_for("media")
        await first.connection.close()
        await second.wait_for("media", 3)
        dialled.hang_up()
        await second.wait_for("stop")
        await call.receiver.wait_for("streaming.stopped")
    assert starts[0]["stream_id"] != starts[1]["stream_id"]
    assert starts[0]["start"]["call_control_id"] == starts[1]["start"]["call_control_id"]
    assert second.request.headers["x-telnyx-streaming-auth-token"] == "secret"
    assert call.receiver.types.count("streaming.stopped") == 1


async def test_the_socket_may_close_without_stop() -> None:
    async with stage(faults=CarrierFaults(close_without_stop_after_ms=60)) as call:
        await call.dial_streaming()
        socket = await call.media.socket()
        await socket.wait_closed()
    assert socket.of("stop") == []
    assert socket.of("start") != []


async def test_frames_keep_their_pace_through_jitter() -> None:
    async with stage(faults=CarrierFaults(jitter_ms=40)) as call:
        dialled = await call.dial_streaming()
        socket = await call.media.socket()
        last = await socket.wait_for("media", 20)
    assert last["media"]["chunk"] == "20"
    assert dialled.media.frames_out >= 20


async def test_a_person_who_listens_waits_while_the_agents_side_is_held_up() -> None:
    held_up = [True]
    may_go_on = asyncio.Event()

    async def wait() -> bool:
        return bool(held_up) and held_up.pop() and await may_go_on.wait()

    async with stage(wait_for_agent=wait) as call:
        dialled = await call.dial_streaming()
        socket = await call.media.socket()
        await socket.speak(MU_LAW.encode(CLIPS["agent_greeting"].samples))
        await until(lambda: not held_up)
        now_ms = dialled.conversation.now_ms
        assert dialled.conversation.first_audio_ms is None
        may_go_on.set()
        await until(lambda: dialled.conversation.first_audio_ms is not None)
    assert dialled.conversation.now_ms > now_ms


async def test_a_machine_is_detected_when_asked_for() -> None:
    for detection, event, result in (
        ("detect", "call.machine.detection.ended", "machine"),
        ("premium", "call.machine.premium.detection.ended", "machine"),
    ):
        async with stage() as call:
            await call.dial("+15550109", answering_machine_detection=detection)
            detected = await call.receiver.wait_for(event)
        assert detected.json["data"]["payload"]["result"] == result


@pytest.mark.parametrize(
    ("detection", "event"),
    [
        ("premium", "call.machine.premium.greeting.ended"),
        ("greeting_end", "call.machine.greeting.ended"),
    ],
)
async def test_the_end_of_a_machines_greeting_is_told(detection: str, event: str) -> None:
    async with stage() as call:
        await call.dial("+15550109", answering_machine_detection=detection)
        ended = await call.receiver.wait_for(event)
    assert ended.json["data"]["payload"]["result"] == "beep_detected"


async def test_the_time_limit_ends_the_call() -> None:
    async with stage() as call:
        dialled = await call.dial()
        dialled.plan = replace(dialled.plan, time_limit_ms=100)
        assert (await call.outcome())[0] == "time_limit"


async def test_a_person_hangs_up_at_the_latest_after_the_longest_call() -> None:
    async with stage(replace(PERSON, hangs_up=False, max_call_ms=100)) as call:
        await call.dial()
        assert await call.outcome() == ("normal_clearing", "callee", "200")


@pytest.mark.parametrize(("news", "times"), [("sent", 1), ("missing", 0), ("twice", 2)])
async def test_a_reset_socket_leaves_the_leg_and_is_told_of_as_the_faults_say(
    news: StopNews, times: int
) -> None:
    async with stage(RINGING, CarrierFaults(reset_after_ms=60, stop_news=news)) as call:
        dialled = await call.dial_streaming()
        dialled.pick_up()
        socket = await call.media.socket()
        await socket.wait_closed()
        await until(lambda: not dialled.streams.is_streaming)
        assert dialled.state == "answered"
        await call.phone.sdk.calls.actions.start_streaming(
            dialled.call_control_id, stream_url=call.media.url
        )
        await (await call.media.socket()).wait_for("start")
        await until(lambda: call.receiver.types.count("streaming.stopped") == times)
    assert socket.of("stop") == []


async def test_a_half_open_socket_sends_nothing_more_and_is_open_until_it_is_stopped() -> None:
    async with stage(RINGING, CarrierFaults(half_open_after_ms=60)) as call:
        dialled = await call.dial_streaming()
        dialled.pick_up()
        socket = await call.media.socket()
        await socket.wait_for("media")
        await until(lambda: dialled.media.frames_out > len(socket.of("media")) + 5)
        assert dialled.streams.is_streaming
        await call.phone.sdk.calls.actions.stop_streaming(dialled.call_control_id)
        await socket.wait_closed()
        assert socket.of("stop") == []
        assert dialled.state == "answered"


@pytest.mark.parametrize("second_stream", ["refused", "replaces"])
async def test_a_second_streaming_start_is_refused_or_replaces_the_stream(
    second_stream: SecondStream,
) -> None:
    async with stage(
        RINGING, CarrierFaults(undocumented=Undocumented(second_stream=second_stream))
    ) as call:
        dialled = await call.dial_streaming()
        dialled.pick_up()
        first = await call.media.socket()
        await first.wait_for("media")
        start = call.phone.sdk.calls.actions.start_streaming
        if second_stream == "refused":
            with pytest.raises(telnyx.UnprocessableEntityError, match="90045"):
                await start(dialled.call_control_id, stream_url=call.media.url)
            assert dialled.streams.is_streaming
        else:
            await start(dialled.call_control_id, stream_url=call.media.url)
            await first.wait_for("stop")
            await (await call.media.socket()).wait_for("media")


async def test_a_person_who_hears_nothing_says_the_last_line_again() -> None:
    person = replace(RINGING, silence_timeout_ms=60_000, repeats_after_ms=200)
    async with stage(person) as call:
        dialled = await call.dial_streaming()
        dialled.pick_up()
        dialled.conversation.said.append("caller_farewell")
        await until(lambda: dialled.conversation.said.count("caller_farewell") == 2)
