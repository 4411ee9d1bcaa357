"""The whole system on this machine: gateway and handlers in this process, DynamoDB and the media
container each in one of their own, and a simulator for each provider that is not given.
"""

import asyncio
import importlib
import logging
import os
import random
import secrets
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn

from aws.gateway import INTEGRATION_SECONDS, create_app
from aws.ring_route import ring_route
from aws.saved_state import load, save
from aws.state import create_state
from simulators.openai.server import OpenAISimulator
from simulators.scenario import Scenario
from simulators.telnyx.account import CONNECTION_ID
from simulators.telnyx.behaviour import MAX_CALL_MS, Person
from simulators.telnyx.server import TelnyxSimulator

HERE = Path(__file__).resolve().parent
TABLE = "phonebridge-local"
START_SECONDS = 120.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.1
KEEP_ALIVE_SECONDS = 60
"""Longer than clients keep an idle connection (httpx 5 s, as long as uvicorn by default): else a
request may meet the server's goodbye."""

_AWS_LOCAL = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What to start. `log` receives the container's log; None leaves it on this terminal."""

    port: int
    scenario: Scenario
    hangs_up: bool
    silence_timeout_ms: int
    log: Path | None = None
    lingers_ms: int = 0
    max_call_ms: int = MAX_CALL_MS
    """When a simulated person hangs up at the latest."""
    keeps_sound: bool = False
    """Whether the simulated phones keep what both sides say."""
    state: Path | None = None
    """The folder that keeps agents, numbers and records between runs."""
    integration_seconds: float = INTEGRATION_SECONDS
    """How long the gateway waits for a handler."""


@dataclass(frozen=True, slots=True)
class LocalStack:
    """What runs. A provider that was given has no simulator."""

    url: str
    telnyx: TelnyxSimulator | None
    openai: OpenAISimulator | None
    environ: Mapping[str, str]


Show = Callable[[str, str, str], None]
"""Side, event, detail."""


@asynccontextmanager
async def running(plan: Plan, given: Mapping[str, str], show: Show) -> AsyncIterator[LocalStack]:
    """`given` is the environment that decides which provider is real; it wins over every
    default."""
    url = f"http://127.0.0.1:{plan.port}"
    with _listening(plan.port) as listener, _log_file(plan.log) as log:
        async with (
            _openai(plan, given, show) as openai,
            _telnyx(plan, given, show, url) as telnyx,
            _database() as database,
        ):
            state = await asyncio.to_thread(create_state, database)
            environ = _environment(given, url, state, openai, telnyx)
            media_port = free_port()
            async with (
                _saved_state(plan.state, database),
                _media_container(environ, media_port, log),
                _gateway(plan, environ, listener, media_port, telnyx),
            ):
                yield LocalStack(url, telnyx, openai, environ)


def _environment(
    given: Mapping[str, str],
    url: str,
    state: Mapping[str, str],
    openai: OpenAISimulator | None,
    telnyx: TelnyxSimulator | None,
) -> dict[str, str]:
    """`state` are the settings that tell where the table, the queues and the bucket are."""
    defaults = {
        **_AWS_LOCAL,
        **state,
        "CALLS_TABLE": TABLE,
        "BASE_PUBLIC_URL": url,
        "STREAM_TOKEN_SECRET": secrets.token_hex(32),
        "TELNYX_CONNECTION_ID": CONNECTION_ID,
        "TELNYX_FROM_NUMBER": "+15550100",
        "TELNYX_API_KEY": "KEY-local",
        "OPENAI_API_KEY": "sk-local",
        "OPENBLAS_NUM_THREADS": "1",  # frames are small: a second thread only costs
        "POWERTOOLS_SERVICE_NAME": "phonebridge",
    }
    if openai:
        defaults["OPENAI_REALTIME_URL"] = openai.url
    if telnyx:
        defaults |= {"TELNYX_API_BASE": telnyx.api_base, "TELNYX_PUBLIC_KEY": telnyx.public_key}
    return defaults | dict(given)


@asynccontextmanager
async def _openai(
    plan: Plan, given: Mapping[str, str], show: Show
) -> AsyncIterator[OpenAISimulator | None]:
    if given.get("OPENAI_REALTIME_URL") or given.get("OPENAI_API_KEY"):
        yield None
        return
    simulator = OpenAISimulator(
        scenario=plan.scenario, on_event=lambda event: show("model", event.name, event.detail)
    )
    async with simulator:
        yield simulator


@asynccontextmanager
async def _telnyx(
    plan: Plan, given: Mapping[str, str], show: Show, url: str
) -> AsyncIterator[TelnyxSimulator | None]:
    if given.get("TELNYX_API_BASE") or given.get("TELNYX_API_KEY"):
        yield None
        return
    simulator = TelnyxSimulator(
        person=Person(
            plan.scenario,
            hangs_up=plan.hangs_up,
            silence_timeout_ms=plan.silence_timeout_ms,
            lingers_ms=plan.lingers_ms,
            max_call_ms=plan.max_call_ms,
        ),
        webhook_url=f"{url}/webhooks/telnyx",
        keeps_sound=plan.keeps_sound,
        on_event=lambda event: show("phone", event.name, event.detail),
    )
    async with simulator:
        yield simulator


@asynccontextmanager
async def _process(
    *command: str, environ: Mapping[str, str] | None = None, output: int = asyncio.subprocess.PIPE
) -> AsyncIterator[Process]:
    """A Python program of ours, ended with the context."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=HERE, env=environ, stdout=output, start_new_session=True
    )
    try:
        yield process
    finally:
        await _stop(process)


async def _stop(process: Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


@asynccontextmanager
async def _database() -> AsyncIterator[str]:
    """Its address."""
    async with _process("dynamodb.py", "--table", TABLE) as process:
        assert process.stdout is not None
        address = (await process.stdout.readline()).decode().strip()
        if not address:
            raise SystemExit("the local DynamoDB ended at its start: see its message above")
        yield address


@asynccontextmanager
async def _saved_state(folder: Path | None, database: str) -> AsyncIterator[None]:
    if folder is None:
        yield
        return
    await asyncio.to_thread(load, database, TABLE, folder)
    try:
        yield
    finally:
        await asyncio.to_thread(save, database, TABLE, folder)


@asynccontextmanager
async def _media_container(environ: Mapping[str, str], port: int, log: int) -> AsyncIterator[None]:
    # Without a key the API answers 503 and no call gets here; the container wants one all the same.
    environ = {**os.environ, **environ, "OPENAI_API_KEY": environ["OPENAI_API_KEY"] or "none"}
    command = ("-m", "media_bridge", "--host", "127.0.0.1", "--port", str(port))
    async with _process(*command, environ=environ, output=log) as process:
        await _answering(f"http://127.0.0.1:{port}/healthz", process)
        yield


@asynccontextmanager
async def _gateway(
    plan: Plan,
    environ: Mapping[str, str],
    listener: socket.socket,
    media_port: int,
    telnyx: TelnyxSimulator | None,
) -> AsyncIterator[None]:
    os.environ.update(environ)  # the handlers read it, as they do on AWS
    media_url = f"ws://127.0.0.1:{media_port}"
    app = create_app(
        media_url,
        integration_seconds=plan.integration_seconds,
        local_routes=[ring_route(telnyx)],
    )
    config = uvicorn.Config(app, log_level="warning", timeout_keep_alive=KEEP_ALIVE_SECONDS)
    server = _Server(config)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(server.serve([listener]))
        try:
            while not server.started:
                if serving.done():
                    raise SystemExit("the gateway ended at its start: see its message above")
                await asyncio.sleep(POLL_SECONDS)
            yield
        finally:
            server.should_exit = True


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # they belong to the program


async def _answering(url: str, process: Process) -> None:
    async with asyncio.timeout(START_SECONDS), httpx.AsyncClient(trust_env=False) as client:
        while True:
            if process.returncode is not None:
                raise SystemExit("the media container ended at its start: see its message above")
            try:
                (await client.get(url)).raise_for_status()
                return
            except httpx.TransportError:
                await asyncio.sleep(POLL_SECONDS)


def free_port() -> int:
    """Below the ports that Linux gives to clients (from 32768 on): no other program is given this
    port before we listen there."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    """Taken before anything is started: if somebody else has the port, nothing is."""
    try:
        listener = socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise SystemExit(f"port {port} of 127.0.0.1 cannot be had: is it in use?") from error
    with listener:
        yield listener


@contextmanager
def _log_file(path: Path | None) -> Iterator[int]:
    if path is None:
        yield sys.stdout.fileno()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    with path.open("ab") as file:  # the handlers append to it too
        yield file.fileno()


def log_handlers_to(path: Path) -> None:
    """The handlers run in this process, and would log to its terminal."""
    importlib.import_module("control_plane.services")
    for handler in logging.getLogger("control-plane").handlers:
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(path.open("a"))
