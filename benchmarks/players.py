"""Who takes part in a simulated storm (storm.py): API Gateway and Lambda as they bound what runs,
Telnyx with its duplicates, its disorder and its redeliveries, and media containers as far as they
ask the table for something.
"""

import json
import threading
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import control_plane
import telnyx_webhook
from cold_start import EVENTS, signed
from control_plane import ControlPlane
from limits import SLOTS
from media_bridge.task import BEAT_PAUSE_SECONDS, HEARTBEAT_SECONDS, MAILBOX_SECONDS
from phonebridge.billing import ModelUsage, Usage
from phonebridge.call import Activity, Call, Leg
from phonebridge.call_commands import CarrierCommand, Dial, HangUp, StartStreaming
from phonebridge.call_config import CallConfig
from phonebridge.call_events import MediaAttached, MediaReported
from phonebridge.errors import Conflict, TelnyxRefused
from phonebridge.fleet import TaskState
from phonebridge.switchboard import Switchboard
from phonebridge.telnyx.refusals import CALL_ALREADY_ENDED
from phonebridge.turn import Speaker, Turn
from simulators.telnyx_webhooks import DELIVERY_TIMEOUT_S, RETRY_DELAYS_MS
from table_in_memory import TableInMemory
from virtual_time import VirtualTime

T = TypeVar("T")

EPOCH = 1_800_000_000
"""Unix seconds of virtual zero."""
ANSWERS, TELLS, HANGUPS, CALM = 25, 40, 61, 241
"""The seconds in which phones are answered, calls are told something, and hung up; when the
containers stop."""
TWICE = 0.25
"""The share of webhooks that come twice without need."""
HELD_SECONDS = 0.5
"""By which a webhook is late at most: those of one moment come in any order."""
TELNYX_SECONDS = (0.05, 0.15)
"""From a command to its answer."""
MEDIA_SECONDS = 0.15
COLD_SECONDS = 0.4
"""A new Lambda environment: import and init as measured (cold_start.json), and AWS's own part."""
CPU_SECONDS = 0.014
"""4 ms of the benchmark's core (cold_start.json), of which a Lambda of 512 MB has 512/1769."""
WEBHOOKS = (
    "call.initiated",
    "call.answered",
    "streaming.started",
    "streaming.stopped",
    "call.hangup",
    "call.cost",
)
SAMPLES = {name: json.loads((EVENTS / "telnyx" / f"{name}.json").read_text()) for name in WEBHOOKS}
LAST_TURN = Turn(number=1, who=Speaker.AGENT, text="Goodbye!", started_ms=0, ended_ms=900)


@dataclass(slots=True)
class Seen:
    """What the players saw."""

    deliveries: Counter[int] = field(default_factory=Counter)
    """Of webhooks, by second."""
    answers: Counter[int] = field(default_factory=Counter)
    """To them, by status."""
    answer_seconds: list[float] = field(default_factory=list)
    given_up: int = 0
    """Webhooks that Telnyx delivers no more."""
    commands: Counter[int] = field(default_factory=Counter)
    """To Telnyx, by second."""
    mail_seconds: list[float] = field(default_factory=list)
    """From a command's post to its acknowledgement."""
    media_seconds: list[float] = field(default_factory=list)
    """From an answer to the call's place in a container: so long the caller hears nothing."""
    sweep_seconds: list[float] = field(default_factory=list)
    running: int = 0
    """Lambdas, now; and how many at most."""
    most_running: int = 0
    turned_away: int = 0
    """Calls for which there was no room."""
    unwritten: int = 0
    """Records of containers that lost every race."""


class Lambdas:
    """The environments of one function, each of which runs one job at a time."""

    def __init__(self, time: VirtualTime, seen: Seen, most: float) -> None:
        self._time, self._seen, self._most = time, seen, most
        self._idle: list[ControlPlane] = []
        self._own = threading.local()

    def run(self, job: Callable[[ControlPlane], T]) -> T | None:
        """None where no more may run."""
        seen = self._seen
        if seen.running >= self._most:
            return None
        seen.running += 1
        seen.most_running = max(seen.most_running, seen.running)
        plane = self._idle.pop() if self._idle else self._new()
        self._own.plane = plane
        try:
            self._time.sleep(CPU_SECONDS)
            return job(plane)
        finally:
            self._idle.append(plane)
            seen.running -= 1

    def control_plane(self) -> ControlPlane:
        """Of the environment that asks."""
        plane: ControlPlane = self._own.plane
        return plane

    def _new(self) -> ControlPlane:
        self._time.sleep(COLD_SECONDS)
        return control_plane.control_plane.__wrapped__()


class Route:
    """POST /webhooks/telnyx as API Gateway throttles it: a bucket of tokens."""

    def __init__(self, time: VirtualTime, lambdas: Lambdas, a_second: float) -> None:
        self._time, self._lambdas, self._a_second = time, lambdas, a_second
        self._tokens, self._counted_at = a_second, 0.0

    def post(self, event: dict[str, Any]) -> int:
        gained = (self._time.now - self._counted_at) * self._a_second
        self._tokens = min(self._a_second, self._tokens + gained)
        self._counted_at = self._time.now
        if self._tokens < 1:
            return 429
        self._tokens -= 1
        answer = self._lambdas.run(lambda _: telnyx_webhook.handler(event, None))
        return int(answer["statusCode"]) if answer else 503


class Telnyx:
    """The carrier, and everybody who is called."""

    def __init__(self, time: VirtualTime, seen: Seen, route: Route, key: Ed25519PrivateKey) -> None:
        self._time, self._seen, self._route, self._key = time, seen, route, key
        self.containers: list[Container] = []
        self._up: dict[str, Container | None] = {}
        self._answered_at: dict[str, float] = {}
        self._ids = count()

    def execute(self, command: CarrierCommand, call: Call, config: CallConfig) -> Leg | None:
        self._seen.commands[int(self._time.now)] += 1
        self._time.sleep(self._time.chance.uniform(*TELNYX_SECONDS) / 2)
        leg = self._obey(command, call.call_id)
        self._time.sleep(self._time.chance.uniform(*TELNYX_SECONDS) / 2)
        return leg

    def _obey(self, command: CarrierCommand, call_id: str) -> Leg | None:
        if isinstance(command, Dial):
            self._up[call_id] = None
            self._time.start(lambda: self._ring(call_id))
            return Leg(f"v3:{call_id}", call_id)
        if call_id not in self._up:
            raise TelnyxRefused(422, CALL_ALREADY_ENDED, "Call has already ended")
        if isinstance(command, StartStreaming):
            number = command.stream_number
            self._time.start(lambda: self._stream(call_id, number))
        elif isinstance(command, HangUp):
            self._hang_up(call_id)
        return None

    def _ring(self, call_id: str) -> None:
        self._tell(call_id, "call.initiated")
        self._time.sleep(ANSWERS - self._time.now + self._time.chance.random())
        self._answered_at[call_id] = self._time.now
        self._tell(call_id, "call.answered")
        self._time.sleep(HANGUPS - self._time.now + self._time.chance.random())
        self._hang_up(call_id)

    def _stream(self, call_id: str, number: int) -> None:
        self._time.sleep(MEDIA_SECONDS)
        if call_id in self._up:
            container = min(self.containers, key=lambda each: each.taken)
            self._up[call_id] = container
            self._tell(call_id, "streaming.started")
            container.claim(call_id, number)
            self._seen.media_seconds.append(self._time.now - self._answered_at[call_id])

    def _hang_up(self, call_id: str) -> None:
        if call_id not in self._up:
            return
        if container := self._up.pop(call_id):
            self._tell(call_id, "streaming.stopped")
            self._time.start(lambda: container.end(call_id))
        self._tell(call_id, "call.hangup")
        self._tell(call_id, "call.cost")

    def _tell(self, call_id: str, event_type: str) -> None:
        happened = datetime.fromtimestamp(EPOCH + self._time.now, UTC).isoformat()
        data = {"id": f"{event_type}-{next(self._ids)}", "occurred_at": happened}
        for _ in range(2 if self._time.chance.random() < TWICE else 1):
            late = self._time.chance.uniform(0, HELD_SECONDS)
            self._time.start(lambda: self._deliver(call_id, SAMPLES[event_type], data), late)

    def _deliver(self, call_id: str, sample: dict[str, Any], data: dict[str, str]) -> None:
        payload = {
            "client_state": b64encode(call_id.encode()).decode(),
            "call_control_id": f"v3:{call_id}",
            "call_leg_id": call_id,
        }
        for delay_ms in (0, *RETRY_DELAYS_MS):
            self._time.sleep(delay_ms / 1000)
            began = self._time.now
            status = self._route.post(signed(sample, data, payload, self._key, EPOCH + began))
            took = self._time.now - began
            self._seen.deliveries[int(began)] += 1
            self._seen.answers[status] += 1
            if status == 200:
                self._seen.answer_seconds.append(took)
                if took <= DELIVERY_TIMEOUT_S:
                    return
        self._seen.given_up += 1


class Container:
    """What `media_bridge`'s task, server and session ask of the table."""

    def __init__(
        self,
        task_id: str,
        plane: ControlPlane,
        table: TableInMemory,
        telnyx: Telnyx,
        time: VirtualTime,
        seen: Seen,
    ) -> None:
        self._task_id, self._plane, self._table = task_id, plane, table
        self._time, self._seen = time, seen
        self._switchboard = Switchboard(
            plane.store, telnyx, plane.mailbox, plane.now_ms, control_plane.log
        )
        self._calls: dict[str, Call] = {}
        self._claimed: list[Call] = []
        self.taken = 0

    def claim(self, call_id: str, number: int) -> None:
        self.taken += 1
        attached = MediaAttached(number, self._task_id, self._plane.now_ms())
        call = self._switchboard.apply(call_id, attached)
        self._plane.store.config(call_id)
        self._calls[call_id] = call
        self._claimed.append(call)

    def end(self, call_id: str) -> None:
        self.taken -= 1
        call, store = self._calls.pop(call_id), self._plane.store
        store.add_turns([(call_id, LAST_TURN)])
        store.add_usage(call_id, ModelUsage(call.attached_stream, "model", "transcriber", Usage()))
        try:
            self._switchboard.apply(call_id, MediaReported(Activity(turns=1)))
        except Conflict:
            self._seen.unwritten += 1

    def read_mail(self) -> None:
        while self._time.now < CALM:
            self._time.sleep(MAILBOX_SECONDS)
            if self._calls and self._finds_mail():
                for posted in self._plane.mailbox.collect(self._task_id):
                    self._plane.mailbox.acknowledge(self._task_id, posted)
                    posted_ms = int(posted.command_id.partition("-")[0])
                    self._seen.mail_seconds.append((self._plane.now_ms() - posted_ms) / 1000)

    def _finds_mail(self) -> bool:
        query = self._plane.mailbox.count_query(self._task_id)
        return bool(self._table.query(**msgspec.json.decode(query))["Count"])

    def beat(self) -> None:
        """At once when its calls change, but never twice within a second."""
        beaten, told = -HEARTBEAT_SECONDS, -1
        while self._time.now < CALM:
            if told != self.taken or self._time.now - beaten >= HEARTBEAT_SECONDS:
                beaten, told = self._time.now, self.taken
                claimed, self._claimed = self._claimed, []
                now_ms = self._plane.now_ms()
                self._plane.fleet.beat(TaskState(self._task_id, SLOTS, told, False, now_ms))
                for call in claimed:
                    self._plane.fleet.release(call)
            self._time.sleep(BEAT_PAUSE_SECONDS)
