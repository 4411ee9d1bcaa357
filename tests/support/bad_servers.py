"""Servers that fail a WebSocket client during the handshake."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

NOBODY_LISTENS = "ws://127.0.0.1:9"

FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
BROKEN = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
NO_HTTP = b"220 mail.example.com ESMTP\r\n\r\n"
NO_ANSWER = b""
"""The connection is closed without an answer."""


@dataclass
class BadServer:
    url: str
    requests: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def bad_server(answer: bytes | None) -> AsyncIterator[BadServer]:
    """Give every request the same answer. None means that the server never answers."""
    answering = asyncio.Event()
    server = BadServer("")

    async def disappoint(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.requests.append(await reader.readuntil(b"\r\n\r\n"))
        if answer is None:
            await answering.wait()
        writer.write(answer or b"")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(disappoint, "127.0.0.1", 0) as listener:
        server.url = f"ws://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        yield server
        answering.set()
