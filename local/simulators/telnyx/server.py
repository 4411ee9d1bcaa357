"""A simulator of Telnyx: Call Control, signed webhooks, media streams, and the person on the phone.

It works with phonebridge.telnyx.client, the webhook handler and the media container. These numbers
have a fixed behaviour. The default person answers all others:

    +15550101 busy                   +15550111 dial: 422
    +15550102 no answer              +15550112 streaming.failed
    +15550103 rejected               +15550113 media without `start`
    +15550104 dial: 403 D60          +15550114 silence only
    +15550105 an A-law leg           +15550115 stays on the line, silent, until hung up
    +15550106 streaming_start: 422   +15550116 webhooks twice and out of order
    +15550107 dial: 429              +15550117 chunks lost, late and out of order
    +15550108 dial: 500 twice        +15550118 the socket closes without `stop`
    +15550109 answering machine      +15550119 a second socket for the same call
    +15550110 dial: no HTTP answer   +15550120 presses 1 2 #
    +15550121 says nothing and stays on the line
    +15550122 the socket is reset after 4 s; the leg stays
    +15550125 the socket is half-open after 4 s
    +15550126 reset, and `streaming.stopped` is missing
    +15550127 reset, and `streaming.stopped` is late
    +15550128 reset, and `streaming.stopped` comes twice
    +15550129 half-open, and a second `streaming_start` replaces the stream
    +15550131 the stream of the dial fails; that of streaming_start opens
    +15550132 the stream of the dial closes while the phone rings
    +15550134 a leg with HD voice (L16)
"""

import asyncio
import base64
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from types import TracebackType

import httpx
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from simulators.telnyx.account import CONNECTION_ID, Account
from simulators.telnyx.api import CallControlApi
from simulators.telnyx.behaviour import CarrierFaults, Person, behind
from simulators.telnyx.call import SimulatedCall
from simulators.telnyx.reports import CallPlan, ReceivedCommand
from simulators.telnyx.sound import CallSound
from simulators.telnyx.webhooks import DELIVERY_TIMEOUT_S, WebhookSender

LAST_DELIVERIES_S = 2.0
NO_FAULTS = CarrierFaults()


@dataclass(frozen=True, slots=True)
class CarrierSimulatorEvent:
    call_control_id: str
    name: str
    detail: str


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the program that runs the simulator handles signals


async def never_wait() -> bool:
    return False


@dataclass(kw_only=True, eq=False)
class TelnyxSimulator:
    person: Person
    """Answers every number that is not among `people`."""
    people: Mapping[str, Person] = field(default_factory=dict)
    faults: CarrierFaults = NO_FAULTS
    webhook_url: str | None = None
    webhook_failover_url: str | None = None
    signing_key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    host: str = "127.0.0.1"
    port: int = 0
    latency_ms: int = 0
    webhook_delay_ms: int = 0
    account: Account = field(default_factory=Account)
    wait_for_agent: Callable[[], Awaitable[bool]] = never_wait
    """Delays everybody who listens to the agent, and returns whether it did."""
    keeps_sound: bool = False
    on_event: Callable[[CarrierSimulatorEvent], None] = lambda event: None

    def __post_init__(self) -> None:
        self.calls: list[SimulatedCall] = []
        self.dials: list[ReceivedCommand] = []
        self.closing = asyncio.Event()
        self.sender: WebhookSender
        self._socket: socket.socket
        self._server = _Server(
            uvicorn.Config(CallControlApi(self).app, ws="none", lifespan="off", log_config=None)
        )
        self._stack = AsyncExitStack()
        self._tasks: asyncio.TaskGroup
        self._serving: asyncio.Task[None]
        self._calls_running: list[asyncio.Task[None]] = []
        self._deliveries: set[asyncio.Task[None]] = set()

    @property
    def api_base(self) -> str:
        host, port = self._socket.getsockname()
        return f"http://{host}:{port}/v2"

    @property
    def public_key(self) -> str:
        return base64.b64encode(self.signing_key.public_key().public_bytes_raw()).decode()

    async def __aenter__(self) -> "TelnyxSimulator":
        self._socket = self._stack.enter_context(socket.create_server((self.host, self.port)))
        client = httpx.AsyncClient(timeout=DELIVERY_TIMEOUT_S, trust_env=False)
        await self._stack.enter_async_context(client)
        self.sender = WebhookSender(
            client,
            self.signing_key,
            self.webhook_failover_url,
            self.webhook_delay_ms,
            self.faults.undocumented,
        )
        self._tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
        self._serving = self._tasks.create_task(self._server.serve([self._socket]))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.closing.set()
        for call in self._calls_running:
            call.cancel()
        if self._deliveries:
            _, undelivered = await asyncio.wait(self._deliveries, timeout=LAST_DELIVERIES_S)
            for delivery in undelivered:
                delivery.cancel()
        self._server.should_exit = True
        await asyncio.wait({self._serving})
        await self._stack.__aexit__(kind, error, traceback)

    async def ring(self, *, to: str, from_: str, person: Person | None = None) -> SimulatedCall:
        """Let a person call one of our numbers."""
        return self.place(CallPlan("incoming", to, from_, CONNECTION_ID), person)

    def place(self, plan: CallPlan, person: Person | None = None) -> SimulatedCall:
        them = plan.to if plan.direction == "outgoing" else plan.from_
        person, faults = self.behind(them, person)
        sound = CallSound() if self.keeps_sound else None
        call = SimulatedCall(self, plan, person, faults, sound)
        call.webhook_url = plan.webhook_url or self.webhook_url
        self.calls.append(call)
        self.notify(call.call_control_id, "call", f"{plan.direction} {plan.from_} -> {plan.to}")
        call.post_initiated()
        self._calls_running.append(self._tasks.create_task(call.live()))
        return call

    def behind(self, number: str, person: Person | None = None) -> tuple[Person, CarrierFaults]:
        person = person or self.people.get(number, self.person)
        return behind(number, person, self.faults)

    def run(self, delivery: Coroutine[None, None, None]) -> None:
        task = self._tasks.create_task(delivery)
        self._deliveries.add(task)
        task.add_done_callback(self._deliveries.discard)

    def notify(self, call_control_id: str, name: str, detail: str) -> None:
        self.on_event(CarrierSimulatorEvent(call_control_id, name, detail))
