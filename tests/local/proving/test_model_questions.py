"""The questions to the model: of the simulator, and of a server with each other answer."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

from doctor_checks.config import DoctorConfig
from proving.model_questions import HISTORY_ITEMS, ask_model, history
from proving.questions import MODEL_QUESTIONS, NOT_ASKED, QUESTIONS, UNCLEAR
from simulators.openai.server import OpenAISimulator

Event = dict[str, Any]
SECONDS = 20.0
SOUND = base64.b64encode(b"\x22" * 8000).decode()
"""A second of G.711."""


def config(url: str, key: str = "sk-test") -> DoctorConfig:
    return DoctorConfig.from_env({"OPENAI_API_KEY": key, "OPENAI_REALTIME_URL": url})


async def answers_of(url: str, seconds: float = SECONDS) -> dict[str, str]:
    findings = await ask_model(config(url), seconds)
    found = {finding.question: finding.answer for finding in findings}
    assert set(found) == set(MODEL_QUESTIONS)
    for name, answer in found.items():
        assert answer in (*QUESTIONS[name].answers, UNCLEAR)
    return found


async def test_the_simulator_speaks_after_a_restore() -> None:
    async with OpenAISimulator() as model:
        found = await answers_of(model.url)
    assert found["restore"] == "speaks"
    assert found["delta_pace"] == "faster"
    assert UNCLEAR not in found.values()


@dataclass
class OddModel:
    """A server that refuses only the given events, and speaks the given words."""

    says: list[Event] = field(default_factory=list)
    """The events of each response."""
    status_details: object = None
    refuses: dict[str, Event] = field(default_factory=dict)
    """The error of each type of request."""
    pause_seconds: float = 0.0
    after_cancel: list[Event] = field(default_factory=list)

    async def converse(self, socket: ServerConnection) -> None:
        await send(socket, {"type": "session.created", "session": {}})
        async for message in socket:
            await self._answer(socket, json.loads(message))

    async def _answer(self, socket: ServerConnection, asked: Event) -> None:
        kind = self._kind_of(asked)
        if error := self.refuses.get(kind):
            await send(socket, {"type": "error", "error": error})
            return
        done = {"status": "completed", "status_details": self.status_details}
        match asked["type"]:
            case "session.update":
                await send(socket, {"type": "session.updated", "session": asked["session"]})
            case "conversation.item.create":
                await send(socket, {"type": "conversation.item.created", "item": asked["item"]})
            case "conversation.item.truncate":
                await send(socket, {"type": "conversation.item.truncated"})
            case "response.create":
                for event in self.says:
                    await send(socket, event)
                    await asyncio.sleep(self.pause_seconds)
                await send(socket, {"type": "response.done", "response": done})
            case "response.cancel":
                for event in self.after_cancel:
                    await send(socket, event)
                await send(socket, {"type": "response.done", "response": {"status": "cancelled"}})

    @staticmethod
    def _kind_of(asked: Event) -> str:
        content = (asked.get("item") or {}).get("content") or [{}]
        return "audio item" if content[0].get("type") == "input_audio" else str(asked["type"])


async def send(socket: ServerConnection, event: Event) -> None:
    await socket.send(json.dumps(event))


@asynccontextmanager
async def serving(model: OddModel) -> AsyncIterator[str]:
    async with serve(model.converse, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/v1/realtime"


DELTA = {"type": "response.output_audio.delta", "item_id": "item_1", "delta": SOUND}


async def test_a_model_that_writes_instead_of_speaking() -> None:
    written = {"type": "response.output_text.delta", "delta": "Good."}
    async with serving(OddModel([written], status_details="fine")) as url:
        found = await answers_of(url)
    assert found["restore"] == "text_only"
    assert found["delta_pace"] == UNCLEAR
    assert found["status_details"] == "text"


async def test_a_model_that_refuses_items_and_truncations() -> None:
    refuses: dict[str, Event] = {
        "audio item": {"type": "invalid_request_error", "code": "invalid_value"},
        "conversation.item.truncate": {"type": "invalid_request_error", "code": None},
    }
    async with serving(OddModel([DELTA], {"reason": "x"}, refuses)) as url:
        found = await answers_of(url)
    assert found["audio_item"] == "refused"
    assert found["truncate_error"] == "no_code"
    assert found["status_details"] == "object"
    assert found["cancel_events"] == "only_response"


async def test_a_model_that_takes_no_history() -> None:
    refusal = {"type": "invalid_request_error", "code": "missing_required_parameter"}
    model = OddModel(refuses={"conversation.item.create": refusal})
    async with serving(model) as url:
        found = await answers_of(url)
    assert found["restore"] == "refused"


async def test_a_model_that_says_nothing_or_speaks_slowly() -> None:
    async with serving(OddModel()) as url:
        assert (await answers_of(url))["restore"] == "silent"
    done = [{"type": "response.output_item.done"}, {"type": "response.output_audio.done"}]
    slow = OddModel([DELTA, DELTA], pause_seconds=1.5, after_cancel=done)
    async with serving(slow) as url:
        found = await answers_of(url)
    assert found["delta_pace"] == "real_time"
    assert found["truncate_error"] == "accepted"
    assert found["status_details"] == "null"


async def test_a_server_that_is_not_there_leaves_everything_unclear() -> None:
    assert set((await answers_of("ws://127.0.0.1:9/v1/realtime")).values()) == {UNCLEAR}


async def test_without_a_key_nothing_is_asked() -> None:
    findings = await ask_model(config("ws://127.0.0.1:9", key=""), SECONDS)
    assert {finding.answer for finding in findings} == {NOT_ASKED}


def test_the_history_has_a_tool_call_with_its_output_and_ends_with_the_anchor() -> None:
    items = history()
    assert len(items) == HISTORY_ITEMS
    kinds = [item["type"] for item in items[-3:]]
    assert kinds == ["function_call", "function_call_output", "message"]
    assert items[-1]["role"] == "system"
