"""Questions to the model's server, in one short session each. They cost some cents at most."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from doctor_checks.config import DoctorConfig
from phonebridge.settings import AuthHeader
from proving.questions import MODEL_QUESTIONS, NOT_ASKED, UNCLEAR, ProviderAnswer

Event = dict[str, Any]

HISTORY_ITEMS = 40
BYTES_PER_SECOND = 8000
MIN_SOUND_SECONDS = 0.5
INSTRUCTIONS = "You are on the phone with a customer of a bakery. Answer in one short sentence."
FAULTS = (OSError, TimeoutError, InvalidHandshake, InvalidURI, ConnectionClosed, ValueError)


class ProbeSession:
    """A Realtime session in G.711 without a detector."""

    def __init__(self, socket: ClientConnection, timeout_seconds: float) -> None:
        self._socket = socket
        self._timeout_seconds = timeout_seconds
        self._now = asyncio.get_running_loop().time

    async def send(self, kind: str, **fields: Any) -> None:
        await self._socket.send(json.dumps({"type": kind, **fields}))

    async def receive_until(self, *kinds: str) -> list[tuple[float, Event]]:
        """Return every event up to the first one of these kinds, with the time of each."""
        received: list[tuple[float, Event]] = []
        async with asyncio.timeout(self._timeout_seconds):
            while not received or received[-1][1].get("type") not in kinds:
                event = json.loads(await self._socket.recv())
                received.append((self._now(), event))
        return received

    async def add(self, item: Event) -> Event:
        """Add an item to the conversation. Returns the confirmation, or the error."""
        await self.send("conversation.item.create", item=item)
        added = ("conversation.item.added", "conversation.item.created", "error")
        return (await self.receive_until(*added))[-1][1]

    async def respond(self) -> list[tuple[float, Event]]:
        await self.send("response.create")
        return await self.receive_until("response.done", "error")


@asynccontextmanager
async def open_session(config: DoctorConfig, timeout_seconds: float) -> AsyncIterator[ProbeSession]:
    url = httpx.URL(config.openai_realtime_url)
    url = url if "model" in url.params else url.copy_add_param("model", config.openai_model)
    by_api_key = config.openai_auth_header == AuthHeader.API_KEY
    key = config.openai_api_key
    headers = {"api-key": key} if by_api_key else {"Authorization": f"Bearer {key}"}
    async with connect(str(url), additional_headers=headers, max_size=None) as socket:
        session = ProbeSession(socket, timeout_seconds)
        await session.receive_until("session.created")
        g711 = {"format": {"type": "audio/pcmu"}}
        audio = {"input": {**g711, "turn_detection": None}, "output": g711}
        settings = {"type": "realtime", "instructions": INSTRUCTIONS, "audio": audio}
        await session.send("session.update", session=settings)
        await session.receive_until("session.updated")
        yield session


async def ask_model(config: DoctorConfig, timeout_seconds: float) -> list[ProviderAnswer]:
    """Ask all questions. A question that cannot be asked has an unclear answer."""
    if not config.openai_api_key:
        return [ProviderAnswer(name, NOT_ASKED) for name in MODEL_QUESTIONS]
    findings: list[ProviderAnswer] = []
    try:
        async with open_session(config, timeout_seconds) as session:
            findings.append(await _ask_restore(session))
            findings.append(await _ask_audio_item(session))
        async with open_session(config, timeout_seconds) as session:
            findings += await _ask_about_response(session)
            findings.append(await _ask_cancel(session))
    except FAULTS as error:
        known = {finding.question for finding in findings}
        missing = (name for name in MODEL_QUESTIONS if name not in known)
        findings += [ProviderAnswer(name, UNCLEAR, type(error).__name__) for name in missing]
    return findings


async def _ask_restore(session: ProbeSession) -> ProviderAnswer:
    for item in history():
        answer = await session.add(item)
        if answer["type"] == "error":
            return ProviderAnswer("restore", "refused", _code(answer))
    asked_at = asyncio.get_running_loop().time()
    events = await session.respond()
    if events[-1][1]["type"] == "error":
        return ProviderAnswer("restore", "refused", _code(events[-1][1]))
    sounds = [at for at, event in events if _sound(event)]
    if not sounds:
        wrote = any(event["type"].endswith("text.delta") for _, event in events)
        return ProviderAnswer("restore", "text_only" if wrote else "silent")
    usage = (events[-1][1].get("response") or {}).get("usage") or {}
    cached = (usage.get("input_token_details") or {}).get("cached_tokens")
    tokens = f"{usage.get('input_tokens')} tokens in, {cached} of them cached"
    return ProviderAnswer(
        "restore", "speaks", f"first sound after {sounds[0] - asked_at:.1f} s, {tokens}"
    )


async def _ask_audio_item(session: ProbeSession) -> ProviderAnswer:
    silence = base64.b64encode(b"\xff" * BYTES_PER_SECOND).decode()
    content = [{"type": "input_audio", "audio": silence}]
    answer = await session.add({"type": "message", "role": "user", "content": content})
    if answer["type"] == "error":
        return ProviderAnswer("audio_item", "refused", _code(answer))
    return ProviderAnswer("audio_item", "accepted")


async def _ask_about_response(session: ProbeSession) -> list[ProviderAnswer]:
    await session.add(_message("user", "What do you sell?"))
    events = await session.respond()
    done = events[-1][1].get("response") or {}
    sounds = [(at, base64.b64decode(event["delta"])) for at, event in events if _sound(event)]
    item_id = next((event.get("item_id") for _, event in events if _sound(event)), None)
    await session.send(
        "conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=10_000_000
    )
    answered = (await session.receive_until("error", "conversation.item.truncated"))[-1][1]
    return [_pace(sounds), _status_details(done), _truncation(answered)]


def _pace(sounds: list[tuple[float, bytes]]) -> ProviderAnswer:
    seconds = sum(len(sound) for _, sound in sounds) / BYTES_PER_SECOND
    if seconds < MIN_SOUND_SECONDS:
        return ProviderAnswer("delta_pace", UNCLEAR, f"{seconds:.1f} s of sound")
    took = sounds[-1][0] - sounds[0][0]
    sizes = sorted(len(sound) for _, sound in sounds)
    detail = f"{seconds:.1f} s of sound in {took:.1f} s, deltas of {sizes[0]} to {sizes[-1]} bytes"
    return ProviderAnswer("delta_pace", "faster" if took < seconds / 1.5 else "real_time", detail)


def _status_details(response: Event) -> ProviderAnswer:
    kinds = {dict: "object", str: "text", type(None): "null"}
    kind = kinds.get(type(response.get("status_details")), UNCLEAR)
    return ProviderAnswer("status_details", kind, f"status {response.get('status')}")


def _truncation(answered: Event) -> ProviderAnswer:
    if answered["type"] != "error":
        return ProviderAnswer("truncate_error", "accepted")
    error = answered.get("error") or {}
    detail = f"type {error.get('type')}, code {error.get('code')}"
    return ProviderAnswer("truncate_error", "code" if error.get("code") else "no_code", detail)


async def _ask_cancel(session: ProbeSession) -> ProviderAnswer:
    await session.add(_message("user", "Tell me all about your bread, in many sentences."))
    await session.send("response.create")
    await session.receive_until("response.output_audio.delta", "response.done")
    await session.send("response.cancel")
    events = await session.receive_until("response.done", "error")
    done = {event["type"] for _, event in events if event["type"].endswith(".done")}
    parts = sorted(done - {"response.done"})
    return ProviderAnswer(
        "cancel_events", "done_events" if parts else "only_response", ", ".join(parts)
    )


def history() -> list[Event]:
    """Return a conversation with a tool call, and the message that re-anchors the model."""
    turns = [
        _message("user" if number % 2 else "assistant", f"This is sentence {number} of our talk.")
        for number in range(1, HISTORY_ITEMS - 2)
    ]
    name = {"name": "opening_hours", "call_id": "call_1"}
    called = {"type": "function_call", **name, "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "call_1", "output": '{"until":"18:00"}'}
    anchor = _message(
        "system", "The line was renewed in the middle of this call. Go on. Do not greet."
    )
    return [*turns, called, output, anchor]


def _message(role: str, text: str) -> Event:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def _sound(event: Event) -> bool:
    return event.get("type") == "response.output_audio.delta"


def _code(event: Event) -> str:
    error = event.get("error") or {}
    return f"code {error.get('code') or error.get('type')}"
