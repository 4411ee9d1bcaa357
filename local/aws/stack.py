"""The whole system on this machine.

Gateway and handlers run in this process. DynamoDB and the media container have a process each. A
simulator replaces each provider that is not configured.
"""

import asyncio
import importlib
import logging
import os
import random
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from starlette.routing import Route

from aws.console_routes import console_routes, status_of
from aws.container_watch import ContainerWatch
from aws.gateway import INTEGRATION_SECONDS, create_app
from aws.processes import Container, media_containers, process
from aws.ring_route import ring_route
from aws.saved_state import kept_secret, load, save
from aws.state import create_state
from simulators.openai.server import OpenAISimulator
from simulators.scenario import Scenario
from simulators.telnyx.account import CONNECTION_ID
from simulators.telnyx.behaviour import MAX_CALL_MS, Person
from simulators.telnyx.server import CarrierSimulatorEvent, TelnyxSimulator, never_wait

TABLE = "phonebridge-local"
CONTAINER = ("-m", "media_bridge")
POLL_SECONDS = 0.1
KEEP_ALIVE_SECONDS = 60
"""Longer than clients keep an idle connection (httpx 5 s). With uvicorn's default of 5 s, a request
could meet a connection that the server is closing."""

_AWS_LOCAL = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": "us-east-1",
}
_OURS = {
    "TELNYX_FROM_NUMBER": "+15550100",
    "TELNYX_API_KEY": "KEY-local",
    "OPENAI_API_KEY": "sk-local",
    "OPENBLAS_NUM_THREADS": "1",  # frames are small, so a second thread only costs time
    "POWERTOOLS_SERVICE_NAME": "phonebridge",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What to start. `log` is the file for the container's log; None shows it on this terminal."""

    port: int
    scenario: Scenario
    hangs_up: bool
    silence_timeout_ms: int
    log: Path | None = None
    lingers_ms: int = 0
    repeats_after_ms: int | None = None
    """A simulated person who hears nothing for so long says the last line again."""
    max_call_ms: int = MAX_CALL_MS
    """The longest call of a simulated person, who then hangs up."""
    keeps_sound: bool = False
    """Whether the simulated phones keep what both sides say."""
    state: Path | None = None
    """The folder that keeps agents, numbers and records between runs."""
    integration_seconds: float = INTEGRATION_SECONDS
    """Timeout of a handler at the gateway."""
    people: Mapping[str, Person] = field(default_factory=dict)
    """The person who answers a number. The default person answers all others."""
    containers: int = 1
    """How many media containers run. With several of them, people never wait for a busy one."""
    container: tuple[str, ...] = CONTAINER
    """The Python program that is the media container."""


@dataclass(frozen=True, slots=True)
class LocalStack:
    """The running system. A configured provider has no simulator."""

    url: str
    telnyx: TelnyxSimulator | None
    openai: OpenAISimulator | None
    environ: Mapping[str, str]
    containers: tuple[Container, ...] = ()


Show = Callable[[str, str, str], None]
"""Called with side, event and detail."""


@asynccontextmanager
async def running(plan: Plan, given: Mapping[str, str], show: Show) -> AsyncIterator[LocalStack]:
    """Run the system. `given` is the environment that decides which providers are real. It
    overrides every default."""
    url = f"http://127.0.0.1:{plan.port}"
    media_ports = [free_port() for _ in range(plan.containers)]
    watch = ContainerWatch(media_ports[0])
    with _listening(plan.port) as listener, _log_file(plan.log) as log:
        async with (
            _openai(plan, given, show) as openai,
            _telnyx(plan, given, show, url, watch, openai) as telnyx,
            table_process() as database,
        ):
            state = await asyncio.to_thread(create_state, database)
            own = {"STREAM_TOKEN_SECRET": kept_secret(plan.state)}
            environ = _environment(own | dict(given), url, state, openai, telnyx)
            routes = _local_routes(given, openai, telnyx)
            async with (
                _saved_state(plan.state, database),
                media_containers(plan.container, environ, media_ports, log) as containers,
                _watching(watch),
                _gateway(plan, environ, listener, media_ports, routes),
            ):
                yield LocalStack(url, telnyx, openai, environ, tuple(containers))


def _environment(
    given: Mapping[str, str],
    url: str,
    state: Mapping[str, str],
    openai: OpenAISimulator | None,
    telnyx: TelnyxSimulator | None,
) -> dict[str, str]:
    """Build the environment of the processes. `state` has the settings for the table, the queues
    and the bucket."""
    defaults = {
        **_AWS_LOCAL,
        **_OURS,
        **state,
        "CALLS_TABLE": TABLE,
        "BASE_PUBLIC_URL": url,
        "TELNYX_CONNECTION_ID": CONNECTION_ID,
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
    plan: Plan,
    given: Mapping[str, str],
    show: Show,
    url: str,
    watch: ContainerWatch,
    openai: OpenAISimulator | None,
) -> AsyncIterator[TelnyxSimulator | None]:
    def on_event(event: CarrierSimulatorEvent) -> None:
        show("phone", event.name, event.detail)
        if openai and event.name == "call":
            openai.expect_call(event.detail.rpartition(" ")[2])

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
            repeats_after_ms=plan.repeats_after_ms,
        ),
        people=plan.people,
        webhook_url=f"{url}/webhooks/telnyx",
        wait_for_agent=watch.wait if plan.containers == 1 else never_wait,
        keeps_sound=plan.keeps_sound,
        on_event=on_event,
    )
    async with simulator:
        yield simulator


@asynccontextmanager
async def table_process() -> AsyncIterator[str]:
    """Run the local DynamoDB and yield its address."""
    async with process("dynamodb.py", "--table", TABLE) as database:
        assert database.stdout is not None
        address = (await database.stdout.readline()).decode().strip()
        if not address:
            raise SystemExit("the local DynamoDB did not start; see its message above")
        yield address


@asynccontextmanager
async def _saved_state(folder: Path | None, database: str) -> AsyncIterator[None]:
    """Load the state from the folder, and save it there when the context ends."""
    if folder is None:
        yield
        return
    await asyncio.to_thread(load, database, TABLE, folder)
    try:
        yield
    finally:
        await asyncio.to_thread(save, database, TABLE, folder)


@asynccontextmanager
async def _watching(watch: ContainerWatch) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watch.watch())
        try:
            yield
        finally:
            watching.cancel()


def _local_routes(
    given: Mapping[str, str], openai: OpenAISimulator | None, telnyx: TelnyxSimulator | None
) -> list[Route]:
    """Return the routes that a deployment does not have."""
    status = status_of(
        given, simulates_model=openai is not None, simulates_phone=telnyx is not None
    )
    return [ring_route(telnyx), *console_routes(status, given)]


@asynccontextmanager
async def _gateway(
    plan: Plan,
    environ: Mapping[str, str],
    listener: socket.socket,
    media_ports: Sequence[int],
    local_routes: Sequence[Route],
) -> AsyncIterator[None]:
    os.environ.update(environ)  # the handlers read it, as they do on AWS
    app = create_app(
        [f"ws://127.0.0.1:{port}" for port in media_ports],
        integration_seconds=plan.integration_seconds,
        local_routes=local_routes,
    )
    config = uvicorn.Config(app, log_level="warning", timeout_keep_alive=KEEP_ALIVE_SECONDS)
    async with _serving(_Server(config), listener):
        yield


@asynccontextmanager
async def _serving(server: uvicorn.Server, listener: socket.socket) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(server.serve([listener]))
        try:
            while not server.started:
                if serving.done():
                    raise SystemExit("the gateway did not start; see its message above")
                await asyncio.sleep(POLL_SECONDS)
            yield
        finally:
            server.should_exit = True


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # signals are left to the program


def free_port() -> int:
    """Return a free port below the range that Linux gives to clients (from 32768 on). So no other
    program gets it before we listen on it."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    """Bind the port before anything starts, so that nothing starts if it is in use."""
    try:
        listener = socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise SystemExit(f"port {port} of 127.0.0.1 is not available. Is it in use?") from error
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
    """Let the handlers log to a file. They run in this process and would log to its terminal."""
    importlib.import_module("control_plane.services")
    for handler in logging.getLogger("control-plane").handlers:
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(path.open("a"))
