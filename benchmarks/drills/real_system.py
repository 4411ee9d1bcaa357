"""Phonebridge as real processes: the local stack of `make dev`, whose DynamoDB can be made to fail.

The carrier and the model are the simulators of the repository.
"""

import importlib
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import numpy as np

from aws.dynamodb import local_client
from aws.stack import CONTAINER, TABLE, LocalStack, Plan, free_port, running, table_process
from benchmarks.drills.balancer import Balancer, balancer
from benchmarks.drills.call_story import TARGET
from benchmarks.drills.mechanism import replaced
from benchmarks.drills.results import ROOT
from benchmarks.drills.silence import longest_silence
from benchmarks.drills.store_fault import Outage
from benchmarks.drills.store_proxy import store_proxy
from benchmarks.drills.system import Executed, Leg, LegState
from control_plane.services import control_plane
from phonebridge.call.call import Call
from phonebridge.storage.call_store import DynamoCallStore
from simulators.audio.speech import Samples
from simulators.scenario import CallerLine, Scenario, ToolCall
from simulators.telnyx.behaviour import Person
from simulators.telnyx.call import SPEAKING_MS_PER_CHARACTER, SimulatedCall
from simulators.telnyx.person import FRAME_MS, PersonConversation
from simulators.telnyx.reports import ReceivedCommand

LOG = ROOT / ".build" / "drill.log"
HANDLERS_LOG = ROOT / ".build" / "drill-handlers.log"
LINES = 100
HELD_RINGING_MS = 29_000
SILENCE_TIMEOUT_MS = 600_000
REPEATS_AFTER_MS = 12_000
"""People who hear nothing for so long say their line again."""
LOUD = 500
COMMAND_ID_SECONDS = 60.0

END_CALL, TRANSFER = "caller_farewell", "caller_thursday"
CONVERSATION = Scenario(
    name="drill",
    greeting="agent_greeting",
    caller=(CallerLine("caller_what_to_bring"),) * LINES,
    replies={"caller_what_to_bring": "agent_what_to_bring"},
    fallback="agent_fallback",
    tool_calls={
        END_CALL: (ToolCall("end_call", "{}", "agent_farewell"),),
        TRANSFER: (
            ToolCall("transfer_call", json.dumps({"destination": "reception"}), "agent_one_moment"),
        ),
    },
)
_LINES_BY_TOOL = {"end_call": END_CALL, "transfer_call": TRANSFER}


class RealLeg:
    """A call of the simulator, as drills see it."""

    def __init__(
        self,
        call: SimulatedCall,
        sounds: list[tuple[float, float]],
        others: Sequence[SimulatedCall] = (),
    ) -> None:
        self.call = call
        self._sounds = sounds
        self._others = others

    @property
    def state(self) -> LegState:
        return LegState(self.call.state)

    @property
    def began_at(self) -> float:
        return _monotonic(self.call.start_time)

    @property
    def answered_at(self) -> float | None:
        return self.call.answered_s

    @property
    def ended_at(self) -> float | None:
        return None if self.call.end_time is None else _monotonic(self.call.end_time)

    @property
    def ended_by_us(self) -> bool:
        return any(each.name in ("hangup", "reject") for each in self._effective())

    @property
    def partner(self) -> "RealLeg | None":
        """Also after both have ended."""
        session_id = self.call.plan.call_session_id
        same = (each for each in self._others if each.plan.call_session_id == session_id)
        return next((RealLeg(each, []) for each in same if each is not self.call), None)

    @property
    def executed(self) -> Sequence[Executed]:
        dial = [Executed("dial", "")] if self.call.plan.direction == "outgoing" else []
        done = (Executed(each.name, each.command_id or "") for each in self._effective())
        return [*dial, *done]

    @property
    def lost_webhooks(self) -> Sequence[str]:
        delivered = (each for each in self.call.webhooks if each.delivered.is_set())
        return [each.type for each in delivered if 200 not in each.statuses]

    @property
    def has_stream(self) -> bool:
        return self.call.streams.is_streaming

    @property
    def has_heard(self) -> bool:
        return bool(self._sounds)

    def longest_silence(self, since: float, until: float) -> float:
        if self.answered_at is None:
            return 0.0
        end = until if self.ended_at is None else min(until, self.ended_at)
        return longest_silence(self._sounds, max(since, self.answered_at), end)

    def _effective(self) -> Iterator[ReceivedCommand]:
        """Yield the commands without repetitions, which the carrier answers and ignores."""
        last: dict[str, float] = {}
        for command in self.call.commands:
            key = command.command_id or ""
            is_new = command.at_s - last.get(key, -COMMAND_ID_SECONDS) >= COMMAND_ID_SECONDS
            if command.status == 200 and is_new:
                last[key] = command.at_s
                yield command


def _monotonic(timestamp: str) -> float:
    ago = datetime.now(UTC) - datetime.fromisoformat(timestamp)
    return time.monotonic() - ago.total_seconds()


@dataclass(slots=True)
class RealSystem:
    stack: LocalStack
    api: httpx.AsyncClient
    records: DynamoCallStore
    sounds: dict[PersonConversation, list[tuple[float, float]]]
    balancer: Balancer

    def time(self) -> float:
        return time.monotonic()

    def expect(self, number: str, answers_after_seconds: float | None) -> None:
        """The people are part of the plan of the stack."""

    def legs_to(self, number: str) -> Sequence[RealLeg]:
        assert self.stack.telnyx is not None, "drills use no real provider"
        calls = self.stack.telnyx.calls
        return [
            RealLeg(call, self.sounds.get(call.conversation, []), calls)
            for call in calls
            if call.to == number
        ]

    def pick_up(self, leg: Leg) -> None:
        assert isinstance(leg, RealLeg), "a leg of this system"
        if leg.state is LegState.RINGING:
            leg.call.pick_up()

    def hang_up(self, leg: Leg) -> None:
        assert isinstance(leg, RealLeg), "a leg of this system"
        leg.call.hang_up()

    def let_agent(self, number: str, tool: str, arguments: dict[str, str]) -> None:
        """The person says what makes the model do so."""
        for leg in self.legs_to(number):
            line = CallerLine(_LINES_BY_TOOL[tool])
            after = CallerLine("caller_what_to_bring")
            leg.call.conversation.change_lines(line, *(after,) * LINES)

    def model_was_told(self, number: str, text: str) -> bool:
        assert self.stack.openai is not None, "drills use no real provider"
        return any(
            text in str(event)
            for session in self.stack.openai.sessions
            for event in session.received
            if number in str(session.settings.settings.instructions)
        )

    async def ask(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            answer = await self.api.request(method, path, json=body, headers=named)
        except httpx.HTTPError:
            return 503, {}
        return answer.status_code, answer.json() if answer.content else {}

    def record(self, call_id: str) -> Call | None:
        return self.records.load(call_id)


@asynccontextmanager
async def real_system(
    outage: Outage,
    held: Sequence[str],
    containers: int = 1,
    container: tuple[str, ...] = CONTAINER,
) -> AsyncIterator[RealSystem]:
    """Phones with the `held` numbers ring until the drill picks them up."""
    sounds: dict[PersonConversation, list[tuple[float, float]]] = {}
    LOG.parent.mkdir(exist_ok=True)
    async with AsyncExitStack() as stack:
        table = await stack.enter_async_context(table_process())
        proxy = await stack.enter_async_context(store_proxy(table, outage, time.monotonic))
        stack.enter_context(_environment_restored())
        stack.enter_context(_sounds_noted(sounds))
        balancing, address = await stack.enter_async_context(balancer())
        plan = Plan(
            free_port(),
            CONVERSATION,
            hangs_up=False,
            silence_timeout_ms=SILENCE_TIMEOUT_MS,
            log=LOG,
            people=_people(held),
            repeats_after_ms=REPEATS_AFTER_MS,
            containers=containers,
            container=container,
        )
        given = {"AWS_ENDPOINT_URL_DYNAMODB": proxy, "ALLOWED_DESTINATIONS": "+1555"}
        if containers > 1 or container != CONTAINER:
            given["MEDIA_PUBLIC_URL"] = f"ws://{address}"
        local = await stack.enter_async_context(running(plan, given, lambda *_: None))
        balancing.targets = tuple(each.port for each in local.containers)
        stack.enter_context(_handlers_log_to_file())
        api = await stack.enter_async_context(
            httpx.AsyncClient(base_url=local.url, trust_env=False, timeout=30.0)
        )
        records = DynamoCallStore(TABLE, local_client(table), lambda: time.time_ns() // 1_000_000)
        yield RealSystem(local, api, records, sounds, balancing)


def _people(held: Sequence[str]) -> dict[str, Person]:
    person = Person(CONVERSATION, hangs_up=False, silence_timeout_ms=SILENCE_TIMEOUT_MS)
    ringing = Person(
        CONVERSATION,
        answers_after_ms=HELD_RINGING_MS,
        hangs_up=False,
        silence_timeout_ms=SILENCE_TIMEOUT_MS,
    )
    return {number: ringing for number in held} | {TARGET: person}


@contextmanager
def _sounds_noted(sounds: dict[PersonConversation, list[tuple[float, float]]]) -> Iterator[None]:
    """Note when each person heard the agent or the carrier."""
    hear: Callable[[PersonConversation, Samples], Samples] = PersonConversation.hear
    speak: Callable[[SimulatedCall, str], None] = SimulatedCall.speak

    def noting(conversation: PersonConversation, frame: Samples) -> Samples:
        if np.abs(frame).max(initial=0) > LOUD:
            now = time.monotonic()
            sounds.setdefault(conversation, []).append((now, now + FRAME_MS / 1000))
        return hear(conversation, frame)

    def noting_words(call: SimulatedCall, text: str) -> None:
        speak(call, text)
        now = time.monotonic()
        ends = now + len(text) * SPEAKING_MS_PER_CHARACTER / 1000
        sounds.setdefault(call.conversation, []).append((now, ends))

    with (
        replaced(PersonConversation, "hear", noting),
        replaced(SimulatedCall, "speak", noting_words),
    ):
        yield


@contextmanager
def _environment_restored() -> Iterator[None]:
    """The stack gives the handlers their settings by way of this process's environment."""
    before = dict(os.environ)
    control_plane.cache_clear()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        control_plane.cache_clear()


@contextmanager
def _handlers_log_to_file() -> Iterator[None]:
    importlib.import_module("control_plane.services")
    [handler] = logging.getLogger("control-plane").handlers
    assert isinstance(handler, logging.StreamHandler), "Powertools writes to a stream"
    with HANDLERS_LOG.open("w") as file:
        earlier = handler.setStream(file)
        try:
            yield
        finally:
            handler.setStream(earlier)
