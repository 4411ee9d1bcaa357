"""Calls that are watched and steered from outside while they run."""

import asyncio
import json
from typing import Any

import pytest

from simulators.audio.speech import CLIPS, Clip
from simulators.telnyx.call import SimulatedCall
from tests.support.waiting import until
from tests.support.whole_calls import System, response_requests

pytestmark = pytest.mark.asyncio(loop_scope="package")

STAYS_ON_THE_LINE, SAYS_NOTHING = "+15550115", "+15550121"
PATIENT = "+15550131"
LONG = CLIPS["agent_free_times"]
"""A long greeting. Whatever a test requests meanwhile happens before its end."""


async def test_hangup_ends_a_call(system: System) -> None:
    call_id = await system.dialled(STAYS_ON_THE_LINE)
    await system.streaming(call_id)
    assert (await system.post(call_id, "hangup")).status_code == 202
    record = await system.ended(call_id)
    assert (record["outcome"], record["reason"]) == ("completed", "ended_by_api")
    again = await system.post(call_id, "hangup")
    assert (again.status_code, again.json()["outcome"]) == (200, "completed")


async def test_interrupt_stops_the_model_in_its_sentence(system: System) -> None:
    call_id = await system.dialled(PATIENT, greeting=LONG.text)
    await until(lambda: system.phone(PATIENT).conversation.first_audio_ms)
    assert (await system.post(call_id, "interrupt")).status_code == 202
    await until(lambda: system.phone(PATIENT).media.clears)
    await until(lambda: system.session(PATIENT).truncations)
    [truncation] = system.session(PATIENT).truncations
    [played_ms] = system.phone(PATIENT).media.cleared_after_ms
    # How near the two are, docs/interruption.md measures where nothing else is busy.
    assert played_ms > 0
    assert 0 < truncation.audio_end_ms < LONG.duration_ms
    await system.post(call_id, "hangup")
    record = await system.ended(call_id)
    [turn] = record["turns"]
    assert turn["interrupted"]
    assert LONG.text.startswith(f"{turn['text']} {turn['unheard']}".strip())
    assert turn["text"] != LONG.text
    assert record["activity"]["interruptions"] == 1


ORDERED = CLIPS["agent_farewell"]
SUMMARY = "A caller from Ulm wants to move an appointment."
BUSY, NOBODY, COLLEAGUE = "+15550101", "+15550102", "+15550142"


async def quiet_call(system: System) -> tuple[str, SimulatedCall]:
    """The caller has asked, the agent has answered; now both are silent."""
    call_id = await system.dialled(STAYS_ON_THE_LINE)
    phone = await until(lambda: next(iter(system.phones(STAYS_ON_THE_LINE)[-1:]), None))
    assert phone is not None
    await until(lambda: len(phone.conversation.recognitions) == 2)
    return call_id, phone


def heard(phone: SimulatedCall) -> list[Clip | None]:
    return [each.clip for each in phone.conversation.recognitions]


async def test_the_agent_says_what_it_is_told(system: System) -> None:
    call_id, phone = await quiet_call(system)
    await system.steer(call_id, "say", text=ORDERED.text)
    await until(lambda: heard(phone)[2:] == [ORDERED])
    await system.steer(call_id, "hangup")
    record = await system.ended(call_id)
    assert record["turns"][-1]["text"] == ORDERED.text


async def test_say_with_interrupt_stops_the_current_speech(system: System) -> None:
    call_id = await system.dialled(SAYS_NOTHING, greeting=LONG.text)
    await until(lambda: system.phone(SAYS_NOTHING).conversation.first_audio_ms)
    phone = system.phone(SAYS_NOTHING)
    await system.steer(call_id, "say", text=ORDERED.text, interrupt=True)
    await until(lambda: phone.media.clears)
    await until(lambda: ORDERED in heard(phone))
    await system.steer(call_id, "hangup")
    record = await system.ended(call_id)
    assert record["turns"][0]["interrupted"]


async def test_the_agent_goes_on_with_other_settings(system: System) -> None:
    call_id, phone = await quiet_call(system)
    session = system.session(STAYS_ON_THE_LINE)
    detection = {"type": "semantic_vad", "eagerness": "low"}
    answer = await system.post(
        call_id, "update", instructions="Be brief.", voice="cedar", turn_detection=detection
    )
    assert answer.status_code == 202
    assert [warning.partition(":")[0] for warning in answer.json()["warnings"]] == ["voice"]
    await until(lambda: session.settings.settings.instructions == "Be brief.")
    await system.steer(call_id, "say", text=ORDERED.text)
    await until(lambda: heard(phone)[2:] == [ORDERED])
    told = response_requests(session.received)[-1]
    assert told["response"]["instructions"].startswith("Be brief.")
    await system.steer(call_id, "hangup")
    record = await system.ended(call_id)
    noted = {entry["what"]: entry["detail"] for entry in record["timeline"]}
    assert noted["settings updated"] == "instructions, turn_detection"
    assert noted["update refused"] == "voice: the agent has already spoken"


async def test_a_muted_agent_says_nothing_until_it_is_unmuted(system: System) -> None:
    call_id, phone = await quiet_call(system)
    session = system.session(STAYS_ON_THE_LINE)
    said = len(session.said)
    await system.steer(call_id, "mute")
    await system.steer(call_id, "say", text=ORDERED.text)
    await until(lambda: system.told(call_id)[-2:] == ["Mute", "Say"])
    assert len(session.said) == said
    await system.steer(call_id, "unmute", side="agent")
    await until(lambda: heard(phone)[2:] == [ORDERED])
    await system.steer(call_id, "hangup")
    await system.ended(call_id)


async def test_of_a_muted_caller_the_model_hears_nothing(system: System) -> None:
    call_id = await system.dialled(STAYS_ON_THE_LINE, greeting=LONG.text)
    await system.streaming(call_id)
    phone = system.phone(STAYS_ON_THE_LINE)
    await system.steer(call_id, "mute", side="caller")
    await until(lambda: phone.conversation.said)
    session = system.session(STAYS_ON_THE_LINE)
    await system.steer(call_id, "say", text=ORDERED.text)
    await until(lambda: ORDERED in heard(phone))
    assert session.recognitions == []
    await system.steer(call_id, "hangup")
    await system.ended(call_id)


async def test_keys_are_pressed(system: System) -> None:
    call_id, phone = await quiet_call(system)
    await system.steer(call_id, "dtmf", digits="1w2#", duration_ms=200)
    [pressed] = [each for each in phone.commands if each.name == "send_dtmf"]
    assert (pressed.body["digits"], pressed.body["duration_millis"]) == ("1w2#", 200)
    await system.steer(call_id, "hangup")
    await system.ended(call_id)


async def test_a_last_sentence_is_heard_before_the_hangup(system: System) -> None:
    call_id, phone = await quiet_call(system)
    await system.steer(call_id, "hangup", say=ORDERED.text)
    record = await system.ended(call_id)
    assert (record["outcome"], record["reason"]) == ("completed", "ended_by_api")
    assert record["turns"][-1]["text"] == ORDERED.text
    assert not record["turns"][-1]["interrupted"]


async def test_a_blind_transfer_leaves_the_two_alone(system: System) -> None:
    call_id, phone = await quiet_call(system)
    await system.steer(call_id, "transfer", to=COLLEAGUE, say=ORDERED.text)
    await system.transferred(call_id)
    assert heard(phone)[2:] == [ORDERED], "before the transfer"
    await until(lambda: not phone.streams.is_streaming)
    await until(lambda: system.session(STAYS_ON_THE_LINE).closed)
    refused = await system.post(call_id, "say", text=ORDERED.text)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "wrong_state")
    assert "transferred" in refused.json()["error"]["message"]
    assert phone.state == "answered"
    system.phone(COLLEAGUE).hang_up()
    record = await system.ended(call_id)
    assert (record["outcome"], record["reason"]) == ("completed", "transferred")
    assert record["transfer"] == {
        "number": 1,
        "to": COLLEAGUE,
        "warm": False,
        "connected": True,
        "end": "normal_clearing",
    }


async def test_a_busy_target_leaves_the_caller_with_an_agent_that_knows(system: System) -> None:
    call_id, phone = await quiet_call(system)
    await system.steer(call_id, "transfer", to=BUSY)
    session = system.session(STAYS_ON_THE_LINE)
    await until(lambda: "could not be transferred: user_busy" in str(session.received))
    await until(lambda: len(phone.conversation.recognitions) > 2)
    record = await system.record(call_id)
    assert (record["status"], record["transfer"]["end"]) == ("streaming", "user_busy")
    assert not record["transfer"]["connected"]
    await system.steer(call_id, "transfer", to=COLLEAGUE)
    await system.transferred(call_id)
    await system.steer(call_id, "hangup")
    assert (await system.ended(call_id))["reason"] == "ended_by_api"


async def test_the_target_of_a_warm_transfer_is_told_first(system: System) -> None:
    call_id, phone = await quiet_call(system)
    await system.steer(call_id, "transfer", to=COLLEAGUE, mode="warm", summary=SUMMARY)
    await system.transferred(call_id)
    colleague = system.phone(COLLEAGUE)
    assert colleague.spoken == [SUMMARY]
    assert colleague.plan.call_session_id == phone.plan.call_session_id
    assert [each.type for each in colleague.webhooks][:4] == [
        "call.initiated",
        "call.answered",
        "call.speak.started",
        "call.speak.ended",
    ]
    await until(lambda: not phone.streams.is_streaming)
    phone.hang_up()
    record = await system.ended(call_id)
    assert (record["outcome"], record["reason"]) == ("completed", "transferred")
    assert colleague.state == "ended"


async def test_a_target_that_does_not_answer_a_warm_transfer(system: System) -> None:
    call_id, phone = await quiet_call(system)
    await system.steer(call_id, "transfer", to=NOBODY, mode="warm", summary=SUMMARY)
    session = system.session(STAYS_ON_THE_LINE)
    await until(lambda: "could not be transferred: timeout" in str(session.received))
    assert phone.state == "answered"
    await system.steer(call_id, "hangup")
    await system.ended(call_id)


async def test_a_caller_who_hangs_up_meanwhile_takes_the_target_along(system: System) -> None:
    earlier = len(system.phones(COLLEAGUE))  # of other tests with this system
    call_id, phone = await quiet_call(system)
    await system.steer(call_id, "transfer", to=COLLEAGUE, mode="warm", summary=SUMMARY * 10)
    await until(lambda: len(system.phones(COLLEAGUE)) > earlier)
    colleague = system.phone(COLLEAGUE)
    await until(lambda: colleague.spoken)
    phone.hang_up()
    record = await system.ended(call_id)
    assert record["reason"] == "callee_hung_up"
    await until(lambda: colleague.state == "ended")


BODY = (
    '{"to": "+1234567890", "instructions": "You are a helpful customer service agent. '
    'Be friendly and professional."}'
)


async def test_the_curl_lines_of_the_readme_work_as_they_stand(system: System) -> None:
    form = f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n"
    status, created = await curl(system, "POST /api/ai-calls/create", form, BODY)
    assert status == 201
    call_id = created["call_id"]
    status, live = await curl(system, "GET /api/ai-calls/status")
    assert status == 200
    assert call_id in [call["call_id"] for call in live["calls"]]
    await system.streaming(call_id)
    status, told = await curl(system, f"POST /api/ai-calls/{call_id}/interrupt")
    assert (status, told["call_id"]) == (202, call_id)
    status, told = await curl(system, f"POST /api/ai-calls/{call_id}/hangup")
    assert (status, told["call_id"]) == (202, call_id)
    assert (await system.ended(call_id))["outcome"] == "completed"


async def curl(system: System, request: str, more: str = "", body: str = "") -> tuple[int, Any]:
    """What curl sends, byte for byte; the status and JSON that come back."""
    port = system.api.base_url.port
    head = f"{request} HTTP/1.1\r\nHost: localhost:{port}\r\nUser-Agent: curl/8.5.0\r\nAccept: */*"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{head}\r\n{more}\r\n{body}".encode())
    answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = next(x for x in answer.splitlines() if x.startswith("content-length")).split()[1]
    content = await reader.readexactly(int(length))
    writer.close()
    await writer.wait_closed()
    return int(answer.split()[1]), json.loads(content)
