"""Media sockets through the gateway: frames arrive unchanged, and a close reaches the other
side."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from uvicorn import Config, Server
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Request, Response

from aws.media_relay import TOKEN_HEADER, MediaRelay
from tests.support.waiting import TIMEOUT_SECONDS

Conversation = Callable[[ServerConnection], Awaitable[None]]


class _Server(Server):
    @contextmanager
    def capture_signals(self) -> Any:
        yield


@asynccontextmanager
async def gateway_to(media_url: str) -> AsyncIterator[str]:
    app = Starlette(
        routes=[WebSocketRoute("/media-bridge/{path:path}", MediaRelay(media_url).pass_through)]
    )
    server = _Server(Config(app, lifespan="off", ws="websockets-sansio", log_config=None))
    async with asyncio.TaskGroup() as tasks:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            serving = tasks.create_task(server.serve([listener]))
            yield f"ws://127.0.0.1:{listener.getsockname()[1]}"
            server.should_exit = True
            await serving


@asynccontextmanager
async def relaying(conversation: Conversation, **container: Any) -> AsyncIterator[str]:
    """Yield the address of a gateway in front of a container that behaves as given."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        async with serve(conversation, "127.0.0.1", 0, **container) as server:
            port = server.sockets[0].getsockname()[1]
            async with gateway_to(f"ws://127.0.0.1:{port}") as address:
                yield f"{address}/media-bridge/call-1"


async def echo(caller: ServerConnection) -> None:
    async for message in caller:
        await caller.send(message)


async def close_reason(connection: ClientConnection | ServerConnection) -> tuple[int, str]:
    """Return how the other side closed the connection."""
    with pytest.raises(ConnectionClosed) as end:
        await connection.recv()
    return (end.value.rcvd.code, end.value.rcvd.reason) if end.value.rcvd else (1006, "")


async def test_text_and_bytes_come_through_as_they_are() -> None:
    messages: list[str | bytes] = ['{"event": "media"}', b"\x00\xff", "", b"", "ü" * 100_000]
    async with relaying(echo) as address, connect(address) as caller:
        for message in messages:
            await caller.send(message)

        assert [await caller.recv() for _ in messages] == messages


async def test_the_token_and_the_address_reach_the_container() -> None:
    seen: list[tuple[str, str]] = []

    async def note(caller: ServerConnection) -> None:
        assert caller.request
        seen.append((caller.request.path, caller.request.headers[TOKEN_HEADER]))

    async with relaying(note) as address:
        headers = {TOKEN_HEADER: "1.2.three"}
        async with connect(f"{address}?a=b", additional_headers=headers) as caller:
            await close_reason(caller)

    assert seen == [("/media-bridge/call-1?a=b", "1.2.three")]


@pytest.mark.parametrize("status", [HTTPStatus.UNAUTHORIZED, HTTPStatus.SERVICE_UNAVAILABLE])
async def test_a_refused_upgrade_is_refused(status: HTTPStatus) -> None:
    def refuse(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(status, "no\n")

    async with relaying(echo, process_request=refuse) as address:
        with pytest.raises(InvalidStatus) as refusal:
            await connect(address)

    assert refusal.value.response.status_code == status
    assert refusal.value.response.body == b"no\n"


async def test_without_a_container_the_gateway_is_a_bad_one() -> None:
    async with asyncio.timeout(TIMEOUT_SECONDS), gateway_to("ws://127.0.0.1:9") as address:
        with pytest.raises(InvalidStatus) as refusal:
            await connect(f"{address}/media-bridge/call-1")

    assert refusal.value.response.status_code == HTTPStatus.BAD_GATEWAY


@pytest.mark.parametrize("end", [(1000, "bye"), (1008, "token used twice"), (4000, "")])
async def test_the_container_closes_with_its_own_code(end: tuple[int, str]) -> None:
    async def hang_up(caller: ServerConnection) -> None:
        await caller.close(*end)

    async with relaying(hang_up) as address, connect(address) as caller:
        assert await close_reason(caller) == end


@pytest.mark.parametrize("end", [(1000, "bye"), (1001, ""), (4000, "tired")])
async def test_the_caller_closes_with_its_own_code(end: tuple[int, str]) -> None:
    ends: asyncio.Queue[tuple[int, str]] = asyncio.Queue()

    async def wait(caller: ServerConnection) -> None:
        await ends.put(await close_reason(caller))

    async with relaying(wait) as address:
        async with connect(address) as caller:
            await caller.close(*end)

        assert await ends.get() == end


async def test_a_caller_that_vanishes_vanishes_for_the_container() -> None:
    ends: asyncio.Queue[tuple[int, str]] = asyncio.Queue()

    async def wait(caller: ServerConnection) -> None:
        await caller.send("hello")
        await ends.put(await close_reason(caller))

    async with relaying(wait) as address:
        caller = await connect(address)
        await caller.recv()
        caller.transport.abort()

        assert await ends.get() == (1006, "")


async def test_a_container_that_vanishes_is_an_error_to_the_caller() -> None:
    async def vanish(caller: ServerConnection) -> None:
        await caller.recv()
        caller.transport.abort()

    async with relaying(vanish) as address, connect(address) as caller:
        await caller.send("hello")

        assert await close_reason(caller) == (1011, "")
