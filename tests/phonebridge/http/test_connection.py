"""Requests over an open connection. `test_public_client.py` also tests the limits of a response."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import h11
import pytest

from phonebridge.errors import UpstreamFailed
from phonebridge.http.connection import HttpConnection

REQUEST = h11.Request(method="POST", target="/", headers=[("Host", "x"), ("Content-Length", "2")])
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
LAST = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@asynccontextmanager
async def line(*answers: bytes) -> AsyncIterator[HttpConnection]:
    """Connect to a server that sends these responses and waits for another request."""

    served = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.readuntil(b"{}")
            writer.write(answer)
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        served.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        opened = HttpConnection(*await asyncio.open_connection(*server.sockets[0].getsockname()))
        try:
            yield opened
        finally:
            opened.close()
            await served.wait()


async def test_one_request_follows_the_other_as_long_as_the_server_lets_them() -> None:
    async with line(ANSWER, b"HTTP/1.1 100 Continue\r\n\r\n" + ANSWER, LAST) as opened:
        for _ in range(2):
            answer = await opened.request(REQUEST, b"{}", 5)
            assert (answer.status, answer.body) == (200, b"hello")
            assert not opened.is_closed
        assert (await opened.request(REQUEST, b"{}", 5)).status == 404
        assert opened.is_closed


async def test_a_line_that_owes_an_answer_is_over() -> None:
    async with line(ANSWER) as opened:
        with pytest.raises(UpstreamFailed, match="longer than 4 bytes"):
            await opened.request(REQUEST, b"{}", 4)
        assert opened.is_closed
