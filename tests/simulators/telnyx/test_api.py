"""Call Control as the official SDK sees it."""

import base64
from typing import Any
from urllib.parse import quote

import pytest
import telnyx

from simulators.scenario import SCENARIOS
from simulators.telnyx.account import CONNECTION_ID
from simulators.telnyx.behaviour import CarrierFaults, Person
from simulators.telnyx.server import CarrierSimulatorEvent
from tests.support.telnyx_counterpart import exchange, media_server

PERSON = Person(SCENARIOS["short"], answers_after_ms=0)
SLOW_PERSON = Person(SCENARIOS["short"], answers_after_ms=20_000)
DIAL = {"connection_id": CONNECTION_ID, "to": "+15550100", "from": "+15550199"}


def reason(error: telnyx.APIStatusError) -> Any:
    [reason] = error.response.json()["errors"]
    return reason


async def test_the_sdk_dials() -> None:
    state = base64.b64encode(b"call-1").decode()
    async with exchange(SLOW_PERSON) as phone:
        answer = await phone.sdk.calls.dial(
            connection_id=CONNECTION_ID, to="+15550100", from_="+15550199", client_state=state
        )
    [call] = phone.simulator.calls
    assert answer.data is not None
    assert answer.data.call_control_id == call.call_control_id
    assert answer.data.is_alive is False
    assert answer.data.client_state == state
    assert (call.to, call.from_, call.client_state) == ("+15550100", "+15550199", state)
    assert [dial.status for dial in phone.simulator.dials] == [200]


async def test_without_a_good_key_nothing_is_done() -> None:
    async with exchange(PERSON) as phone:
        for key in ("", "Bearer", "Bearer KEY-wrong-1", "Basic KEY-test"):
            answer = await phone.http.post("/calls", json=DIAL, headers={"authorization": key})
            assert answer.status_code == 401
            assert answer.json()["errors"][0]["code"] == "10009"
    assert phone.simulator.calls == []


async def test_a_bad_dial_is_refused_and_names_the_field() -> None:
    async with exchange(PERSON) as phone:
        with pytest.raises(telnyx.UnprocessableEntityError) as refusal:
            await phone.dial("5550100")
    assert reason(refusal.value)["code"] == "10016"
    assert reason(refusal.value)["source"] == {"pointer": "/to"}
    assert [dial.status for dial in phone.simulator.dials] == [422]


async def test_what_is_not_json_is_a_bad_request() -> None:
    async with exchange(PERSON) as phone:
        answer = await phone.http.post("/calls", content=b"{to:")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "10023")


async def test_a_forbidden_number_has_data_and_errors_at_once_and_a_number_for_a_code() -> None:
    async with exchange(PERSON) as phone:
        with pytest.raises(telnyx.PermissionDeniedError) as refusal:
            await phone.dial("+15550104")
    answer = refusal.value.response.json()
    assert answer["data"]["call_control_id"]
    assert answer["errors"][0]["code"] == 10010
    assert answer["telnyx_error"] == {"error_code": "D60"}
    assert phone.simulator.calls == []


async def test_an_account_that_cannot_dial_gets_422() -> None:
    async with exchange(PERSON) as phone:
        with pytest.raises(telnyx.UnprocessableEntityError) as refusal:
            await phone.dial("+15550111")
    assert reason(refusal.value)["source"] == {"pointer": "/connection_id"}


async def test_too_many_requests_say_when_to_come_back() -> None:
    async with exchange(PERSON) as phone:
        with pytest.raises(telnyx.RateLimitError) as refusal:
            await phone.dial("+15550107")
    assert reason(refusal.value)["code"] == "10011"
    headers = refusal.value.response.headers
    assert {f"x-ratelimit-{name}" for name in ("limit", "remaining", "reset")} <= set(headers)


async def test_a_dial_that_fails_twice_succeeds_with_the_same_command_id() -> None:
    async with exchange(SLOW_PERSON) as phone:
        for _ in range(2):
            with pytest.raises(telnyx.InternalServerError):
                await phone.dial("+15550108", command_id="one")
        await phone.dial("+15550108", command_id="one")
    assert [dial.status for dial in phone.simulator.dials] == [500, 500, 200]
    assert len(phone.simulator.calls) == 1


async def test_a_dial_may_get_no_answer() -> None:
    async with exchange(PERSON) as phone:
        with pytest.raises(telnyx.APITimeoutError):
            await phone.dial("+15550110", timeout=0.1)
    assert phone.simulator.calls == []


async def test_the_same_command_id_dials_once() -> None:
    async with exchange(SLOW_PERSON) as phone:
        first = await phone.dial(command_id="one")
        again = await phone.dial(command_id="one")
        other = await phone.dial(command_id="two")
    assert first == again != other
    assert len(phone.simulator.calls) == 2


async def test_ids_are_understood_with_the_colon_raw_or_encoded() -> None:
    async with exchange(SLOW_PERSON) as phone:
        call_id = await phone.dial()
        for path in (call_id, quote(call_id, safe="")):
            answer = await phone.http.get(f"/calls/{path}")
            assert answer.json()["data"]["is_alive"] is True


async def test_a_call_and_the_active_calls_can_be_looked_up() -> None:
    async with exchange(SLOW_PERSON) as phone:
        call_id = await phone.dial()
        page = await phone.sdk.connections.list_active_calls(CONNECTION_ID)
        assert [call.call_control_id for call in page.data] == [call_id]
        await phone.sdk.calls.actions.hangup(call_id)
        [call] = phone.simulator.calls
        await call.ended.wait()
        status = await phone.sdk.calls.retrieve_status(call_id)
        page = await phone.sdk.connections.list_active_calls(CONNECTION_ID)
    assert status.data is not None
    assert status.data.is_alive is False
    assert status.data.end_time
    assert page.data == []


async def test_what_does_not_exist_is_refused() -> None:
    async with exchange(PERSON) as phone:
        for path, status, code in (
            ("/calls/v3:unknown/actions/hangup", 404, "10005"),
            ("/calls/nonsense/actions/hangup", 422, "90015"),
            ("/nonsense", 404, "10005"),
        ):
            answer = await phone.http.post(path, json={})
            assert (answer.status_code, answer.json()["errors"][0]["code"]) == (status, code)


async def test_an_unknown_action_is_not_found() -> None:
    async with exchange(SLOW_PERSON) as phone:
        call_id = await phone.dial()
        for method, action in (
            ("POST", "sing"),
            ("PUT", "hangup"),
            ("POST", "client_state_update"),
        ):
            answer = await phone.http.request(method, f"/calls/{call_id}/actions/{action}", json={})
            assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "10005")


async def test_after_the_end_every_command_is_refused() -> None:
    async with exchange(SLOW_PERSON) as phone:
        call_id = await phone.dial()
        await phone.sdk.calls.actions.hangup(call_id)
        await phone.simulator.calls[0].ended.wait()
        with pytest.raises(telnyx.UnprocessableEntityError) as refusal:
            await phone.sdk.calls.actions.hangup(call_id)
    assert reason(refusal.value)["code"] == "90018"
    assert [each.status for each in phone.simulator.calls[0].commands] == [200, 422]


async def test_the_same_command_id_takes_effect_once() -> None:
    async with exchange(SLOW_PERSON) as phone:
        call_id = await phone.dial()
        states = [base64.b64encode(each).decode() for each in (b"first", b"second")]
        for state in states:
            await phone.sdk.calls.actions.update_client_state(
                call_id, client_state=state, extra_body={"command_id": "one"}
            )
    [call] = phone.simulator.calls
    assert call.client_state == states[0]
    assert [(each.name, each.command_id, each.status) for each in call.commands] == [
        ("client_state_update", "one", 200),
        ("client_state_update", "one", 200),
    ]


async def test_streaming_needs_an_answer_and_a_free_call() -> None:
    async with media_server() as media, exchange(SLOW_PERSON) as phone:
        ringing = await phone.dial()
        with pytest.raises(telnyx.UnprocessableEntityError) as too_early:
            await phone.sdk.calls.actions.start_streaming(ringing, stream_url=media.url)
        call = await phone.simulator.ring(to="+15550199", from_="+15550100")
        await phone.sdk.calls.actions.answer(call.call_control_id)
        with pytest.raises(telnyx.UnprocessableEntityError) as not_used:
            await phone.sdk.calls.actions.stop_streaming(call.call_control_id)
        await phone.sdk.calls.actions.start_streaming(call.call_control_id, stream_url=media.url)
        with pytest.raises(telnyx.UnprocessableEntityError) as in_use:
            await phone.sdk.calls.actions.start_streaming(
                call.call_control_id, stream_url=media.url
            )
    codes = [reason(each.value)["code"] for each in (too_early, not_used, in_use)]
    assert codes == ["90034", "90048", "90045"]


async def test_streaming_start_may_be_refused() -> None:
    async with exchange(PERSON, faults=CarrierFaults(streaming_start_refused=True)) as phone:
        call = await phone.simulator.ring(to="+15550199", from_="+15550100")
        await phone.sdk.calls.actions.answer(call.call_control_id)
        with pytest.raises(telnyx.UnprocessableEntityError) as refusal:
            await phone.sdk.calls.actions.start_streaming(
                call.call_control_id, stream_url="wss://127.0.0.1/media"
            )
        assert call.state == "answered"
    assert reason(refusal.value)["code"] == "90046"


async def test_commands_are_shown_as_they_come() -> None:
    events: list[CarrierSimulatorEvent] = []
    async with exchange(SLOW_PERSON, on_event=events.append) as phone:
        call_id = await phone.dial()
        await phone.sdk.calls.actions.hangup(call_id)
        await phone.simulator.calls[0].ended.wait()
    assert [each.name for each in events] == ["call", "command", "hangup"]
