"""Telnyx on a loopback port: it opens and ends media streams as Call Control requests want it. It
sends no webhooks, so the container has to ask about legs that have ended."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

_ACTION = re.compile(r"/v2/calls/([^/]+)(?:/actions/(\w+))?$")


Stream = tuple[str, str]
"""The URL of a media stream, and its token."""


@dataclass(slots=True)
class Leg:
    """One leg, and what the container has asked of it."""

    control_id: str
    streams: "asyncio.Queue[Stream | None]" = field(default_factory=asyncio.Queue)
    """The next stream, or None for the end of the leg."""
    ended_at: datetime | None = None

    def end(self) -> None:
        if self.ended_at is None:
            self.ended_at = datetime.now(UTC)
            self.streams.put_nowait(None)


@dataclass(slots=True)
class SoakCarrier:
    url: str = ""
    legs: dict[str, Leg] = field(default_factory=dict)

    def new_leg(self, control_id: str) -> Leg:
        leg = self.legs[control_id] = Leg(control_id)
        return leg

    def answer(self, method: str, path: str, body: bytes) -> tuple[HTTPStatus, object]:
        found = _ACTION.search(path)
        leg = self.legs.get(unquote(found[1])) if found else None
        if leg is None:
            return HTTPStatus.NOT_FOUND, _error("10005", "Resource not found")
        if method == "GET":
            return HTTPStatus.OK, {"data": _state(leg)}
        if leg.ended_at:
            return HTTPStatus.UNPROCESSABLE_ENTITY, _error("90018", "Call has already ended")
        _act(leg, found[2] if found else "", json.loads(body))
        return HTTPStatus.OK, {"data": {"result": "ok"}}


def _act(leg: Leg, action: str, command: dict[str, Any]) -> None:
    if action == "streaming_start":
        leg.streams.put_nowait((command["stream_url"], command["stream_auth_token"]))
    elif action == "hangup":
        leg.end()


def _state(leg: Leg) -> dict[str, object]:
    ended = {"end_time": leg.ended_at.isoformat()} if leg.ended_at else {}
    return {"call_control_id": leg.control_id, "is_alive": not leg.ended_at} | ended


def _error(code: str, title: str) -> dict[str, object]:
    return {"errors": [{"code": code, "title": title, "detail": title}]}


@asynccontextmanager
async def soak_carrier() -> AsyncIterator[SoakCarrier]:
    carrier = SoakCarrier()
    server = await asyncio.start_server(_responder(carrier.answer), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        carrier.url = f"http://127.0.0.1:{port}/v2"
        yield carrier


def _responder(
    answer: Callable[[str, str, bytes], tuple[HTTPStatus, object]],
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                method, path, *_ = head.split(" ", 2)
                length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
                body = await reader.readexactly(int(length[1]) if length else 0)
                status, value = answer(method, path, body)
                text = json.dumps(value)
                head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Length: {len(text)}"
                writer.write(f"{head}\r\n\r\n{text}".encode())
        writer.close()

    return respond
