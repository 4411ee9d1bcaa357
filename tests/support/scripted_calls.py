"""A server for the console whose side of each browser call a test plays itself."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from aws.stack import free_port
from simulators.audio import g711
from simulators.audio.speech import Samples
from tests.support.waiting import until

CONSOLE = Path(__file__).resolve().parents[2] / "console"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FRAME_BYTES = 160
RATE_HZ = 8000

Frame = dict[str, Any]


@dataclass(slots=True)
class MediaSocket:
    """One socket of a call, as the server sees it."""

    socket: WebSocket
    received: list[Frame] = field(default_factory=list)
    is_closed: bool = False

    def frames(self, event: str) -> list[Frame]:
        return [frame[event] for frame in self.received if frame["event"] == event]

    async def frame(self, event: str, number: int = 1) -> Frame:
        """Wait for a frame and return its content."""
        await until(lambda: len(self.frames(event)) >= number or self.is_closed)
        return self.frames(event)[number - 1]

    async def send(self, event: str, content: Frame | None = None) -> None:
        frame = {"event": event} | ({event: content} if content is not None else {})
        await self.socket.send_text(json.dumps(frame))

    async def play(self, samples: Samples) -> None:
        """Send sound as PCMU in frames of 20 ms, all at once."""
        await self.play_bytes(g711.MU_LAW.encode(samples), FRAME_BYTES)

    async def play_bytes(self, sound: bytes, frame_bytes: int) -> None:
        for begin in range(0, len(sound), frame_bytes):
            payload = base64.b64encode(sound[begin : begin + frame_bytes]).decode()
            await self.send("media", {"payload": payload})

    async def show(self, speaker: str, item_id: str, text: str, **more: Any) -> None:
        words = {"speaker": speaker, "item_id": item_id, "text": text}
        await self.send("transcript", words | {"is_final": False, "unheard": ""} | more)

    async def close(self, code: int, reason: str = "") -> None:
        await self.socket.close(code, reason)

    def caller_bytes(self) -> bytes:
        return b"".join(base64.b64decode(each["payload"]) for each in self.frames("media"))

    def caller_audio(self) -> Samples:
        return g711.MU_LAW.decode(self.caller_bytes())


@dataclass(slots=True)
class ScriptedServer:
    """Answers as the API does. `refusals` are the answers of the next requests for calls."""

    host: str
    created: list[Frame] = field(default_factory=list)
    renewed: list[str] = field(default_factory=list)
    sockets: list[MediaSocket] = field(default_factory=list)
    refusals: list[tuple[int, Frame]] = field(default_factory=list)
    record: Frame = field(default_factory=dict)
    agents: dict[str, Frame] = field(default_factory=dict)
    key: str | None = None
    status: Frame | None = None
    is_over: bool = False
    """Whether the call counts as ended when the page asks for another token."""
    stop: Callable[[], None] = lambda: None

    @property
    def port(self) -> int:
        return int(self.host.partition(":")[2])

    @property
    def url(self) -> str:
        return f"http://{self.host}/"

    async def socket(self, number: int = 1) -> MediaSocket:
        """Wait until the page has opened a socket and announced its stream."""
        await until(lambda: len(self.sockets) >= number)
        socket = self.sockets[number - 1]
        await socket.frame("start")
        return socket

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/", self._page),
                Route("/console/status", self._status),
                Mount("/console", StaticFiles(directory=CONSOLE)),
                Route("/api/agents", self._agents),
                Route("/api/agents/{name}", self._agent),
                Route("/api/numbers", lambda request: JSONResponse({"numbers": []})),
                Route("/api/browser-calls", self._create, methods=["POST"]),
                Route("/api/browser-calls/{call_id}/media", self._renew, methods=["POST"]),
                Route("/api/ai-calls/{call_id}", self._record),
                WebSocketRoute("/media-bridge/{call_id}/{stream}", self._media),
            ]
        )

    async def _page(self, request: Request) -> Response:
        text = (CONSOLE / "index.html").read_text()
        headers = {"Content-Security-Policy": POLICY}
        return Response(text, media_type="text/html", headers=headers)

    async def _status(self, request: Request) -> Response:
        if self.status is None:
            return JSONResponse({"message": "Not Found"}, 404)
        return JSONResponse(self.status)

    async def _agents(self, request: Request) -> Response:
        if self._is_refused(request):
            return JSONResponse({"message": "Unauthorized"}, 401)
        return JSONResponse({"agents": [{"name": name} for name in self.agents], "cursor": None})

    async def _agent(self, request: Request) -> Response:
        return JSONResponse(self.agents[request.path_params["name"]])

    def _is_refused(self, request: Request) -> bool:
        return bool(self.key) and request.headers.get("authorization") != f"Bearer {self.key}"

    async def _create(self, request: Request) -> Response:
        if self._is_refused(request):
            return JSONResponse({"message": "Unauthorized"}, 401)
        self.created.append(await request.json())
        if self.refusals:
            status, answer = self.refusals.pop(0)
            return JSONResponse(answer, status)
        return JSONResponse(self._ticket("call-1", 1), 201)

    async def _renew(self, request: Request) -> Response:
        call_id = request.path_params["call_id"]
        self.renewed.append(call_id)
        if self.is_over:
            answer = {"error": {"code": "wrong_state", "message": "The call has ended."}}
            return JSONResponse(answer, 409)
        return JSONResponse(self._ticket(call_id, 1 + len(self.renewed)), 201)

    def _ticket(self, call_id: str, stream: int) -> Frame:
        return {
            "call_id": call_id,
            "media_url": f"ws://{self.host}/media-bridge/{call_id}/{stream}",
            "media_token": f"token-{stream}",
            "expires_at": "2026-11-30T12:00:00Z",
        }

    async def _record(self, request: Request) -> Response:
        return JSONResponse({"call_id": request.path_params["call_id"]} | self.record)

    async def _media(self, websocket: WebSocket) -> None:
        await websocket.accept()
        socket = MediaSocket(websocket)
        self.sockets.append(socket)
        try:
            while True:
                socket.received.append(_with_content(json.loads(await websocket.receive_text())))
        except WebSocketDisconnect:
            socket.is_closed = True


def _with_content(frame: Frame) -> Frame:
    """Give the frames without a content of their own one, so that all are read alike."""
    return frame if frame["event"] in frame else frame | {frame["event"]: frame}


def ended_record(**changes: Any) -> Frame:
    return {
        "status": "ended",
        "outcome": "completed",
        "reason": "caller_hung_up",
        "duration_seconds": 12.4,
        "fault": None,
        "turns": [],
        "activity": {"interruptions": 1, "turn_latency_ms": 420},
        "cost": {
            "currency": "USD",
            "model": 0.0101,
            "transcription": 0.0002,
            "carrier": None,
            "total": 0.0103,
            "prices_as_of": "2026-11-23",
            "notes": [],
        },
    } | changes


def jsonable(value: Any) -> Frame:
    """Return a dataclass as a page reads it."""
    found: Frame = json.loads(json.dumps(asdict(value)))
    return found


def tone(seconds: float, hertz: float = 440.0) -> Samples:
    times = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return np.round(8000 * np.sin(2 * np.pi * hertz * times)).astype(np.int16)


@asynccontextmanager
async def scripted_server(port: int | None = None) -> AsyncIterator[ScriptedServer]:
    port = port or free_port()
    server = ScriptedServer(f"127.0.0.1:{port}", record=ended_record())
    config = uvicorn.Config(server.app(), port=port, log_level="warning", lifespan="off")
    serving = _Server(config)
    server.stop = serving.stop
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serving.serve())
        await until(lambda: serving.started)
        try:
            yield server
        finally:
            serving.stop()


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # signals are left to pytest

    def stop(self) -> None:
        """Close all connections at once."""
        self.should_exit = self.force_exit = True
