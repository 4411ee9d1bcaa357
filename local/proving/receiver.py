"""Receives what Telnyx sends during a call: signed webhooks, and media sockets.

It listens where `make dev` does, so the same tunnel serves both.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, TypeVar

import uvicorn
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from phonebridge.errors import InvalidSignature
from phonebridge.telnyx.webhook_signature import verify

T = TypeVar("T")

MAX_KEPT_FRAMES = 3000
"""A minute of media."""
ABNORMAL_CLOSURE = 1006
TOKEN_HEADER = "x-telnyx-streaming-auth-token"

Frame = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SeenWebhook:
    at: float
    event_id: str
    event_type: str
    occurred_at: str
    payload: Frame


@dataclass(slots=True, eq=False)
class SeenSocket:
    """A media socket that Telnyx opened."""

    number: int
    websocket: WebSocket
    opened_at: float
    frames: list[Frame] = field(default_factory=list)
    """Everything but media."""
    media: list[tuple[float, Frame]] = field(default_factory=list)
    close_code: int | None = None

    @property
    def is_closed(self) -> bool:
        return self.close_code is not None

    def frame(self, event: str) -> Frame | None:
        return next((each for each in self.frames if each.get("event") == event), None)

    async def send(self, frame: Frame) -> None:
        with suppress(RuntimeError, WebSocketDisconnect):  # Telnyx has closed it
            await self.websocket.send_text(json.dumps(frame))

    async def close(self) -> None:
        with suppress(RuntimeError):
            await self.websocket.close()

    def token_place(self, token: str) -> str | None:
        """Where Telnyx put the token: `header` or `frame`. None: nowhere."""
        connected = self.frame("connected") or {}
        if self.websocket.headers.get(TOKEN_HEADER) == token:
            return "header"
        inner = connected.get("connected")
        return "frame" if isinstance(inner, dict) and inner.get(TOKEN_HEADER) == token else None

    def drop(self) -> None:
        """Break the connection, as the death of a process does."""
        self.websocket.scope["transport"].abort()


class Receiver:
    def __init__(self, public_key: str, now_ms: Callable[[], int], secret: str) -> None:
        self.webhooks: list[SeenWebhook] = []
        self.sockets: list[SeenSocket] = []
        self.refused_type = ""
        """The first webhook of this type is answered with 500, and so are its repetitions."""
        self.refused_id = ""
        self.sources: set[IPv4Address | IPv6Address] = set()
        """The sources of signed webhooks and sockets, as the tunnel reports them."""
        self._ignored: set[str] = set()
        self._public_key = public_key
        self._now_ms = now_ms
        self._news = asyncio.Condition()
        self.media_path = f"/media-bridge/prove-{secret}"
        """A secret path, which only Telnyx learns."""
        self.app = Starlette(
            routes=[
                Route("/webhooks/telnyx", self._take_webhook, methods=["POST"]),
                WebSocketRoute(f"{self.media_path}/{{number:int}}", self._take_socket),
            ]
        )

    async def wait_for(self, find: Callable[[], T | None], seconds: float) -> T | None:
        """Wait until `find` returns something, and return that. Return None after the timeout."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(lambda: find() is not None)
        return find()

    def ignore(self, call_id: str) -> None:
        """Forget another call, by any of its ids, and what it will send."""
        self._ignored.add(call_id)
        self.webhooks = [each for each in self.webhooks if not self._is_ignored(each.payload)]

    def forget_calls(self) -> None:
        """Forget all webhooks so far, and what those calls will still send."""
        for each in list(self.webhooks):
            self.ignore(str(each.payload.get("call_control_id")))

    def of_type(self, event_type: str) -> list[SeenWebhook]:
        """Return the events of that type. Each is listed once, however often it was delivered."""
        events: dict[str, SeenWebhook] = {}
        for each in self.webhooks:
            if each.event_type == event_type:
                events.setdefault(each.occurred_at, each)
        return list(events.values())

    def _is_ignored(self, payload: Frame) -> bool:
        return bool(self._ignored & {payload.get("call_control_id"), payload.get("call_leg_id")})

    async def _take_webhook(self, request: Request) -> Response:
        body = await request.body()
        try:
            verify(self._public_key, request.headers, body, self._now_ms())
        except InvalidSignature:
            return Response(status_code=401)
        self.sources |= source_of(request)
        data = json.loads(body)["data"]
        seen = SeenWebhook(
            asyncio.get_running_loop().time(),
            str(data.get("id")),
            str(data.get("event_type")),
            str(data.get("occurred_at")),
            data.get("payload") or {},
        )
        if self._is_ignored(seen.payload):
            return Response(status_code=200)
        if seen.event_type == self.refused_type and not self.refused_id:
            self.refused_id = seen.event_id
        await self._add(lambda: self.webhooks.append(seen))
        return Response(status_code=500 if seen.event_id == self.refused_id else 200)

    async def _take_socket(self, websocket: WebSocket) -> None:
        await websocket.accept()
        self.sources |= source_of(websocket)
        now = asyncio.get_running_loop().time
        seen = SeenSocket(websocket.path_params["number"], websocket, now())
        await self._add(lambda: self.sockets.append(seen))
        code = ABNORMAL_CLOSURE
        try:
            while True:
                frame = json.loads(await websocket.receive_text())
                if frame.get("event") == "media":
                    if len(seen.media) < MAX_KEPT_FRAMES:
                        seen.media.append((now(), frame))
                else:
                    await self._add(lambda frame=frame: seen.frames.append(frame))  # type: ignore[misc]
        except WebSocketDisconnect as closed:
            code = closed.code
        except (RuntimeError, ValueError):
            pass  # closed by us, or no JSON
        finally:
            seen.close_code = code
            await self._add(lambda: None)

    async def _add(self, change: Callable[[], object]) -> None:
        async with self._news:
            change()
            self._news.notify_all()


def source_of(connection: HTTPConnection) -> set[IPv4Address | IPv6Address]:
    """The last address of the chain is the one that the tunnel itself has seen."""
    forwarded = connection.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    peer = connection.client.host if connection.client else ""
    try:
        return {ip_address(forwarded or peer)}
    except ValueError:
        return set()


class _Protocol(WebSocketsSansIOProtocol):
    async def run_asgi(self) -> None:
        self.scope["transport"] = self.transport  # type: ignore[typeddict-unknown-key]
        await super().run_asgi()


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Any:
        yield  # Ctrl-C ends the program


@asynccontextmanager
async def serve(receiver: Receiver, port: int) -> AsyncIterator[int]:
    """Serve on this machine until the context ends. Yields the port."""
    config = uvicorn.Config(receiver.app, ws=_Protocol, log_level="error", lifespan="off")
    server = _Server(config)
    with socket.create_server(("127.0.0.1", port)) as listener:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve([listener]))
            try:
                yield listener.getsockname()[1]
            finally:
                server.should_exit = True
                server.force_exit = True
