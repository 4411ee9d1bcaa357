import asyncio

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request

from media_bridge.openai import client
from media_bridge.openai.client import OpenAIRealtime
from media_bridge.runtime.model_port import ModelUnreachable
from media_bridge.runtime.websocket import WebSocket
from phonebridge.call.config import CallConfig
from phonebridge.settings import AuthHeader, MediaSettings
from tests.support.bad_servers import (
    BROKEN,
    FORBIDDEN,
    NO_ANSWER,
    NO_HTTP,
    NOBODY_LISTENS,
    bad_server,
)
from tests.support.media_plane import settings

PLAIN = CallConfig()


async def open_session(given: MediaSettings, opened: WebSocket) -> None:
    await OpenAIRealtime(given).connect(PLAIN, opened)


def address(server: Server) -> str:
    host, port = next(iter(server.sockets)).getsockname()
    return f"ws://{host}:{port}"


def socket() -> WebSocket:
    socket = WebSocket()
    socket.on_message = lambda message: None
    socket.on_close = lambda code, reason: None
    return socket


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("wss://api.openai.com/v1/realtime", "wss://api.openai.com/v1/realtime?model=m-1"),
        ("ws://localhost:9400/x?a=b", "ws://localhost:9400/x?a=b&model=m-1"),
        ("wss://h/r?api-version=1&model=theirs", "wss://h/r?api-version=1&model=theirs"),
        ("wss://h/r?flag=", "wss://h/r?flag=&model=m-1"),
    ],
)
def test_the_url_names_the_model(base: str, url: str) -> None:
    assert OpenAIRealtime(settings(openai_realtime_url=base, openai_model="m-1")).url(PLAIN) == url


def test_a_call_that_names_its_model_gets_it() -> None:
    config = CallConfig(model="m-2")
    for base in ("wss://h/r", "wss://h/r?model=theirs"):
        model = OpenAIRealtime(settings(openai_realtime_url=base))
        assert model.url(config) == "wss://h/r?model=m-2"
        assert model.name(config) == "m-2"


async def test_the_upgrade_bears_the_key_and_asks_for_nothing_of_the_beta() -> None:
    requests: asyncio.Queue[Request] = asyncio.Queue()

    async def note(connection: ServerConnection) -> None:
        assert connection.request
        requests.put_nowait(connection.request)

    async with serve(note, "127.0.0.1", 0) as server:
        opened = socket()
        await open_session(settings(openai_realtime_url=address(server)), opened)
        request = await requests.get()
        opened.close()
    assert request.path == "/?model=gpt-realtime-2.1-mini"
    assert request.headers["Authorization"] == "Bearer sk-test"
    assert "OpenAI-Beta" not in request.headers


async def test_azure_looks_for_the_key_in_a_header_of_its_own() -> None:
    requests: asyncio.Queue[Request] = asyncio.Queue()

    async def note(connection: ServerConnection) -> None:
        assert connection.request
        requests.put_nowait(connection.request)

    async with serve(note, "127.0.0.1", 0) as server:
        azure = settings(
            openai_realtime_url=f"{address(server)}/openai/v1/realtime?x=1",
            openai_model="our-deployment",
            openai_auth_header=AuthHeader.API_KEY,
        )
        opened = socket()
        await open_session(azure, opened)
        request = await requests.get()
        opened.close()
    assert request.path == "/openai/v1/realtime?x=1&model=our-deployment"
    assert request.headers["api-key"] == "sk-test"
    assert "Authorization" not in request.headers


@pytest.mark.parametrize("answer", [FORBIDDEN, BROKEN, NO_HTTP, NO_ANSWER], ids=repr)
async def test_a_server_that_opens_no_socket_is_asked_once(answer: bytes) -> None:
    async with bad_server(answer) as server:
        with pytest.raises(ModelUnreachable) as error:
            await open_session(settings(openai_realtime_url=server.url), socket())
        assert len(server.requests) == 1
    assert server.url.removeprefix("ws://") in str(error.value)
    assert "sk-test" not in str(error.value)


async def test_a_server_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "CONNECT_SECONDS", 0.05)
    async with bad_server(None) as server:
        with pytest.raises(ModelUnreachable):
            await open_session(settings(openai_realtime_url=server.url), socket())


async def test_nobody_listens() -> None:
    with pytest.raises(ModelUnreachable, match="127.0.0.1:9"):
        await open_session(settings(openai_realtime_url=NOBODY_LISTENS), socket())


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [
        ("429 Too Many Requests", "Retry-After: 2\r\n", 2.0),
        ("503 Service Unavailable", "", None),
        ("503 Service Unavailable", "Retry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\n", None),
        ("401 Unauthorized", "", None),
    ],
)
async def test_a_refused_upgrade_tells_its_status_and_the_delay_that_the_server_wants(
    status: str, header: str, seconds: float | None
) -> None:
    answer = f"HTTP/1.1 {status}\r\n{header}Content-Length: 0\r\n\r\n".encode()
    async with bad_server(answer) as server:
        with pytest.raises(ModelUnreachable) as refused:
            await open_session(settings(openai_realtime_url=server.url), socket())
    assert (refused.value.status, refused.value.retry_after) == (int(status[:3]), seconds)


async def test_the_key_does_not_follow_a_redirect() -> None:
    async with bad_server(FORBIDDEN) as elsewhere:
        redirect = f"HTTP/1.1 302 Found\r\nLocation: {elsewhere.url}\r\nContent-Length: 0\r\n\r\n"
        async with bad_server(redirect.encode()) as server:
            with pytest.raises(ModelUnreachable):
                await open_session(settings(openai_realtime_url=server.url), socket())
        assert not elsewhere.requests
