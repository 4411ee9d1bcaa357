"""The whole system on this machine, and calls through its HTTP API."""

import asyncio
import base64
import importlib
import json
import logging
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from aws.stack import Plan, free_port, running
from control_plane.services import control_plane
from simulators.audio.speech import CLIPS
from simulators.openai.server import OpenAISimulator
from simulators.openai.session import SimulatedSession
from simulators.scenario import CallerLine, Scenario, ToolCall
from simulators.telnyx.call import SimulatedCall
from simulators.telnyx.server import TelnyxSimulator
from tests.support import paced_container
from tests.support.patient_loop import PatientLoop
from tests.support.waiting import TIMEOUT_SECONDS, until

Record = dict[str, Any]

ONE_QUESTION = Scenario(
    name="one question",
    greeting="agent_opening_hours",
    caller=(CallerLine("caller_what_to_bring"),),
    replies={"caller_what_to_bring": "agent_what_to_bring"},
    fallback="agent_fallback",
    tool_calls={
        "caller_what_to_bring": (
            ToolCall("find_times", '{"day":"2030-01-31"}'),
            ToolCall("book", '{"day":"2030-01-31","time":"09:00","name":"Ann"}'),
        ),
    },
)
"""The shortest conversation: seven seconds. Only docs/examples/booking_agent.py has the tools."""
EXAMPLE_PORT = free_port()
"""Where the server of an example listens."""
CONVERSATION = [
    ("agent", CLIPS["agent_opening_hours"].text),
    ("caller", CLIPS["caller_what_to_bring"].text),
    ("agent", CLIPS["agent_what_to_bring"].text),
]
"""The turns of that conversation in the record."""
TIMEOUT_MS = 12_000
API_POLL_SECONDS = 0.1
"""Each look at a record runs a handler, which takes more CPU than all else in a conversation."""


@dataclass(frozen=True, slots=True)
class System:
    """The running system, and the logs of the handlers and of the media container."""

    api: httpx.AsyncClient
    telnyx: TelnyxSimulator
    model: OpenAISimulator
    logs: tuple[Path, Path]

    async def create(self, to: str, **wishes: Any) -> httpx.Response:
        """Place a call. The model's session of it is recognised by its instructions."""
        body = {"to": to, "instructions": to} | wishes
        return await self.api.post("/api/ai-calls/create", json=body)

    async def dialled(self, to: str, **wishes: Any) -> str:
        """Place a call and return its id while it rings."""
        answer = await self.create(to, **wishes)
        assert answer.status_code == 201, answer.text
        call_id: str = answer.json()["call_id"]
        return call_id

    async def post(self, call_id: str, action: str, **body: Any) -> httpx.Response:
        return await self.api.post(f"/api/ai-calls/{call_id}/{action}", json=body or None)

    async def steer(self, call_id: str, action: str, **body: Any) -> None:
        answer = await self.post(call_id, action, **body)
        assert answer.status_code == 202, answer.text

    async def record(self, call_id: str) -> Record:
        answer = await self.api.get(f"/api/ai-calls/{call_id}")
        record: Record = answer.raise_for_status().json()
        return record

    async def streaming(self, call_id: str) -> None:
        await self._has_status(call_id, "streaming")

    async def transferred(self, call_id: str) -> None:
        await self._has_status(call_id, "transferred")

    async def ended(self, call_id: str) -> Record:
        """Return the record of a call when it has ended at Telnyx and here, and is complete."""
        state = base64.b64encode(call_id.encode()).decode()
        legs = [phone for phone in self.telnyx.calls if phone.client_state == state]
        for phone in legs:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await phone.ended.wait()
        await self._has_status(call_id, "ended")
        if any(phone.media.frames_in for phone in legs):
            await until(lambda: self._is_counted(call_id), poll_seconds=API_POLL_SECONDS)
        return await self.record(call_id)

    async def _has_status(self, call_id: str, status: str) -> None:
        async def has() -> bool:
            return bool((await self.record(call_id))["status"] == status)

        await until(has, poll_seconds=API_POLL_SECONDS)

    async def _is_counted(self, call_id: str) -> bool:
        """Whether the container has written its figures, which it does last."""
        return bool((await self.record(call_id))["activity"]["frames_out"])

    def phones(self, number: str) -> list[SimulatedCall]:
        return [call for call in self.telnyx.calls if number in (call.to, call.from_)]

    def phone(self, number: str) -> SimulatedCall:
        return self.phones(number)[-1]

    def session(self, number: str) -> SimulatedSession:
        sessions = self.model.sessions
        return [s for s in sessions if s.settings.settings.instructions == number][-1]

    def told(self, call_id: str) -> list[str]:
        """Return the commands that its container has received."""
        lines = (x for x in self.log_lines() if x.get("message") == "command received")
        return [line["command"] for line in lines if line.get("call_id") == call_id]

    def log_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for path in self.logs for line in path.read_text().splitlines()]


def response_requests(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the requests for responses in the conversation. The requests for speech clips are left
    out, because only the first calls of a container make them."""
    requests = [frame for frame in frames if frame["type"] == "response.create"]
    return [each for each in requests if each.get("response", {}).get("conversation") != "none"]


def said(record: Record) -> list[tuple[str, str]]:
    return [(turn["who"], turn["text"]) for turn in record["turns"]]


@asynccontextmanager
async def whole_system(
    folder: Path,
    given: Mapping[str, str],
    scenario: Scenario = ONE_QUESTION,
    hangs_up: bool = True,
) -> AsyncIterator[System]:
    handlers, container = folder / "handlers.log", folder / "container.log"
    clock = folder / "clock"
    plan = Plan(
        free_port(),
        scenario,
        hangs_up=hangs_up,
        silence_timeout_ms=TIMEOUT_MS,
        log=container,
        integration_seconds=TIMEOUT_SECONDS,
        container=paced_container.program(clock),
    )
    loop = asyncio.get_running_loop()
    assert isinstance(loop, PatientLoop)
    with _environment_restored(), _handlers_log_to(handlers), loop.clock_shown_in(clock):
        async with (
            running(plan, given, lambda *_: None) as stack,
            httpx.AsyncClient(base_url=stack.url, trust_env=False, timeout=TIMEOUT_SECONDS) as api,
        ):
            assert stack.telnyx is not None
            assert stack.openai is not None
            yield System(api, stack.telnyx, stack.openai, (handlers, container))


@contextmanager
def _environment_restored() -> Iterator[None]:
    """Restore the environment of this process, through which the stack passes settings to
    handlers."""
    before = dict(os.environ)
    control_plane.cache_clear()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        control_plane.cache_clear()


@contextmanager
def _handlers_log_to(path: Path) -> Iterator[None]:
    importlib.import_module("control_plane.services")
    [handler] = logging.getLogger("control-plane").handlers
    assert isinstance(handler, logging.StreamHandler)
    with path.open("w") as file:
        earlier = handler.setStream(file)
        try:
            yield
        finally:
            handler.setStream(earlier)
