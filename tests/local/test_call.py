"""`make call` without `make dev`. `end_to_end/test_make_call.py` places calls."""

import asyncio
import json

import httpx
import pytest

from aws.stack import free_port
from aws.template import TEMPLATE
from call import CannotCall, FollowedCall, place, request
from tests.support.processes import output_of, python

CALL = str(TEMPLATE.parent / "local" / "call.py")
RECORD = json.loads((TEMPLATE.parent / "docs" / "sample_record.json").read_text())
URL = "http://127.0.0.1:3000"


def api(*answers: tuple[int, object]) -> httpx.AsyncClient:
    """A client of an API that gives these answers, and then repeats the last one."""
    left = list(answers)

    def answer(_: httpx.Request) -> httpx.Response:
        status, body = left.pop(0) if len(left) > 1 else left[0]
        return httpx.Response(status, json=body)

    return httpx.AsyncClient(base_url=URL, transport=httpx.MockTransport(answer))


async def test_the_program_says_what_to_start_and_fails() -> None:
    async with python(CALL, "+15550123", "--port", str(free_port()), environ={}) as process:
        printed = await output_of(process)
    assert process.returncode == 1
    assert printed.endswith("is `make dev` running?\n")
    assert printed.count("\n") == 1


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (502, {"error": {"code": "refused", "message": "Telnyx refused (D60)."}}, "Telnyx refused"),
        (503, {"message": "Service Unavailable"}, "Service Unavailable"),
    ],
)
async def test_a_refusal_says_why_and_where_to_look(
    status: int, body: object, message: str
) -> None:
    async with api((status, body)) as refusing:
        with pytest.raises(CannotCall, match=f"{message}.*troubleshooting"):
            await place(refusing, {"to": "+15550123"}, print)


async def test_an_answer_that_is_not_json_is_an_error_too() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(500, text="<html>"))
    async with httpx.AsyncClient(base_url=URL, transport=transport) as broken:
        with pytest.raises(CannotCall, match="HTTP 500"):
            await request(broken, "GET", "/")


async def test_warnings_are_printed() -> None:
    printed: list[str] = []
    async with api((201, {"call_id": "0d0c", "warnings": ["voice: nova is coral"]})) as local:
        await place(local, {"to": "+15550123"}, printed.append)
    assert printed == ["warning: voice: nova is coral"]


async def test_a_call_that_does_not_end_after_ctrl_c_is_told_with_the_request_that_ends_it() -> (
    None
):
    stopped = asyncio.Event()
    stopped.set()
    async with api((200, RECORD | {"status": "streaming"})) as local:
        endless = FollowedCall(local, "0d0c", lambda line: None, hangup_seconds=0)
        with pytest.raises(CannotCall, match=f"curl -X POST {URL}/api/ai-calls/0d0c/hangup"):
            await endless.follow(stopped)


async def test_a_call_that_nobody_answered_is_over_at_once() -> None:
    unanswered = RECORD | {"duration_seconds": None, "outcome": "busy", "cost": {"total": None}}
    async with api((200, unanswered)) as local:
        record = await FollowedCall(local, "0d0c", lambda line: None).follow(asyncio.Event())
    assert record["outcome"] == "busy"


async def test_the_end_is_printed_until_the_cost_is_known() -> None:
    printed: list[str] = []
    unpriced = (200, RECORD | {"cost": {"total": None}})
    async with api(unpriced, unpriced, (200, RECORD)) as local:
        await FollowedCall(local, "0d0c", printed.append).follow(asyncio.Event())
    assert "cost" in printed[-1]
