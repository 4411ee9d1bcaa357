"""Calls that are watched and steered from outside while they run."""

import asyncio
import json
from typing import Any

import pytest

from patience import until
from simulators.speech import CLIPS
from whole_calls import ONE_QUESTION, System

pytestmark = pytest.mark.asyncio(loop_scope="package")

STAYS_ON_THE_LINE = "+15550115"
PATIENT = "+15550131"


async def test_hangup_ends_a_call(system: System) -> None:
    call_id = await system.dialled(STAYS_ON_THE_LINE)
    await system.streaming(call_id)
    assert (await system.post(call_id, "hangup")).status_code == 202
    record = await system.ended(call_id)
    assert (record["outcome"], record["reason"]) == ("completed", "ended_by_api")
    again = await system.post(call_id, "hangup")
    assert (again.status_code, again.json()["outcome"]) == (200, "completed")


async def test_interrupt_stops_the_model_in_its_sentence(system: System) -> None:
    call_id = await system.dialled(PATIENT)
    await until(lambda: system.phone(PATIENT).conversation.first_audio_ms)
    assert (await system.post(call_id, "interrupt")).status_code == 202
    await until(lambda: system.phone(PATIENT).media.clears)
    await until(lambda: system.session(PATIENT).truncations)
    [truncation] = system.session(PATIENT).truncations
    [heard_ms] = system.phone(PATIENT).media.cleared_after_ms
    assert abs(truncation.audio_end_ms - heard_ms) <= 60
    await system.post(call_id, "hangup")
    record = await system.ended(call_id)
    [turn] = record["turns"]
    whole = CLIPS[ONE_QUESTION.greeting].text
    assert turn["interrupted"]
    assert whole.startswith(f"{turn['text']} {turn['unheard']}".strip())
    assert turn["text"] != whole
    assert record["activity"]["interruptions"] == 1


BODY = (
    '{"to": "+1234567890", "instructions": "You are a helpful customer service agent. '
    'Be friendly and professional."}'
)


async def test_the_curl_lines_of_the_readme_work_as_they_stand(system: System) -> None:
    form = f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n"
    status, created = await curl(system, "POST /api/ai-calls/create", form, BODY)
    assert status == 201
    call_id = created["callId"]
    status, live = await curl(system, "GET /api/ai-calls/status")
    assert status == 200
    assert call_id in [call["callId"] for call in live["calls"]]
    await system.streaming(call_id)
    status, told = await curl(system, f"POST /api/ai-calls/{call_id}/interrupt")
    assert (status, told["callId"]) == (202, call_id)
    status, told = await curl(system, f"POST /api/ai-calls/{call_id}/hangup")
    assert (status, told["callId"]) == (202, call_id)
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
