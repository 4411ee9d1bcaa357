"""Functions on a server: the request that it gets, and the output that the model gets."""

import json
from dataclasses import replace
from typing import Any

import pytest

from media_bridge.commands import RunFunction
from media_bridge.runtime.tool_runner import MAX_RESPONSE_BYTES, ToolRunner
from media_bridge.tool_events import FunctionReturned
from phonebridge.call.tools import HttpsFunction
from phonebridge.http.public_client import PublicHttpsClient
from phonebridge.http.signature import sign
from phonebridge.observability.log import logger
from tests.support.clock import Clock
from tests.support.tool_servers import Reply, ToolServer, answer, nothing, silence, tool_server

NOT_WHAT_IT_CLAIMS = "The tool's answer is not the JSON or text it claims to be."
OK = answer(200, b'{"status":"shipped"}')
SECRET = "the operator's"


def function(server: ToolServer, **changes: Any) -> HttpsFunction:
    plain = HttpsFunction(name="order", url=server.url(), headers={"Authorization": "Bearer abc"})
    return replace(plain, **changes)


async def run_tool(server: ToolServer, **changes: Any) -> FunctionReturned:
    called = RunFunction("call_7", function(server, **changes), '{"number": 17}')
    return await toolbox(server.client()).run("call-1", called)


def toolbox(client: PublicHttpsClient) -> ToolRunner:
    return ToolRunner(SECRET, client, logger("toolbox"), Clock())


async def output_of(reply: Reply, **changes: Any) -> str:
    async with tool_server(reply) as server:
        got = await run_tool(server, **changes)
    assert got.ok
    return got.output


async def error_of(*replies: Reply, **changes: Any) -> str:
    async with tool_server(*replies) as server:
        got = await run_tool(server, **changes)
    assert (got.call_id, got.ok) == ("call_7", False)
    told = json.loads(got.output)
    assert set(told) == {"error"}
    error: str = told["error"]
    return error


async def test_the_server_is_told_which_call_of_which_tool_with_what() -> None:
    async with tool_server(OK) as server:
        assert await run_tool(server) == FunctionReturned("call_7", '{"status":"shipped"}', True)
    [received] = server.received
    assert received.json == {
        "call_id": "call-1",
        "tool": "order",
        "tool_call_id": "call_7",
        "arguments": {"number": 17},
    }
    assert received.headers["authorization"] == "Bearer abc"
    assert received.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("secret", "signer"), [(None, SECRET), ("its own secret", "its own secret")]
)
async def test_requests_are_signed(secret: str | None, signer: str) -> None:
    async with tool_server(OK) as server:
        await run_tool(server, secret=secret)
    [received] = server.received
    for name, value in sign(signer, received.body, Clock()()).items():
        assert received.headers[name.lower()] == value


@pytest.mark.parametrize(
    ("reply", "output"),
    [
        (answer(200, b"[1, 2]"), "[1, 2]"),
        (answer(200, b'{"a":1}', "application/problem+json; charset=utf-8"), '{"a":1}'),
        (answer(200, "Größe 4".encode(), "text/plain; charset=utf-8"), "Größe 4"),
        (answer(204), '{"status":"done"}'),
        (answer(202, b""), '{"status":"done"}'),
        (answer(200, b" " * MAX_RESPONSE_BYTES, "text/plain"), " " * MAX_RESPONSE_BYTES),
    ],
)
async def test_an_answer_is_handed_on_as_it_is(reply: Reply, output: str) -> None:
    assert await output_of(reply) == output


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (answer(200, b'{"status":'), NOT_WHAT_IT_CLAIMS),
        (answer(200, b"[" * 60_000), NOT_WHAT_IT_CLAIMS),
        (answer(200, b"\xff", "text/plain"), NOT_WHAT_IT_CLAIMS),
        (answer(200, kind="image/gif"), "The tool answered with image/gif, not with JSON or text."),
        (answer(200, b"x", Content_Encoding="gzip"), "The tool's answer is compressed."),
        (answer(200, bytes(5_000_000)), "The response is longer than 65536 bytes."),
        (answer(307, Location="https://127.0.0.1/"), "The tool answered with a redirect (307)."),
        (answer(404, b'{"a":"No order."}'), 'The tool answered with 404: {"a":"No order."}'),
        (answer(500), "The tool answered with 500"),
        (answer(400, b"x" * 5000, "text/plain"), "The tool answered with 400: " + "x" * 2000),
        (nothing, "The server closed the connection before its response was complete."),
    ],
)  # fmt: skip
async def test_a_failure_is_told_in_words(reply: Reply, error: str) -> None:
    assert await error_of(reply) == error


async def test_a_server_that_does_not_answer_in_time() -> None:
    error = await error_of(silence, timeout_seconds=0.5)
    assert error == "The tool did not answer within 0.5 seconds."


@pytest.mark.parametrize("host", ["x" * 64 + ".com", "a..b", ".example.com", "*", "[::1%25lo]"])
async def test_what_is_no_host_fails_as_any_other_tool(host: str) -> None:
    async with tool_server(OK) as server:
        called = RunFunction("call_7", function(server, url=f"https://{host}:{server.port}/"), "{}")
        returned = await toolbox(PublicHttpsClient()).run("call-1", called)
    assert not returned.ok
    assert returned.output.startswith('{"error":"The server has')


async def test_a_fault_of_ours_does_not_reach_the_call() -> None:
    async def broken(host: str, port: int) -> list[str]:
        raise RuntimeError("never thought of")

    async with tool_server(OK) as server:
        called = RunFunction("call_7", function(server), "{}")
        returned = await toolbox(PublicHttpsClient(resolve=broken)).run("call-1", called)
    assert returned == FunctionReturned("call_7", '{"error":"The tool failed."}', ok=False)


async def test_a_tool_that_is_no_https_server_of_the_public_internet() -> None:
    assert await error_of(OK, url="http://example.com/") == "The URL is not https."


@pytest.mark.parametrize("reply", [answer(500), answer(503), answer(429), nothing])
async def test_what_may_be_repeated_is_tried_three_times(reply: Reply) -> None:
    async with tool_server(reply, reply, OK) as server:
        got = await run_tool(server, idempotent=True)
        assert got.output == '{"status":"shipped"}'
        assert len(server.received) == 3
        assert len({each.body for each in server.received}) == 1


async def test_a_request_is_tried_three_times_at_most() -> None:
    async with tool_server(answer(500)) as server:
        assert not (await run_tool(server, idempotent=True)).ok
        assert len(server.received) == 3


@pytest.mark.parametrize("reply", [answer(500), nothing])
async def test_what_may_not_be_repeated_is_not(reply: Reply) -> None:
    async with tool_server(reply, OK) as server:
        assert not (await run_tool(server)).ok
        assert len(server.received) == 1


@pytest.mark.parametrize("reply", [answer(404), answer(302), answer(200, b"{")])
async def test_an_answer_that_would_stay_the_same_is_not_asked_for_again(reply: Reply) -> None:
    async with tool_server(reply, OK) as server:
        assert not (await run_tool(server, idempotent=True)).ok
        assert len(server.received) == 1
