"""The effect of each command, seen through the official SDK and the webhooks that follow."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import telnyx
from telnyx.types import CallDialResponse

from simulators.scenario import SCENARIOS
from simulators.telnyx.behaviour import Person
from simulators.telnyx.call import SimulatedCall
from tests.support.telnyx_counterpart import (
    Exchange,
    MediaServer,
    WebhookReceiver,
    exchange,
    media_server,
    webhook_receiver,
)

PERSON = Person(SCENARIOS["short"], answers_after_ms=20)


class Stage:
    def __init__(self, phone: Exchange, receiver: WebhookReceiver, media: MediaServer) -> None:
        self.actions = phone.sdk.calls.actions
        self._calls = phone.sdk.calls
        self.simulator = phone.simulator
        self.receiver = receiver
        self.media = media

    async def ring(self) -> tuple[SimulatedCall, str]:
        call = await self.simulator.ring(to="+15550199", from_="+15550100")
        return call, call.call_control_id

    async def dial(self, to: str, link_to: str) -> CallDialResponse:
        return await self._calls.dial(connection_id="1", to=to, from_="+15550199", link_to=link_to)

    async def answered_call(self) -> tuple[SimulatedCall, str]:
        call, call_id = await self.ring()
        await self.actions.answer(call_id)
        return call, call_id


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    async with (
        webhook_receiver() as receiver,
        media_server() as media,
        exchange(PERSON, webhook_url=receiver.url) as phone,
    ):
        yield Stage(phone, receiver, media)


async def test_an_incoming_call_is_answered_and_streamed_in_one_command() -> None:
    async with stage() as phone:
        call, call_id = await phone.ring()
        initiated = (await phone.receiver.wait_for("call.initiated")).json["data"]["payload"]
        assert (initiated["direction"], initiated["state"]) == ("incoming", "parked")
        await phone.actions.answer(
            call_id,
            stream_url=phone.media.url,
            stream_bidirectional_mode="rtp",
            extra_body={"stream_auth_token": "not a parameter of answer"},
        )
        socket = await phone.media.socket()
        await socket.wait_for("media")
        answered = (await phone.receiver.wait_for("call.answered")).json["data"]["payload"]
        call.hang_up()
        hangup = (await phone.receiver.wait_for("call.hangup")).json["data"]["payload"]
    assert "x-telnyx-streaming-auth-token" not in socket.request.headers
    assert "state" not in answered
    assert (answered["codec"], answered["sampling_rate"]) == ("PCMU", 8000)
    assert (hangup["hangup_cause"], hangup["hangup_source"]) == ("normal_clearing", "caller")


async def test_a_caller_who_gives_up_before_the_answer_has_canceled() -> None:
    async with stage() as phone:
        call, _ = await phone.ring()
        call.hang_up()
        hangup = (await phone.receiver.wait_for("call.hangup")).json["data"]["payload"]
    assert (hangup["hangup_cause"], hangup["sip_hangup_cause"]) == ("originator_cancel", "487")


async def test_an_incoming_call_is_rejected() -> None:
    async with stage() as phone:
        _, call_id = await phone.ring()
        await phone.actions.reject(call_id, cause="USER_BUSY")
        hangup = (await phone.receiver.wait_for("call.hangup")).json["data"]["payload"]
    assert (hangup["hangup_cause"], hangup["sip_hangup_cause"]) == ("user_busy", "486")


async def test_our_own_call_cannot_be_answered() -> None:
    async with stage() as phone:
        _, call_id = await phone.answered_call()
        await phone.actions.transfer(call_id, to="+15550120")
        with pytest.raises(telnyx.UnprocessableEntityError) as refusal:
            await phone.actions.answer(phone.simulator.calls[-1].call_control_id)
    assert "90102" in refusal.value.response.text


async def test_streaming_starts_and_stops_on_command() -> None:
    async with stage() as phone:
        call, call_id = await phone.answered_call()
        await phone.actions.start_streaming(
            call_id,
            stream_url=phone.media.url,
            stream_auth_token="secret",
            custom_parameters=[{"name": "customer", "value": "7"}],
        )
        socket = await phone.media.socket()
        start = await socket.wait_for("start")
        started = (await phone.receiver.wait_for("streaming.started")).json["data"]["payload"]
        await phone.actions.stop_streaming(call_id)
        await socket.wait_for("stop")
        await phone.receiver.wait_for("streaming.stopped")
        assert call.state == "answered"
    assert start["start"]["custom_parameters"] == {"customer": "7"}
    assert started["stream_url"] == phone.media.url


async def test_a_client_state_is_echoed_from_then_on() -> None:
    state = base64.b64encode(b"call-1").decode()
    async with stage() as phone:
        call, call_id = await phone.ring()
        await phone.actions.answer(call_id, client_state=state)
        call.hang_up()
        hangup = (await phone.receiver.wait_for("call.hangup")).json["data"]["payload"]
        initiated = (await phone.receiver.wait_for("call.initiated")).json["data"]["payload"]
    assert (initiated["client_state"], hangup["client_state"]) == (None, state)


async def test_a_transfer_bridges_two_legs_and_both_end_together() -> None:
    async with stage() as phone:
        call, call_id = await phone.answered_call()
        await phone.actions.transfer(call_id, to="+15550120")
        await phone.receiver.wait_for("call.bridged", 2)
        other = phone.simulator.calls[-1]
        other.hang_up()
        await phone.receiver.wait_for("call.hangup", 2)
    assert (other.to, other.from_) == ("+15550120", call.to)
    assert other.plan.call_session_id == call.plan.call_session_id
    assert other.call_leg_id != call.call_leg_id
    assert call.state == other.state == "ended"


async def test_a_transfer_that_fails_leaves_the_first_leg_up() -> None:
    async with stage() as phone:
        call, call_id = await phone.answered_call()
        await phone.actions.transfer(call_id, to="+15550101")
        hangup = (await phone.receiver.wait_for("call.hangup")).json["data"]["payload"]
        assert hangup["hangup_cause"] == "user_busy"
        assert call.state == "answered"


async def test_two_legs_of_one_session_are_bridged_on_command_and_end_together() -> None:
    async with stage() as phone:
        call, call_id = await phone.answered_call()
        dialled = await phone.dial(to="+15550120", link_to=call_id)
        await phone.receiver.wait_for("call.answered", 2)
        other = phone.simulator.calls[-1]
        assert dialled.data is not None
        assert dialled.data.call_session_id == call.plan.call_session_id
        await phone.actions.bridge(call_id, call_control_id_to_bridge_with=other.call_control_id)
        await phone.receiver.wait_for("call.bridged", 2)
        call.hang_up()
        await phone.receiver.wait_for("call.hangup", 2)
    assert call.state == other.state == "ended"


async def test_a_leg_that_is_not_bridged_outlives_the_other() -> None:
    async with stage() as phone:
        call, call_id = await phone.answered_call()
        await phone.dial(to="+15550120", link_to=call_id)
        await phone.receiver.wait_for("call.answered", 2)
        call.hang_up()
        await phone.receiver.wait_for("call.hangup")
        assert phone.simulator.calls[-1].state == "answered"


async def test_only_answered_legs_can_be_bridged() -> None:
    async with stage() as phone:
        _, call_id = await phone.answered_call()
        _, unanswered = await phone.ring()
        for other, code in ((unanswered, "90034"), ("v3:nobody", "90015")):
            with pytest.raises(telnyx.UnprocessableEntityError) as refusal:
                await phone.actions.bridge(call_id, call_control_id_to_bridge_with=other)
            assert code in refusal.value.response.text


async def test_speaking_takes_its_time_and_ends_with_the_call() -> None:
    async with stage() as phone:
        call, call_id = await phone.answered_call()
        await phone.actions.speak(call_id, payload="Hi.", voice="female")
        ended = (await phone.receiver.wait_for("call.speak.ended")).json["data"]["payload"]
        assert ended["status"] == "completed"
        await phone.actions.speak(call_id, payload="A long story. " * 100, voice="female")
        call.hang_up()
        cut = (await phone.receiver.wait_for("call.speak.ended", 2)).json["data"]["payload"]
        assert cut["status"] == "call_hangup"
    assert call.spoken[0] == "Hi."


async def test_words_have_the_state_of_the_last_command_when_they_end() -> None:
    """`client_state` is added "to every subsequent webhook" (Telnyx API, "Speak text")."""
    async with stage() as phone:
        call, call_id = await phone.answered_call()
        await phone.actions.speak(
            call_id, payload="A long story. " * 100, voice="female", client_state="Zmlyc3Q="
        )
        started = (await phone.receiver.wait_for("call.speak.started")).json["data"]["payload"]
        with pytest.raises(telnyx.UnprocessableEntityError):
            await phone.actions.start_playback(call_id, client_state="cmVmdXNlZA==")
        await phone.actions.send_dtmf(call_id, digits="1", client_state="c2Vjb25k")
        call.hang_up()
        ended = (await phone.receiver.wait_for("call.speak.ended")).json["data"]["payload"]
    assert (started["client_state"], ended["client_state"]) == ("Zmlyc3Q=", "c2Vjb25k")


async def test_a_recording_is_saved_without_from_and_to() -> None:
    async with stage() as phone:
        _, call_id = await phone.answered_call()
        await phone.actions.start_recording(call_id, channels="dual", format="mp3")
        await phone.actions.stop_recording(call_id)
        saved = (await phone.receiver.wait_for("call.recording.saved")).json["data"]["payload"]
        async with httpx.AsyncClient(trust_env=False) as client:
            link = await client.get(saved["recording_urls"]["mp3"])
            unknown = await client.get(f"{phone.simulator.api_base}/recordings/unknown.mp3")
    assert (link.status_code, link.headers["content-type"]) == (200, "audio/mpeg")
    assert unknown.status_code == 404
    assert not {"from", "to"} & set(saved)


async def test_a_call_answered_with_record_is_recorded_to_its_end() -> None:
    async with stage() as phone:
        call, call_id = await phone.ring()
        answer = await phone.actions.answer(call_id, record="record-from-answer")
        call.hang_up()
        saved = (await phone.receiver.wait_for("call.recording.saved")).json["data"]["payload"]
    assert answer.data is not None
    assert answer.data.recording_id == saved["recording_id"]


async def test_recording_needs_audio() -> None:
    async with stage() as phone:
        _, call_id = await phone.ring()
        with pytest.raises(telnyx.UnprocessableEntityError) as refusal:
            await phone.actions.start_recording(call_id, channels="dual", format="mp3")
    assert "90020" in refusal.value.response.text


async def test_tones_speech_and_playback_are_accepted_once_answered() -> None:
    async with stage() as phone:
        call, call_id = await phone.answered_call()
        await phone.actions.send_dtmf(call_id, digits="12#")
        await phone.actions.speak(call_id, payload="Hello", voice="female")
        await phone.actions.start_playback(call_id, audio_url="https://example.com/a.mp3")
        await phone.receiver.wait_for("call.speak.ended")
        ended = (await phone.receiver.wait_for("call.playback.ended")).json["data"]["payload"]
        with pytest.raises(telnyx.UnprocessableEntityError):
            await phone.actions.start_playback(call_id)
    assert ended["media_url"] == "https://example.com/a.mp3"
    names = [each.name for each in call.commands]
    assert names == ["answer", "send_dtmf", "speak", "playback_start", "playback_start"]


async def test_a_key_is_heard_of_twice() -> None:
    async with stage() as phone:
        call, call_id = await phone.answered_call()
        await phone.actions.start_streaming(call_id, stream_url=phone.media.url)
        socket = await phone.media.socket()
        await phone.receiver.wait_for("streaming.started")
        await call.press("5")
        dtmf = await socket.wait_for("dtmf")
        received = (await phone.receiver.wait_for("call.dtmf.received")).json["data"]["payload"]
    assert dtmf["dtmf"]["digit"] == received["digit"] == "5"
