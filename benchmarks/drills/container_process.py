"""A media container in virtual time, as a process that can die at any of its requests.

All its requests to the table, to the carrier and to the model are counted. A container that dies at
one of them sends nothing more: its sockets break, and what it had in memory is gone. Heartbeats and
the polls of the mailbox are not counted, because they do nothing for a call.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
import urllib3
from picows import ws_connect

from benchmarks.drills.carrier import DrillCarrier
from benchmarks.drills.lockstep_loop import CutConnection, Listener
from benchmarks.drills.mechanism import replaced
from benchmarks.drills.store_fault import FaultyClient
from media_bridge import __main__ as container
from media_bridge.openai.client import OpenAIRealtime
from media_bridge.runtime.server import run_server
from media_bridge.runtime.websocket import WebSocket
from media_bridge.runtime.worker import MediaWorker
from phonebridge.call.config import CallConfig
from phonebridge.settings import MediaSettings

MEDIA_PORT = 8080
RESTART_SECONDS = 5.0
NOT_REQUESTS = ("exceptions", "meta", "close", "is_known_empty")


class Died(BaseException):
    """The container is dead: no `except Exception` of it runs."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What a container reaches the outside world by."""

    calls: Callable[[], FaultyClient]
    heartbeats: Callable[[], FaultyClient]
    carrier: DrillCarrier


@dataclass(slots=True, eq=False)
class ContainerProcess:
    dies_at: int | None = None
    """The number of the request that is never sent."""
    heir_of: "ContainerProcess | None" = None
    """It is started `RESTART_SECONDS` after the death of this one, and at once without one."""
    requests: list[str] = field(default_factory=list)
    is_dead: bool = False
    died: asyncio.Event = field(default_factory=asyncio.Event)
    _is_stopped: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None
    _listener: Listener | None = None
    _model_lines: list[CutConnection] = field(default_factory=list)

    def start(self, tasks: asyncio.TaskGroup, ports: Ports) -> None:
        self._task = tasks.create_task(self._live(ports))

    def drain(self) -> None:
        """Do what the process does at SIGTERM."""
        self._is_stopped.set()

    def request(self, name: str) -> None:
        """Count a request. Raises `Died` if it is not sent."""
        self.stay_alive()
        self.requests.append(name)
        if len(self.requests) == self.dies_at:
            self._die()
            raise Died(name)

    def stay_alive(self) -> None:
        if self.is_dead:
            raise Died

    def add_model_line(self, line: CutConnection) -> None:
        self._model_lines.append(line)

    async def _live(self, ports: Ports) -> None:
        if self.heir_of:
            await self.heir_of.died.wait()
            await asyncio.sleep(RESTART_SECONDS)
        try:
            worker = self._build(ports)
            async with worker.running(), run_server(worker, "0.0.0.0", MEDIA_PORT) as server:
                assert isinstance(server, Listener), "drills run on their own loop"
                self._listener = server
                await self._is_stopped.wait()
                await worker.drain(worker.drain_times.calls_seconds)
        except BaseException:
            if not self.is_dead:
                raise

    def _build(self, ports: Ports) -> MediaWorker:
        """Build the worker as `python -m media_bridge` does, with clients that may die."""
        parts: dict[tuple[Any, str], Any] = {
            (container, "dynamodb_client"): lambda *_: _Client(
                self, ports.calls(), is_counted=True
            ),
            (container, "heartbeat_client"): lambda: _Client(
                self, ports.heartbeats(), is_counted=False
            ),
            (container, "dynamodb_access"): lambda client: client,
            (container, "MailboxPoll"): _DirectPoll,
            (container, "OpenAIRealtime"): partial(_model, self),
            (urllib3, "PoolManager"): lambda **_: _Pool(self, ports.carrier),
        }
        with ExitStack() as stack:
            for (owner, name), part in parts.items():
                stack.enter_context(replaced(owner, name, part))
            return container.media_worker(MediaSettings.from_env(os.environ), None)

    def _die(self) -> None:
        """The operating system closes the sockets of a dead process. This may run in a job."""
        self.is_dead = True
        assert self._task is not None, "it was started"
        self._task.get_loop().call_soon(self._bury)

    def _bury(self) -> None:
        self.died.set()
        for line in self._model_lines:
            line.cut()
        if self._listener:
            self._listener.cut()
        if self._task:
            self._task.cancel()


class _Client:
    """The container's client of the table."""

    def __init__(self, process: ContainerProcess, client: FaultyClient, is_counted: bool) -> None:
        self._process = process
        self._client = client
        self._is_counted = is_counted

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        return found if name in NOT_REQUESTS else partial(self._ask, name, found)

    def _ask(self, name: str, operation: Callable[..., Any], **request: Any) -> Any:
        if self._is_counted:
            self._process.request(name)
        self._process.stay_alive()
        try:
            return operation(**request)
        finally:
            self._process.stay_alive()


class _Pool:
    """Replaces `urllib3.PoolManager`, by which the container sends commands."""

    def __init__(self, process: ContainerProcess, carrier: DrillCarrier) -> None:
        self._process = process
        self._carrier = carrier

    def request(self, method: str, url: str, **options: Any) -> Any:
        self._process.request(f"{method} {url.rpartition('/')[2]}")
        response = self._carrier.request(method, url, **options)
        self._process.stay_alive()
        return response


class _Model(OpenAIRealtime):
    process: ContainerProcess

    async def connect(self, config: CallConfig, socket: WebSocket) -> None:
        self.process.request("model")
        # aiofastnet would ask the operating system, where picows alone asks the loop.
        transport, _ = await ws_connect(lambda: socket, self.url(config), use_aiofastnet=False)
        line = transport.underlying_transport
        assert isinstance(line, CutConnection), "drills run on their own loop"
        self.process.add_model_line(line)


def _model(process: ContainerProcess, settings: MediaSettings) -> _Model:
    model = _Model(settings)
    object.__setattr__(model, "process", process)  # the class of the product is frozen
    return model


class _DirectPoll:
    """Replaces `MailboxPoll`, which would open a connection to the table."""

    def __init__(self, client: FaultyClient, query: Callable[[], bytes]) -> None:
        self._client = client
        self._query = query

    async def is_empty(self) -> bool:
        return self._client.is_known_empty(msgspec.json.decode(self._query()))

    def close(self) -> None:
        pass

    def renew(self) -> None:
        """Do nothing, because the query names the mailbox."""
