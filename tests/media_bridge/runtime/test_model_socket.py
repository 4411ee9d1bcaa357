"""Sessions of the model that are lost and replaced, through real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from media_bridge.conversation import reconnects
from media_bridge.openai import client
from phonebridge.call.config import CallConfig, Fallback
from phonebridge.storage.call_store import CallRecord
from tests.support.media_plane import StartsPlane
from tests.support.scripted_model import SOUND
from tests.support.waiting import TIMEOUT_SECONDS, until

RESET = 1006


@dataclass
class Sessions:
    """A Realtime server that confirms all settings. Each session does what the test wants."""

    refusals: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """The answers to the next upgrades, before one is accepted."""
    received: list[list[dict[str, Any]]] = field(default_factory=list)
    sockets: list[ServerConnection] = field(default_factory=list)
    silent_sessions: int = 0
    """So many sessions confirm nothing."""
    url: str = ""

    def refuse(self, connection: ServerConnection, request: Request) -> Response | None:
        if not self.refusals:
            return None
        status, headers = self.refusals.pop(0)
        response = connection.respond(status, "not now")
        for name, value in headers.items():
            response.headers[name] = value
        return response

    async def converse(self, socket: ServerConnection) -> None:
        number = len(self.sockets)
        self.sockets.append(socket)
        self.received.append([])
        await self.send(number, "session.created", session={})
        async for message in socket:
            frame = json.loads(message)
            self.received[number].append(frame)
            if frame["type"] == "session.update" and number >= self.silent_sessions:
                await self.send(number, "session.updated", session=frame["session"])

    async def send(self, number: int, kind: str, **fields: Any) -> None:
        await self.sockets[number].send(json.dumps({"type": kind} | fields))

    async def first_request(self, number: int, kind: str) -> dict[str, Any]:
        """Return the first request of that type in the session with this number."""

        def find() -> dict[str, Any] | None:
            frames = self.received[number] if number < len(self.received) else []
            return next((frame for frame in frames if frame["type"] == kind), None)

        frame = await until(find)
        assert frame is not None
        return frame

    async def greet(self, number: int = 0) -> None:
        await self.first_request(number, "response.create")
        await self.send(number, "response.created", response={"id": "resp-1"})
        part = {"response_id": "resp-1", "item_id": "item-1"}
        await self.send(number, "response.output_audio_transcript.delta", delta="Hello!", **part)
        await self.send(number, "response.output_audio.delta", delta=SOUND, **part)
        await self.send(number, "response.output_audio.done", **part)
        await self.send(number, "response.done", response={"id": "resp-1", "status": "completed"})

    async def lose(self, number: int, code: int) -> None:
        if code == RESET:
            self.sockets[number].transport.abort()
        else:
            await self.sockets[number].close(code if code != 1005 else None)  # type: ignore[arg-type]


@asynccontextmanager
async def sessions() -> AsyncIterator[Sessions]:
    server = Sessions()
    async with serve(
        server.converse, "127.0.0.1", 0, process_request=server.refuse, close_timeout=0.1
    ) as listener:
        server.url = f"ws://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1/realtime"
        yield server


@pytest.fixture
async def model() -> AsyncIterator[Sessions]:
    async with sessions() as model:
        yield model


@pytest.fixture(autouse=True)
def _no_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconnects, "FIRST_BACK_OFF_SECONDS", 0.01)


def notes_of(record: CallRecord, what: str) -> list[str]:
    return [entry.detail for entry in record.timeline if entry.what == what]


@pytest.mark.parametrize("code", [1000, 1001, 1005, RESET, 1008, 1011, 1012, 1013])
async def test_a_session_that_is_lost_is_replaced_and_told_what_was_said(
    start_plane: StartsPlane, model: Sessions, code: int
) -> None:
    async with start_plane(openai_realtime_url=model.url) as plane:
        phone = await plane.streaming()
        await model.greet()
        await phone.hear("mark")
        await model.lose(0, code)
        created = await model.first_request(1, "conversation.item.create")
        assert created["item"]["content"] == [{"type": "output_text", "text": "Hello!"}]
        await until(lambda: notes_of(plane.record(phone.call), "model reconnected"))
    [note] = notes_of(plane.record(phone.call), "model reconnected")
    assert f"closed with {code}" in note


@pytest.mark.parametrize("code", [3000, 4000, 4004])
async def test_a_session_that_is_refused_for_good_ends_the_call(
    start_plane: StartsPlane, model: Sessions, code: int
) -> None:
    async with start_plane(openai_realtime_url=model.url) as plane:
        phone = await plane.streaming()
        await model.greet()
        await model.lose(0, code)
        assert await plane.failed(phone.call) == "model_lost"
    assert len(model.sockets) == 1


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_server_is_asked_again_for_the_first_session_and_for_later_ones(
    start_plane: StartsPlane, model: Sessions, status: int
) -> None:
    model.refusals = [(status, {}), (status, {"Retry-After": "0"})]
    async with start_plane(openai_realtime_url=model.url) as plane:
        phone = await plane.streaming()
        await model.greet()
        model.refusals = [(status, {}), (status, {})]
        await model.lose(0, 1011)
        await model.first_request(1, "conversation.item.create")
        assert not plane.was_hung_up(phone.call)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_key_that_is_refused_at_the_upgrade_is_not_tried_again(
    start_plane: StartsPlane, model: Sessions, status: int
) -> None:
    model.refusals = [(status, {})] * 2
    async with start_plane(openai_realtime_url=model.url) as plane:
        phone = await plane.streaming()
        assert await plane.failed(phone.call) == "model_unreachable"
    assert len(model.refusals) == 1


async def test_a_server_that_answers_no_pings_is_replaced(
    start_plane: StartsPlane, model: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PING_SECONDS", 0.1)
    async with start_plane(openai_realtime_url=model.url) as plane:
        phone = await plane.streaming()
        await model.greet()
        model.sockets[0].transport.pause_reading()
        await model.first_request(1, "conversation.item.create")
        await until(lambda: notes_of(plane.record(phone.call), "model reconnected"))
    [note] = notes_of(plane.record(phone.call), "model reconnected")
    assert "ping" in note


async def test_what_an_old_session_still_sends_changes_nothing(
    start_plane: StartsPlane, model: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media_bridge.conversation.active_response.STALL_TIMEOUT", 0.2)
    async with start_plane(openai_realtime_url=model.url) as plane:
        await plane.streaming()
        await model.first_request(0, "response.create")  # and never answered
        await model.first_request(1, "response.create")
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await model.sockets[0].wait_closed()


async def test_a_server_that_confirms_no_settings_is_given_up_for_another_attempt(
    start_plane: StartsPlane, model: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media_bridge.conversation.model_session.ATTEMPT_TIMEOUT_SECONDS", 0.3)
    model.silent_sessions = 1
    async with start_plane(openai_realtime_url=model.url) as plane:
        await plane.streaming()
        await model.first_request(1, "response.create")


async def test_a_caller_whom_no_model_can_serve_is_connected_with_the_fallback(
    start_plane: StartsPlane, model: Sessions
) -> None:
    config = CallConfig(fallback=Fallback(transfer_to="+15550142"))
    async with start_plane(openai_realtime_url=model.url) as plane:
        phone = await plane.streaming(config)
        await model.greet()
        await model.lose(0, 4004)
        await until(lambda: "transfer" in plane.telnyx.names)
        assert plane.telnyx.commands[-1][1]["to"] == "+15550142"
        await until(lambda: notes_of(plane.record(phone.call), "fallback"))
        assert not plane.was_hung_up(phone.call)


async def test_a_caller_whom_nobody_can_serve_hears_the_carrier_and_the_call_ends(
    start_plane: StartsPlane, model: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media_bridge.runtime.call_records.SPOKEN_TIMEOUT_SECONDS", 0.0)
    config = CallConfig(fallback=Fallback(say="Please call us back."))
    async with start_plane(openai_realtime_url=model.url) as plane:
        phone = await plane.streaming(config)
        await model.greet()
        await model.lose(0, 4004)
        assert await plane.failed(phone.call) == "model_lost"
    names = plane.telnyx.names
    assert names.index("streaming_stop") < names.index("speak") < names.index("hangup")
