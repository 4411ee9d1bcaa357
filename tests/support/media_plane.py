"""A media container in the test's own process, with the table, a recording Telnyx, a model behind a
socket, and phones."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol

import urllib3
from aws_lambda_powertools import Logger
from botocore.credentials import Credentials
from websockets.asyncio.client import connect

from media_bridge.openai.client import OpenAIRealtime
from media_bridge.runtime.hangups import Hangups
from media_bridge.runtime.mailbox_poll import MailboxPoll
from media_bridge.runtime.mailbox_reader import MailboxReader
from media_bridge.runtime.metrics import WorkerMetrics
from media_bridge.runtime.rescues import Rescues
from media_bridge.runtime.retries import RetryPauses
from media_bridge.runtime.server import TOKEN_HEADER, run_server
from media_bridge.runtime.services import Services
from media_bridge.runtime.speech_cache import SpeechCache
from media_bridge.runtime.threads import Threads
from media_bridge.runtime.tool_runner import ToolRunner
from media_bridge.runtime.turn_writer import TurnWriter
from media_bridge.runtime.worker import DrainTimes, MediaWorker
from phonebridge import stream_token
from phonebridge.call.call import Call, CallStatus, Leg
from phonebridge.call.config import CallConfig
from phonebridge.call.events import CallAnswered, CallEvent, CallRequested, DialAccepted
from phonebridge.http.public_client import PublicHttpsClient
from phonebridge.observability.log import logger
from phonebridge.observability.tracing import Tracer
from phonebridge.settings import AuthHeader, ByteOrder, MediaSettings, ModelAudio, SessionAck
from phonebridge.storage.call_store import CallRecord, DynamoCallStore
from phonebridge.storage.dynamodb import DynamoAccess
from phonebridge.storage.fleet import DynamoFleet
from phonebridge.storage.mailbox import DynamoMailbox
from phonebridge.switchboard import Switchboard
from phonebridge.telnyx.call_control import CallControlConfig
from phonebridge.telnyx.client import TelnyxClient
from simulators.audio.speech import CLIPS
from simulators.openai.faults import NO_FAULTS, ModelFaults
from simulators.openai.server import OpenAISimulator
from simulators.openai.session import SimulatedSession
from simulators.scenario import TOOLS, Scenario
from tests.support.calls import after, outbound_call
from tests.support.clock import Clock
from tests.support.media_phone import Frame, Phone
from tests.support.recorded_telnyx import RecordedTelnyx
from tests.support.waiting import TIMEOUT_SECONDS, until

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SECRET = "stream secret"
CONFIG = CallConfig()

_NUMBERS = count()
UNHURRIED = DrainTimes(calls_seconds=600, goodbye_seconds=600, last_writes_seconds=600)
"""A drain ends when its calls have ended, however slow the machine is."""


def settings(**changes: Any) -> MediaSettings:
    given: dict[str, Any] = {
        "calls_table": "unused",
        "media_public_url": "ws://media.example",
        "stream_token_secret": SECRET,
        "telnyx_api_base": "http://127.0.0.1:9/v2",
        "telnyx_api_key": "KEY-test",
        "telnyx_connection_id": "connection-1",
        "base_public_url": "https://phonebridge.example",
        "openai_api_key": "sk-test",
        "openai_realtime_url": "ws://127.0.0.1:9/v1/realtime",
        "openai_model": "gpt-realtime-2.1-mini",
        "openai_auth_header": AuthHeader.AUTHORIZATION,
        "openai_session_ack": SessionAck.REQUIRED,
        "model_audio": ModelAudio.G711,
        "l16_byte_order": ByteOrder.BIG,
        "max_calls_per_task": 10,
        "max_call_minutes": 55,
        "metrics_namespace": "Phonebridge",
        "outcomes_queue_url": "",
        "outcome_webhook_url": "",
        "tool_signing_secret": "",
        "tool_hosts_allowed": frozenset(),
    }
    return MediaSettings(**given | changes)


@dataclass(kw_only=True)
class Outside:
    """The surroundings of a container at `address`. The table holds the calls and their state."""

    address: str
    store: DynamoCallStore
    telnyx: RecordedTelnyx
    now_ms: Callable[[], int]
    _phones: AsyncExitStack = field(default_factory=AsyncExitStack)
    _legs: int = 0

    def answered(self, config: CallConfig = CONFIG) -> Call:
        """Return a new answered call. Telnyx was just asked to open its first stream."""
        leg = self._new_leg()
        events = (CallRequested(), DialAccepted(leg), CallAnswered(leg, self.now_ms()))
        return self._placed(config, *events)

    def ringing(self, config: CallConfig) -> Call:
        """Return a new ringing call. Telnyx was asked to open its stream in the meantime."""
        events = (CallRequested(with_stream=True), DialAccepted(self._new_leg()))
        return self._placed(config, *events)

    def _new_leg(self) -> Leg:
        self._legs += 1
        return Leg(f"v3:leg-{self._legs}", f"leg-{self._legs}", "session")

    def _placed(self, config: CallConfig, *events: CallEvent) -> Call:
        call_id = f"call-{self._legs}"
        call = after(outbound_call(call_id, created_at_ms=self.now_ms()), *events)
        # The model's session of a call is recognised by its instructions.
        assert self.store.create(call, replace(config, instructions=call_id))
        return call

    def token(self, call: Call) -> str:
        return stream_token.issue(SECRET, call.call_id, call.stream_number, self.now_ms())

    async def dial_in(self, call: Call, token: str | None) -> Phone:
        """Connect a phone. Raises `InvalidStatus` if the upgrade is refused."""
        socket = await connect(
            f"ws://{self.address}/media-bridge/{call.call_id}/{call.stream_number or 1}",
            additional_headers={TOKEN_HEADER: token} if token else {},
            compression=None,
            proxy=None,
            open_timeout=TIMEOUT_SECONDS,
            max_queue=None,  # otherwise a long speech hides the close frame
        )
        phone = Phone(socket, call)
        self._phones.push_async_callback(phone.hang_up)
        return phone

    async def connected(self, call: Call) -> Phone:
        phone = await self.dial_in(call, self.token(call))
        await phone.send({"event": "connected", "version": "1.0.0"})
        return phone

    async def streaming(self, config: CallConfig = CONFIG) -> Phone:
        """Return the phone of a new call whose stream has just started."""
        phone = await self.connected(self.answered(config))
        await phone.start()
        return phone

    async def greeted(self) -> Phone:
        """Return the phone of a new call in which the model has begun to speak."""
        phone = await self.streaming()
        await phone.hear()
        return phone

    def record(self, call: Call) -> CallRecord:
        record = self.store.record(call.call_id)
        assert record is not None
        return record

    async def failed(self, call: Call) -> str:
        """Return why a call failed, once the reason is stored and its leg was hung up."""
        await until(lambda: self.record(call).call.status is CallStatus.ENDED)
        await until(lambda: self.was_hung_up(call))
        fault = self.record(call).call.fault
        assert fault is not None
        return fault.reason

    def was_hung_up(self, call: Call) -> bool:
        assert call.leg is not None
        path = f"/v2/calls/{call.leg.call_control_id}/actions/hangup"
        return path in [command for command, _ in self.telnyx.commands]

    async def all_hang_up(self) -> None:
        await self._phones.aclose()


def _opens(command: Frame, path: str) -> bool:
    return str(command.get("stream_url", "")).endswith(path)


@dataclass(kw_only=True)
class MediaPlane(Outside):
    """The surroundings of a container that runs in the test's own process."""

    task: MediaWorker
    services: Services
    mailbox: DynamoMailbox
    fleet: DynamoFleet
    model: OpenAISimulator

    async def converse(self, phone: Phone) -> None:
        """Check that the model recognises what is said into this phone, and that it answers."""
        session = await self.session(phone.call)
        known = len(session.recognitions)
        await phone.say("caller_opening_hours")
        await until(lambda: len(session.recognitions) > known)
        assert session.recognitions[-1].clip is CLIPS["caller_opening_hours"]
        await phone.hear()

    async def next_stream(self, call: Call) -> Phone:
        """Return the phone of the same call, once its next stream was requested, and the model has
        a new session for it."""
        number, known = call.stream_number + 1, len(self._sessions(call))
        path = f"/media-bridge/{call.call_id}/{number}"
        await until(lambda: any(_opens(body, path) for _, body in self.telnyx.commands))
        phone = await self.connected(replace(call, stream_number=number))
        await phone.start()
        await until(lambda: len(self._sessions(call)) > known)
        await until(lambda: self.task._sessions[call.call_id]._bridge._model.is_ready)
        return phone

    async def session(self, call: Call) -> SimulatedSession:
        """Return the call's latest session."""
        sessions = await until(lambda: self._sessions(call))
        assert sessions
        return sessions[-1]

    def _sessions(self, call: Call) -> list[SimulatedSession]:
        return [each for each in self.model.sessions if _instructions(each) == call.call_id]

    async def idle(self) -> None:
        """Wait until no call is left and everything is stored."""
        await self.all_hang_up()
        await self.task.drain(0)


class StartsPlane(Protocol):
    def __call__(
        self, faults: ModelFaults = NO_FAULTS, **changes: Any
    ) -> AbstractAsyncContextManager[MediaPlane]: ...


def _instructions(session: SimulatedSession) -> object:
    return session.settings.settings.instructions


@dataclass(kw_only=True)
class Providers:
    """What a container in a test uses: the table, and the addresses of the simulated providers."""

    store: DynamoCallStore
    mailbox: DynamoMailbox
    fleet: DynamoFleet
    telnyx: RecordedTelnyx
    clock: Clock
    client: "DynamoDBClient"

    def services(
        self, settings: MediaSettings, log: Logger, rescue_pauses_seconds: Sequence[float]
    ) -> Services:
        clock, slots, pauses = self.clock, settings.max_calls_per_task, RetryPauses(max_seconds=0.5)
        carrier = self._carrier(slots)
        switchboard = Switchboard(self.store, carrier, self.mailbox, clock, log)
        model, turns = OpenAIRealtime(settings), TurnWriter(self.store, log, pauses)
        https = PublicHttpsClient(settings.tool_hosts_allowed)
        return Services(
            settings=settings,
            store=self.store,
            switchboard=switchboard,
            model=model,
            log=log,
            turn_writer=turns,
            now_ms=clock,
            tracer=Tracer("media-bridge", None, log, clock),
            speech_cache=SpeechCache(settings, model, self.client, clock),
            tool_runner=ToolRunner(SECRET, https, log, clock),
            threads=Threads("call", slots),
            metrics=WorkerMetrics(settings.metrics_namespace),
            pauses=pauses,
            hangups=Hangups(carrier, log, pauses, Threads("hangup", slots)),
            rescues=Rescues(self.store, switchboard, turns, log, clock, rescue_pauses_seconds),
        )

    def _carrier(self, slots: int) -> TelnyxClient:
        webhook_url = "https://phonebridge.example/webhooks/telnyx"
        return TelnyxClient(
            self.telnyx.base,
            "KEY-test",
            CallControlConfig("wss://media.example", SECRET, "connection-1", webhook_url),
            now_ms=self.clock,
            timeout=urllib3.Timeout(connect=TIMEOUT_SECONDS, read=TIMEOUT_SECONDS),
            max_connections=2 * slots,
        )

    def worker(self, task_id: str, services: Services, drain_times: DrainTimes) -> MediaWorker:
        endpoint = self.client.meta
        credentials = Credentials("local", "local")
        access = DynamoAccess(endpoint.endpoint_url, endpoint.region_name, credentials)
        poll = MailboxPoll(access, lambda: self.mailbox.count_query(worker.task_id))
        reader = MailboxReader(self.mailbox, poll, services.log)
        worker = MediaWorker(task_id, services, reader, self.fleet, self.fleet, drain_times)
        return worker


@asynccontextmanager
async def media_plane(
    providers: Providers,
    faults: ModelFaults,
    *,
    task_id: str = "task-1",
    scenario: Scenario = TOOLS,
    drain_times: DrainTimes = UNHURRIED,
    hangup_grace_seconds: float = 0.0,
    browser_return_seconds: float = 0.0,
    rescue_pauses_seconds: Sequence[float] = (0.0, *(0.1,) * 600),
    **changes: Any,
) -> AsyncIterator[MediaPlane]:
    async with OpenAISimulator(scenario=scenario, think_ms=0, faults=faults) as model:
        given = {"telnyx_api_base": providers.telnyx.base, "openai_realtime_url": model.url}
        # Loggers outlive a test, and each test reads its own.
        log = logger(f"media-bridge-{next(_NUMBERS)}")
        services = replace(
            providers.services(settings(**given | changes), log, rescue_pauses_seconds),
            hangup_grace_seconds=hangup_grace_seconds,
            browser_return_seconds=browser_return_seconds,
        )
        worker = providers.worker(task_id, services, drain_times)
        async with worker.running(), run_server(worker, "127.0.0.1", 0) as server:
            host, port = server.sockets[0].getsockname()
            plane = MediaPlane(
                address=f"{host}:{port}",
                store=providers.store,
                telnyx=providers.telnyx,
                now_ms=providers.clock,
                task=worker,
                services=services,
                mailbox=providers.mailbox,
                fleet=providers.fleet,
                model=model,
            )
            try:
                yield plane
            finally:
                await plane.idle()
