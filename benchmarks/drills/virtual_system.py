"""Phonebridge as a whole in virtual time: the handlers of the Lambdas and media containers as they
are, between a carrier, a model and a table that a drill can disturb.

What is replaced is what would reach the operating system: the clients of the table and of HTTP, the
clocks, and picows' own sockets.
"""

import asyncio
import logging
import os
import random
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

import msgspec
import urllib3
from picows import ws_create_server

import ai_calls
import sweep_calls
import telnyx_webhook
from benchmarks.drills.carrier import Callee, DrillCarrier
from benchmarks.drills.container_process import MEDIA_PORT, ContainerProcess, Ports
from benchmarks.drills.drill_model import DrillModel
from benchmarks.drills.lockstep_loop import LockstepLoop
from benchmarks.drills.mechanism import replaced
from benchmarks.drills.phone_leg import PhoneLeg
from benchmarks.drills.store_fault import CALLS, HEARTBEATS, FaultyClient, Outage
from benchmarks.drills.system import Leg
from benchmarks.drills.table_in_memory import TableInMemory
from control_plane import services
from media_bridge import __main__ as container
from media_bridge.runtime import server, worker
from media_bridge.runtime.fleet_watch import FleetWatch
from media_bridge.runtime.heartbeat import Heartbeat
from phonebridge.call.call import Call
from phonebridge.storage.call_store import DynamoCallStore
from phonebridge.telnyx.client import TelnyxClient

BEGINNING_MS = 1_795_000_000_000
SWEEP_SECONDS = 60.0
TABLE = "calls"
LOOK_SECONDS = 0.1
SEED = 13

ENVIRONMENT = {
    "CALLS_TABLE": TABLE,
    "BASE_PUBLIC_URL": "https://phonebridge.example",
    "MEDIA_PUBLIC_URL": f"ws://media.example:{MEDIA_PORT}",
    "TELNYX_API_BASE": "https://telnyx.example/v2",
    "TELNYX_API_KEY": "KEY-drill",
    "TELNYX_CONNECTION_ID": "connection-1",
    "TELNYX_FROM_NUMBER": "+15550100",
    "STREAM_TOKEN_SECRET": "drill",
    "ALLOWED_DESTINATIONS": "+1555",
    "OPENAI_API_KEY": "sk-drill",
    "OPENAI_REALTIME_URL": "ws://model.example/v1/realtime",
    "MODEL_AUDIO": "g711",
}


class LockstepHeartbeat(Heartbeat):
    """Its thread is a job of the loop."""

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, LockstepLoop), "drills run on this loop alone"
        self._is_awaited = _LockstepEvent(loop)
        self._thread = _LockstepThread(loop, self._run)


class _LockstepEvent(threading.Event):
    def __init__(self, loop: LockstepLoop) -> None:
        super().__init__()
        self._loop = loop

    def wait(self, timeout: float | None = None) -> bool:
        self._loop.sleep(timeout or 0.0)
        return self.is_set()


class _LockstepThread(threading.Thread):
    """It runs as a job at once, and is never started as a thread."""

    def __init__(self, loop: LockstepLoop, target: Callable[[], None]) -> None:
        super().__init__()
        self._loop = loop
        self._job = loop.run_job(target)

    def join(self, timeout: float | None = None) -> None:
        while not self._job.done():
            self._loop.sleep(LOOK_SECONDS)


@dataclass(slots=True)
class VirtualSystem:
    loop: LockstepLoop
    carrier: DrillCarrier
    model: DrillModel
    table: TableInMemory
    records: DynamoCallStore
    """The table as it is, whatever its clients see."""
    containers: Sequence[ContainerProcess]
    _api: asyncio.Lock = field(default_factory=asyncio.Lock)

    def time(self) -> float:
        return self.loop.time()

    def expect(self, number: str, answers_after_seconds: float | None) -> None:
        self.carrier.callees[number] = Callee(answers_after_seconds)

    def legs_to(self, number: str) -> Sequence[PhoneLeg]:
        return self.carrier.legs_to(number)

    def pick_up(self, leg: Leg) -> None:
        assert isinstance(leg, PhoneLeg), "a leg of this system"
        self.carrier.pick_up(leg)

    def hang_up(self, leg: Leg) -> None:
        assert isinstance(leg, PhoneLeg), "a leg of this system"
        self.carrier.hang_up(leg)

    def let_agent(self, number: str, tool: str, arguments: dict[str, str]) -> None:
        for session in self.model.sessions_of(number):
            session.call_tool(tool, arguments)

    def model_was_told(self, number: str, text: str) -> bool:
        sessions = self.model.sessions_of(number)
        return any(text in str(event) for session in sessions for event in session.received)

    def record(self, call_id: str) -> Call | None:
        return self.records.load(call_id)

    @property
    def has_lost_container(self) -> bool:
        return any(process.is_dead for process in self.containers)

    async def ask(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """A request to the HTTP API: status and body."""
        event = _api_event(method, path, body, headers)
        async with self._api:  # which a Lambda has for itself
            answer = await self.loop.run_job(partial(ai_calls.handler, event, _Context()))
        return answer["statusCode"], msgspec.json.decode(answer.get("body") or b"{}")

    async def sweep_every_minute(self, first: float) -> None:
        """Start the sweep as EventBridge does, whether or not the last one has finished."""
        for number in range(1_000_000):
            await asyncio.sleep(max(0.0, first + number * SWEEP_SECONDS - self.loop.time()))
            sweep = self.loop.run_job(partial(sweep_calls.handler, {}, None))
            sweep.add_done_callback(_forget)


def _forget(sweep: "asyncio.Future[dict[str, int]]") -> None:
    """A sweep that could not read the table ends with an error; the next one comes in a minute."""
    if not sweep.cancelled():
        sweep.exception()


@asynccontextmanager
async def virtual_system(
    loop: LockstepLoop,
    model: DrillModel,
    outage: Outage,
    containers: Sequence[ContainerProcess] = (),
) -> AsyncIterator[VirtualSystem]:
    """Run the system, with one container unless others are given."""
    try:
        async with AsyncExitStack() as stack:
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            carrier = DrillCarrier(loop, tasks, telnyx_webhook.handler, lambda: _now_ms(loop))
            table = TableInMemory(loop.time, lambda: None)
            stack.enter_context(_replaced_parts(loop, table, outage, carrier))
            model.serve(tasks)
            processes = await stack.enter_async_context(asyncio.TaskGroup())
            client = partial(FaultyClient, loop, table, outage)
            ports = Ports(partial(client, CALLS), partial(client, HEARTBEATS), carrier)
            containers = containers or (ContainerProcess(),)
            for process in containers:
                process.start(processes, ports)
            raw: Any = table
            records = DynamoCallStore(TABLE, raw, lambda: _now_ms(loop))
            yield VirtualSystem(loop, carrier, model, table, records, containers)
            raise _Over
    except* _Over:
        pass


class _Over(Exception):
    """Ends the background tasks of a drill that is over."""


def _now_ms(loop: LockstepLoop) -> int:
    return BEGINNING_MS + round(loop.time() * 1000)


@contextmanager
def _replaced_parts(
    loop: LockstepLoop, table: TableInMemory, outage: Outage, carrier: DrillCarrier
) -> Iterator[None]:
    environment = ENVIRONMENT | {"TELNYX_PUBLIC_KEY": carrier.public_key}
    with ExitStack() as stack:
        stack.enter_context(environ(environment))
        stack.enter_context(_quiet_logs())
        stack.enter_context(_repeatable_chance())
        for (owner, name), part in _parts(loop, table, outage, carrier).items():
            stack.enter_context(replaced(owner, name, part))
        services.control_plane.cache_clear()
        stack.callback(services.control_plane.cache_clear)
        yield


def _parts(
    loop: LockstepLoop, table: TableInMemory, outage: Outage, carrier: DrillCarrier
) -> dict[tuple[Any, str], Any]:
    telnyx, now_ms = partial(TelnyxClient, sleep=loop.sleep), partial(_now_ms, loop)
    return {
        (services, "dynamodb_client"): lambda: FaultyClient(loop, table, outage, CALLS),
        (services, "TelnyxClient"): telnyx,
        (services, "now_ms"): now_ms,
        (services, "sleep"): loop.sleep,
        (worker, "Heartbeat"): LockstepHeartbeat,
        (worker, "FleetWatch"): partial(FleetWatch, now=loop.time),
        (container, "TelnyxClient"): telnyx,
        (container, "now_ms"): now_ms,
        (server, "ws_create_server"): _create_server,
        (urllib3, "PoolManager"): partial(_Pool, carrier),
    }


async def _create_server(*args: Any, **options: Any) -> Any:
    """Serve without pings. picows decides by the clock of the machine whether a socket is idle, so
    each run would take another course. In virtual time no socket is idle."""
    quiet: dict[str, Any] = options | {"use_aiofastnet": False, "enable_auto_ping": False}
    return await ws_create_server(*args, **quiet)


@contextmanager
def environ(variables: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _repeatable_chance() -> Iterator[None]:
    """Ids and pauses are the same in each run."""
    random.seed(SEED)
    luck = Random(SEED)
    with replaced(uuid, "uuid4", lambda: uuid.UUID(int=luck.getrandbits(128), version=4)):
        yield


@contextmanager
def _quiet_logs() -> Iterator[None]:
    """A drill provokes thousands of lines."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


class _Pool:
    """Replaces `urllib3.PoolManager`."""

    def __init__(self, carrier: DrillCarrier, **_: Any) -> None:
        self.request = carrier.request


class _Context:
    """The context object of a Lambda."""

    function_name = "drill"
    memory_limit_in_mb = 256
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:drill"
    aws_request_id = "request-1"


def _api_event(method: str, path: str, body: object, headers: dict[str, str]) -> dict[str, Any]:
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": f"{method} {path}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json"}
        | {name.replace("_", "-"): value for name, value in headers.items()},
        "requestContext": {"http": {"method": method, "path": path}, "stage": "$default"},
        "isBase64Encoded": False,
    }
    if body is not None:
        event["body"] = msgspec.json.encode(body).decode()
    return event
