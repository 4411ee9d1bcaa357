"""A simulator of the OpenAI Realtime server: `python -m simulators.openai --port 9400`.

It is a real WebSocket server that recognises the audio it receives and answers by a scenario. It
supports conversational voice sessions only (session.type "realtime"), and describes its models at
`/v1/models/{model}`.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from typing import Self
from urllib.parse import parse_qsl, urlsplit

import msgspec
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from simulators.openai.faults import (
    FAULTS_BY_NUMBER,
    NO_FAULTS,
    SESSION_MINUTES,
    ModelFaults,
    SessionEnding,
)
from simulators.openai.requests import Refusal
from simulators.openai.session import Handshake, Manner, ModelSimulatorEvent, SimulatedSession
from simulators.openai.wire import ErrorEvent, ErrorPayload
from simulators.scenario import APPOINTMENT, Scenario

PATH = "/v1/realtime"
MODELS_PATH = "/v1/models/"
PING_INTERVAL_S = 20.0
MAX_FRAME_BYTES = 24 * 1024 * 1024  # larger than 15 MiB, so that such an append can be refused
WRONG_KEY_PREFIX = "sk-wrong"
MODELS = frozenset(
    {
        "gpt-realtime-2.1",
        "gpt-realtime-2.1-mini",
        "gpt-realtime-2",
        "gpt-realtime-1.5",
        "gpt-realtime",
        "gpt-realtime-2025-08-28",
        "gpt-realtime-mini",
        "gpt-realtime-mini-2025-10-06",
        "gpt-realtime-mini-2025-12-15",
    }
)
CREATED_AT_S = 1_756_000_000
UNAUTHORIZED = 3000
UNSUPPORTED = 4000


class OpenAISimulator:
    def __init__(
        self,
        *,
        scenario: Scenario = APPOINTMENT,
        burst: float = 10.0,
        think_ms: int = 300,
        connect_ms: int = 0,
        faults: ModelFaults = NO_FAULTS,
        on_event: Callable[[ModelSimulatorEvent], None] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.sessions: list[SimulatedSession] = []
        self.shutdown_dates: dict[str, str] = {}
        """The announced last day of a model."""
        self._manner = Manner(scenario, burst, think_ms, faults)
        self._report = on_event or (lambda event: None)
        self._connect_ms = connect_ms
        self._upgrades = 0
        self._frozen: list[ServerConnection] = []
        self._host, self._port = host, port
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._welcome,
            self._host,
            self._port,
            process_request=self._begin,
            ping_interval=PING_INTERVAL_S,
            max_size=MAX_FRAME_BYTES,
        )
        self._port = next(iter(self._server.sockets)).getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        for socket in self._frozen:  # they would not notice that the other side is gone
            socket.transport.abort()
        self._server.close()
        await self._server.wait_closed()

    @property
    def faults(self) -> ModelFaults:
        """Faults of the sessions that are opened from now on."""
        return self._manner.faults

    @faults.setter
    def faults(self, faults: ModelFaults) -> None:
        self._manner = replace(self._manner, faults=faults)

    def expect_call(self, number: str) -> None:
        """Let the next session have the faults that belong to this number, if there are any."""
        if faults := FAULTS_BY_NUMBER.get(number):
            session, upgrade = len(self.sessions) + 1, self._upgrades + 2
            self.faults = replace(faults, only_in_session=session, busy_from=upgrade)

    @property
    def url(self) -> str:
        return f"ws://{self._host}:{self._port}{PATH}"

    async def _begin(self, connection: ServerConnection, request: Request) -> Response | None:
        """Simulate the time that name resolution, routing and TLS take. Then answer a question
        about a model, refuse the upgrade for lack of room, or let it continue."""
        await asyncio.sleep(self._connect_ms / 1000)
        if request.path.startswith(MODELS_PATH):
            return self._describe_model(connection, request)
        return self._refuse_if_busy(connection)

    def _refuse_if_busy(self, connection: ServerConnection) -> Response | None:
        self._upgrades += 1
        faults = self.faults
        if not 0 <= self._upgrades - faults.busy_from < faults.busy_upgrades:
            return None
        self._report(ModelSimulatorEvent("", "busy", str(faults.busy_status)))
        return connection.respond(HTTPStatus(faults.busy_status), "No room for a session.\n")

    def _describe_model(self, connection: ServerConnection, request: Request) -> Response:
        """Answer in the shape of OpenAI, "Retrieve model". A refusal has no body here."""
        model = request.path.removeprefix(MODELS_PATH)
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not key or key.startswith(WRONG_KEY_PREFIX):
            return connection.respond(HTTPStatus.UNAUTHORIZED, "")
        if model not in MODELS:
            return connection.respond(HTTPStatus.NOT_FOUND, "")
        described = {
            "id": model,
            "object": "model",
            "created": CREATED_AT_S,
            "owned_by": "system",
            "shutdown_date": self.shutdown_dates.get(model),
        }
        return connection.respond(HTTPStatus.OK, json.dumps(described))

    async def _welcome(self, socket: ServerConnection) -> None:
        """Check key and model after the upgrade. A refusal is always a close, never an HTTP
        status."""
        assert socket.request
        headers = {name.lower(): value for name, value in socket.request.headers.raw_items()}
        query = dict(parse_qsl(urlsplit(socket.request.path).query))
        try:
            model = _admit(headers, query)
        except _ConnectionRefused as no:
            error = ErrorPayload(no.refusal.type, no.refusal.code, no.refusal.message)
            await socket.send(msgspec.json.encode(ErrorEvent(error)).decode())
            await socket.close(no.close_code, ".".join(filter(None, (error.type, error.code))))
            return
        with suppress(ConnectionClosed):
            await self._converse(socket, Handshake(model, headers))

    async def _converse(self, socket: ServerConnection, handshake: Handshake) -> None:
        async with asyncio.TaskGroup() as tasks:
            session = SimulatedSession(self._next_manner(), handshake, self._report, tasks)
            self.sessions.append(session)
            session.open()
            writer = tasks.create_task(self._write(socket, session))
            expiry = asyncio.get_running_loop().call_later(SESSION_MINUTES * 60, session.expire)
            await self._read(socket, session)
            expiry.cancel()
            session.close()
            writer.cancel()
        self._report(ModelSimulatorEvent(session.id, "closed", str(socket.close_code)))

    def _next_manner(self) -> Manner:
        """Spare the session the faults of another one."""
        only = self.faults.only_in_session
        if only is None or only == len(self.sessions) + 1:
            return self._manner
        return replace(self._manner, faults=self.faults.without_endings())

    async def _read(self, socket: ServerConnection, session: SimulatedSession) -> None:
        with suppress(ConnectionClosed):
            async for frame in socket:
                session.receive(frame)
                if self._manner.faults.slow_reader_ms:
                    await asyncio.sleep(self._manner.faults.slow_reader_ms / 1000)

    async def _write(self, socket: ServerConnection, session: SimulatedSession) -> None:
        with suppress(ConnectionClosed):
            while True:
                match await session.outbox.get():
                    case SessionEnding(code=0):
                        self._frozen.append(socket)
                        socket.transport.pause_reading()
                    case SessionEnding(code=None):
                        socket.transport.abort()
                    case SessionEnding(code=int(code), reason=reason):
                        await socket.close(code, reason)
                    case str(frame):
                        await socket.send(frame)


class _ConnectionRefused(Exception):
    def __init__(self, close_code: int, code: str | None, message: str) -> None:
        self.close_code = close_code
        self.refusal = Refusal(code, message)


def _admit(headers: Mapping[str, str], query: Mapping[str, str]) -> str:
    """Check the request and return the requested model."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise _ConnectionRefused(
            UNAUTHORIZED, None, "Missing bearer or basic authentication in header"
        )
    if key.startswith(WRONG_KEY_PREFIX):
        masked = f"{key[:8]}{'*' * 8}{key[-4:]}"
        message = f"Incorrect API key provided: {masked}."
        raise _ConnectionRefused(UNAUTHORIZED, "invalid_api_key", message)
    if "openai-beta" in headers:
        message = "The Realtime Beta API is no longer supported. Please use /v1/realtime for GA."
        raise _ConnectionRefused(UNSUPPORTED, "beta_api_shape_disabled", message)
    model = query.get("model")
    if not model:
        raise _ConnectionRefused(
            UNSUPPORTED, "missing_model", "You must provide a model parameter."
        )
    if model not in MODELS:
        message = f'Model "{model}" is not supported in realtime mode.'
        raise _ConnectionRefused(UNSUPPORTED, "invalid_model", message)
    return model
