"""No command is lost and none takes effect twice, wherever a handler dies.

Each story runs once undisturbed, while every request to the table and to the carrier counts the
points before and after it. Then the story runs again for each point: the handler dies there, and
the carrier delivers again, the client repeats its request, or only the sweep comes by.
"""

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol, cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import ai_calls
import sweep_calls
import telnyx_webhook
from benchmarks.control_plane.cold_start import signed
from benchmarks.drills.table_in_memory import TableInMemory
from control_plane import services
from control_plane.agent_directory import ANY_NUMBER, DynamoDirectory
from control_plane.task_sweep import Orphans, TaskSweep
from phonebridge.call.call import Call, CallStatus, EndedBy, Leg, Outcome
from phonebridge.call.commands import CarrierCommand, Dial
from phonebridge.call.config import CallConfig
from phonebridge.call.events import (
    CallEvent,
    EndRequested,
    MediaAttached,
    MediaReported,
    NextStreamRequested,
)
from phonebridge.call.overdue import LegState
from phonebridge.call.transfer import DialTarget, TransferRequested
from phonebridge.errors import InvalidTransition, TelnyxRefused
from phonebridge.storage.call_store import DynamoCallStore
from phonebridge.telnyx import call_control
from phonebridge.telnyx.call_control import CallControlConfig
from phonebridge.telnyx.refusals import CALL_ALREADY_ENDED, STREAMING_IN_USE
from tests.support.api_events import api_event
from tests.support.clock import Clock

CALLEE, CALLER, OURS = "+15550123", "+15550142", "+15550199"
COMMAND_ID_WINDOW_MS = 60_000
KEY = Ed25519PrivateKey.generate()
ENVIRONMENT = {
    "ALLOWED_DESTINATIONS": "+1555",
    "BASE_PUBLIC_URL": "https://phonebridge.example",
    "CALLS_TABLE": "calls",
    "OPENAI_API_KEY": "sk-test",
    "TELNYX_API_KEY": "KEY",
    "TELNYX_CONNECTION_ID": "42",
    "TELNYX_FROM_NUMBER": OURS,
    "TELNYX_PUBLIC_KEY": b64encode(KEY.public_key().public_bytes_raw()).decode(),
    "STREAM_TOKEN_SECRET": "secret",
}
SWEEPS_AFTER_SECONDS = (20, 60, 60, 60)
TARGET = "+15550177"
LINE = CallControlConfig("wss://media.example", "secret", "42", "https://phonebridge.example")


class Crash(BaseException):
    """The process dies: no `except Exception` runs."""


@dataclass
class Points:
    """The points between two requests, by their numbers in a run."""

    crash_at: int | None = None
    reached: int = 0

    def reach(self) -> None:
        self.reached += 1
        if self.reached == self.crash_at:
            raise Crash(self.reached)


class CrashingTable:
    """A table whose every request has a point before and one after it."""

    def __init__(self, table: TableInMemory, points: Points) -> None:
        self._table = table
        self._points = points
        self.exceptions = table.exceptions

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def request(**arguments: Any) -> Any:
            self._points.reach()
            answer = getattr(self._table, operation)(**arguments)
            self._points.reach()
            return answer

        return request


@dataclass
class PhoneLine:
    """A leg at the carrier."""

    leg: Leg
    is_alive: bool = True
    answered: bool = False
    streams: bool = False
    ended_at_ms: int | None = None


@dataclass(frozen=True)
class Stimulus:
    """Something from outside that is repeated until it returns True, where anybody repeats it."""

    act: Callable[[], bool]
    by_container: bool = False


@dataclass
class World:
    clock: Clock
    points: Points
    table: TableInMemory
    pending: list[Stimulus] = field(default_factory=list)
    effects: Counter[str] = field(default_factory=Counter)
    """How often each command took effect."""
    lines: dict[str, PhoneLine] = field(default_factory=dict)
    seen_ms: dict[str, int] = field(default_factory=dict)
    plan: Callable[["World", str, str], None] = lambda *_: None
    """What follows from an effect: a command, and the leg that it went to."""

    # The carrier.

    def execute(self, command: CarrierCommand, call: Call, config: CallConfig) -> Leg | None:
        self.points.reach()
        leg = self._carry_out(command, call, config)
        self.points.reach()
        return leg

    def look_up(self, leg: Leg) -> LegState:
        line = self.lines[leg.call_control_id]
        return LegState(line.is_alive, ended_at_ms=line.ended_at_ms)

    def _carry_out(self, command: CarrierCommand, call: Call, config: CallConfig) -> Leg | None:
        request = call_control.request(command, call, config, LINE, self.clock.now_ms)
        body = json.loads(request.body)
        target = request.path.split("/")[2] if "/actions/" in request.path else ""
        if target and not self.lines[target].is_alive:
            raise TelnyxRefused(422, CALL_ALREADY_ENDED, "Call has already ended")
        command_id, name = body["command_id"], type(command).__name__
        seen_ms = self.seen_ms.get(command_id)
        if seen_ms is None or self.clock.now_ms >= seen_ms + COMMAND_ID_WINDOW_MS:
            self._take_effect(name, target, body)
            self.seen_ms[command_id] = self.clock.now_ms
        return self._new_leg(body) if isinstance(command, Dial | DialTarget) else None

    def _take_effect(self, name: str, target: str, body: Mapping[str, Any]) -> None:
        line = self.lines.get(target)
        if name == "StartStreaming" and line and line.streams:
            raise TelnyxRefused(422, STREAMING_IN_USE, "Streaming is in use")
        if name == "Answer" and line and line.answered:
            raise TelnyxRefused(422, "90000", "The call is answered")
        self.effects[name] += 1
        if line:
            line.answered = line.answered or name == "Answer"
            line.streams = name != "StopStreaming" and (line.streams or name == "StartStreaming")
        else:
            target = self._new_leg(body).call_control_id
            self.lines[target] = PhoneLine(self._new_leg(body))
        if name in ("HangUp", "Reject", "HangUpTarget"):
            self.end(target)
        self.plan(self, name, target)

    def _new_leg(self, body: Mapping[str, Any]) -> Leg:
        name = body["to"].lstrip("+")
        return Leg(f"v3:{name}", f"leg-{name}", "session")

    def end(self, control_id: str, source: str = "unknown") -> None:
        line = self.lines[control_id]
        if line.is_alive:
            line.is_alive, line.ended_at_ms = False, self.clock.now_ms
            told = {"hangup_cause": "normal_clearing", "hangup_source": source}
            self.tell("call.hangup", control_id, **told)

    def tell(self, event_type: str, control_id: str, **more: str) -> None:
        """The carrier delivers a webhook until it is taken."""
        leg = self.lines[control_id].leg
        at = datetime.fromtimestamp(self.clock.now_ms / 1000, UTC).isoformat()
        payload = {
            "call_control_id": leg.call_control_id,
            "call_leg_id": leg.call_leg_id,
            "call_session_id": leg.call_session_id,
            "client_state": "",
        }
        data = {"id": f"{event_type}-{control_id}", "event_type": event_type, "occurred_at": at}
        sample = {"data": {"payload": payload | more}}
        self.pending.append(Stimulus(partial(self._deliver, sample, data)))

    def _deliver(self, sample: dict[str, Any], data: dict[str, str]) -> bool:
        event = signed(sample, data, {}, KEY, self.clock.now_ms / 1000)
        return bool(telnyx_webhook.handler(event, None)["statusCode"] == 200)

    # The client, the container and the sweep.

    def create(self) -> None:
        body = json.dumps({"to": CALLEE}).encode()
        event = api_event(
            "POST", "/api/ai-calls/create", body, headers={"idempotency-key": "order-1"}
        )
        self.pending.append(Stimulus(partial(self._request, event)))

    def post(self, action: str, **body: Any) -> None:
        path = f"/api/ai-calls/{self.call_id()}/{action}"
        sent = json.dumps(body).encode() if body else None
        event = api_event("POST", path, sent, headers={"idempotency-key": "request-1"})
        self.pending.append(Stimulus(partial(self._request, event)))

    def _request(self, event: dict[str, Any]) -> bool:
        return bool(ai_calls.handler(event, None)["statusCode"] < 500)

    def apply(self, event: CallEvent, then: str = "", stream: int | None = 1) -> None:
        """A container repeats a write until it is taken."""
        write = partial(self._write, event, then, stream)
        self.pending.append(Stimulus(write, by_container=True))

    def _write(self, event: CallEvent, then: str, stream: int | None) -> bool:
        with suppress(InvalidTransition):  # the claim was taken, and its answer got lost
            services.control_plane().switchboard.apply(self.call_id(), event, stream)
        self.plan(self, then, "")
        return True

    def call_id(self) -> str:
        [call_id] = self.call_ids()
        return call_id

    def call_ids(self) -> list[str]:
        keys = (pk.partition("#") for pk in self.table.partitions())
        return [call_id for kind, _, call_id in keys if kind == "CALL" and self.load(call_id)]

    def load(self, call_id: str) -> Call | None:
        return DynamoCallStore("calls", cast(Any, self.table), self.clock).load(call_id)

    # A run.

    def play(self, start: Callable[["World"], None], *, only_sweep: bool) -> None:
        start(self)
        self._work_off(only_sweep=only_sweep)
        for seconds in SWEEPS_AFTER_SECONDS:
            self.clock.pass_seconds(seconds)
            self._take(Stimulus(lambda: bool(sweep_calls.handler({}, None))))
            self._work_off(only_sweep=only_sweep)
        for control_id in list(self.lines):
            self.end(control_id, "callee")  # nobody talks for ever
            self._work_off(only_sweep=False)

    def _work_off(self, *, only_sweep: bool) -> None:
        for _ in range(100):
            if not self.pending:
                return
            stimulus = self.pending.pop(0)
            if not self._take(stimulus) and (stimulus.by_container or not only_sweep):
                self.pending.insert(0, stimulus)
        raise AssertionError("this never ends")

    def _take(self, stimulus: Stimulus) -> bool:
        """Apply a stimulus. Return False if a process died of it, which only its client notices."""
        self.clock.pass_seconds(0.5)
        try:
            return stimulus.act()
        except Crash:
            return False

    def record(self) -> dict[str, Any]:
        """What of the record must not depend on where somebody died."""
        call = self.load(self.call_id())
        assert call
        return {
            "status": call.status,
            "outcome": call.outcome,
            "reason": call.reason,
            "stream": call.attached_stream,
            "up": call.may_be_up,
        }

    def messages(self) -> list[str]:
        """The kinds of all messages that were ever posted to the container."""
        return [key.rpartition("-")[2] for key in self.table.sort_keys("TASK#task-1")]


# The stories: how each begins, and what follows from an effect.


@dataclass(frozen=True)
class Story:
    start: Callable[[World], None]
    plan: Callable[[World, str, str], None]
    effects: Mapping[str, int]
    outcome: tuple[Outcome, str]
    begins_with: str = "Dial"
    messages: tuple[str, ...] = ()
    only_by_sweep: Mapping[str, int] = field(default_factory=dict)
    """What else may take effect if only the sweep continues the story."""


def begin_inbound(world: World) -> None:
    leg = Leg("v3:caller", "leg-caller", "session")
    world.lines[leg.call_control_id] = PhoneLine(leg)
    told = {"direction": "incoming", "state": "parked", "from": CALLER, "to": OURS}
    world.tell("call.initiated", leg.call_control_id, **told)


def begin_media(world: World, effect: str, leg: str) -> None:
    """Report what follows a command, until the container has claimed the stream."""
    match effect:
        case "Dial":
            world.tell("call.initiated", leg, direction="outgoing")
            world.tell("call.answered", leg)
        case "Answer":
            world.tell("call.answered", leg)
        case "StartStreaming":
            world.apply(MediaAttached(1, "task-1", world.clock.now_ms), then="attached")


def hang_up_by_api(world: World, effect: str, leg: str) -> None:
    begin_media(world, effect, leg)
    if effect == "attached":
        world.post("hangup")


def end_by_agent(world: World, effect: str, leg: str) -> None:
    begin_media(world, effect, leg)
    if effect == "attached":
        world.apply(EndRequested(EndedBy.AGENT, world.clock.now_ms))


def press_keys(world: World, effect: str, leg: str) -> None:
    begin_media(world, effect, leg)
    if effect == "attached":
        world.post("dtmf", digits="12#")
    if effect == "SendDigits":
        world.post("hangup")


def begin_next_media(world: World, effect: str) -> None:
    """Until another container has claimed the second stream."""
    if effect == "StartStreaming" and world.effects[effect] == 2:
        attached = MediaAttached(2, "task-2", world.clock.now_ms)
        world.apply(attached, then="attached again", stream=2)
    if effect == "attached again":
        world.post("hangup")


def take_over(world: World, effect: str, leg: str) -> None:
    """The container dies without a word, and another one notices it."""
    if world.effects["StartStreaming"] < 2:
        begin_media(world, effect, leg)
    if effect == "attached":
        world.apply(NextStreamRequested(1), stream=None)
    begin_next_media(world, effect)


def follow_webhook(world: World, effect: str, leg: str) -> None:
    """The carrier tells that the stream has stopped."""
    if world.effects["StartStreaming"] < 2:
        begin_media(world, effect, leg)
    if effect == "attached":
        callee = f"v3:{CALLEE[1:]}"
        world.lines[callee].streams = False
        url = f"{LINE.media_url}/media-bridge/{world.call_id()}/1"
        world.tell("streaming.stopped", callee, stream_url=url)
    begin_next_media(world, effect)


def transfer_warm(world: World, effect: str, leg: str) -> None:
    begin_media(world, effect, leg)
    match effect:
        case "attached":
            world.apply(TransferRequested(TARGET, summary="A caller from Ulm."))
        case "DialTarget":
            world.tell("call.initiated", leg, direction="outgoing")
            world.tell("call.answered", leg)
        case "SpeakSummary":
            world.tell("call.speak.started", leg)
            world.tell("call.speak.ended", leg)
        case "BridgeLegs":
            world.tell("call.bridged", f"v3:{CALLEE[1:]}")
        case "StopStreaming":
            world.apply(MediaReported(1))


STORIES = {
    "a call that the API hangs up": Story(
        World.create,
        hang_up_by_api,
        {"Dial": 1, "StartStreaming": 1, "HangUp": 1},
        (Outcome.COMPLETED, "ended_by_api"),
    ),
    "an inbound call that its agent ends": Story(
        begin_inbound,
        end_by_agent,
        {"Answer": 1, "StartStreaming": 1, "HangUp": 1},
        (Outcome.COMPLETED, "ended_by_agent"),
        begins_with="Answer",
    ),
    "a call in which keys are pressed": Story(
        World.create,
        press_keys,
        {"Dial": 1, "StartStreaming": 1, "SendDigits": 1, "HangUp": 1},
        (Outcome.COMPLETED, "ended_by_api"),
    ),
    "a call that another container takes over": Story(
        World.create,
        take_over,
        {"Dial": 1, "StartStreaming": 2, "StopStreaming": 1, "HangUp": 1},
        (Outcome.COMPLETED, "ended_by_api"),
    ),
    "a call whose stream has stopped": Story(
        World.create,
        follow_webhook,
        {"Dial": 1, "StartStreaming": 2, "HangUp": 1},
        (Outcome.COMPLETED, "ended_by_api"),
    ),
    "a warm transfer": Story(
        World.create,
        transfer_warm,
        {
            "Dial": 1,
            "StartStreaming": 1,
            "DialTarget": 1,
            "SpeakSummary": 1,
            "BridgeLegs": 1,
            "StopStreaming": 1,
        },
        (Outcome.COMPLETED, "transferred"),
        messages=("done",),
        # A target that nobody connects with its caller is hung up.
        only_by_sweep={"HangUpTarget": 1},
    ),
}
NAMED = pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())


class Run(Protocol):
    def __call__(
        self, story: Story, crash_at: int | None = None, *, only_sweep: bool = False
    ) -> World: ...


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)

    def play(story: Story, crash_at: int | None = None, *, only_sweep: bool = False) -> World:
        clock, points = Clock(), Points(crash_at)
        table = TableInMemory(lambda: clock.now_ms / 1000, lambda: None)
        world = World(clock, points, table, plan=story.plan)
        monkeypatch.setattr(services, "dynamodb_client", lambda: CrashingTable(table, points))
        monkeypatch.setattr(services, "TelnyxClient", lambda *_, **__: world)
        monkeypatch.setattr(services, "now_ms", clock)
        # The container of these stories lives. Other tests cover dead tasks.
        monkeypatch.setattr(TaskSweep, "find", lambda *_: Orphans(frozenset(), frozenset()))
        services.control_plane.cache_clear()
        DynamoDirectory("calls", cast(Any, table), clock, 1_800).put_agent(ANY_NUMBER)
        world.play(story.start, only_sweep=only_sweep)
        return world

    yield play
    services.control_plane.cache_clear()


@NAMED
def test_an_undisturbed_story(story: Story, run: Run) -> None:
    world = run(story)
    assert world.effects == story.effects
    assert (world.record()["outcome"], world.record()["reason"]) == story.outcome
    assert not world.record()["up"]


@NAMED
def test_each_command_takes_effect_once_wherever_a_handler_dies(story: Story, run: Run) -> None:
    undisturbed = run(story)
    for point in range(1, undisturbed.points.reached + 1):
        world = run(story, point)
        assert world.effects == story.effects, point
        assert world.record() == undisturbed.record(), point
        assert world.messages() == list(story.messages), point


@NAMED
def test_the_sweep_alone_sends_what_is_owed_and_ends_every_call(story: Story, run: Run) -> None:
    """Neither the carrier nor the client repeats what a handler died of."""
    undisturbed = run(story)
    for point in range(1, undisturbed.points.reached + 1):
        world = run(story, point, only_sweep=True)
        assert world.effects <= Counter(story.effects) + Counter(story.only_by_sweep), point
        assert not any(line.is_alive for line in world.lines.values())
        if world.call_ids():
            record = world.record()
            assert (record["status"], record["up"]) == (CallStatus.ENDED, False), point
            assert world.effects[story.begins_with] == 1, point
            assert world.effects["StartStreaming"] >= 1, point
