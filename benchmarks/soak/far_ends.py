"""The other sides of the calls of a soak: people at phones, and a model that answers them. Both
lose their sockets at random."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from random import Random
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

from benchmarks.soak.carrier import Leg, Stream

FRAME_SECONDS = 0.02
FRAME = base64.b64encode(b"\x9a" * 160).decode()
DELTA = base64.b64encode(b"\x11" * 1_600).decode()
"""200 ms of G.711."""
DELTAS = 12
TURN_SECONDS = 6.0
GONE = (OSError, ConnectionClosed)
CLOSE_SECONDS = 0.5
RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Rates:
    """How often a socket is lost, per turn of a conversation."""

    phone: float = 0.05
    model: float = 0.05


@dataclass(slots=True)
class Counts:
    calls: int = 0
    streams_lost: int = 0
    sessions: int = 0
    sessions_lost: int = 0
    frames_heard: int = 0


class Person:
    """Talks over one media stream after the other until the call is long enough."""

    def __init__(self, leg: Leg, seconds: float, chance: Random, counts: Counts) -> None:
        self._leg = leg
        self._chance = chance
        self._counts = counts
        self._loop = asyncio.get_running_loop()
        self._ends_at = self._loop.time() + seconds

    async def talk(self, rates: Rates, call_id: str) -> None:
        """Return when the call is over at the carrier."""
        while stream := await self._leg.streams.get():
            try:
                await self._connect(stream, rates, call_id)
            except InvalidStatus:
                # The call before this one still owes its last words, and has the slot.
                await asyncio.sleep(RETRY_SECONDS)
                self._leg.streams.put_nowait(stream)
            if self._loop.time() >= self._ends_at:
                self._leg.end()

    async def _connect(self, stream: Stream, rates: Rates, call_id: str) -> None:
        url, token = stream
        with suppress(*GONE):
            async with connect(
                url,
                additional_headers={"x-telnyx-streaming-auth-token": token},
                compression=None,
                proxy=None,
                max_queue=None,
                close_timeout=CLOSE_SECONDS,
            ) as socket:
                await self._talk_on(socket, rates, call_id)

    async def _talk_on(self, socket: ClientConnection, rates: Rates, call_id: str) -> None:
        is_lost = self._chance.random() < rates.phone * 5
        lost_at = self._loop.time() + self._chance.uniform(2, 5 * TURN_SECONDS)
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(self._listen(socket))
            await socket.send(json.dumps(_start(self._leg.control_id, call_id)))
            due, chunk = self._loop.time(), 0
            while (now := self._loop.time()) < self._ends_at and not listening.done():
                if is_lost and now > lost_at:
                    self._counts.streams_lost += 1
                    socket.transport.abort()
                    break
                chunk += 1
                await socket.send(_media(chunk))
                due += FRAME_SECONDS
                await asyncio.sleep(max(0.0, due - self._loop.time()))
            else:
                with suppress(*GONE):
                    await socket.send('{"event":"stop","stop":{}}')
            listening.cancel()

    async def _listen(self, socket: ClientConnection) -> None:
        """Return marks once the sound before them would have been played."""
        with suppress(*GONE):
            async for message in socket:
                if '"media"' in str(message[:20]):
                    self._counts.frames_heard += 1
                elif '"mark"' in str(message[:20]):
                    await socket.send(message)


def _start(control_id: str, call_id: str) -> dict[str, Any]:
    leg = {
        "call_control_id": control_id,
        "client_state": base64.b64encode(call_id.encode()).decode(),
        "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1},
    }
    return {"event": "start", "stream_id": "stream", "start": leg}


def _media(chunk: int) -> str:
    media = f'{{"track":"inbound","chunk":"{chunk}","payload":"{FRAME}"}}'
    return f'{{"event":"media","media":{media}}}'


@asynccontextmanager
async def model(chance: Random, rates: Rates, counts: Counts) -> AsyncIterator[str]:
    """A Realtime server, by its URL."""

    async def converse(socket: ServerConnection) -> None:
        counts.sessions += 1
        with suppress(*GONE):
            await _Session(socket, chance, rates, counts).run()

    async with serve(
        converse, "127.0.0.1", 0, compression=None, max_queue=None, close_timeout=CLOSE_SECONDS
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/v1/realtime"


class _Session:
    def __init__(
        self, socket: ServerConnection, chance: Random, rates: Rates, counts: Counts
    ) -> None:
        self._socket = socket
        self._chance = chance
        self._rates = rates
        self._counts = counts
        self._number = 0

    async def run(self) -> None:
        await self._send("session.created", session={})
        async with asyncio.TaskGroup() as tasks:
            turns = tasks.create_task(self._take_turns())
            with suppress(*GONE):
                async for message in self._socket:
                    if '"input_audio_buffer.append"' not in str(message[:60]):
                        await self._answer(json.loads(message))
            turns.cancel()

    async def _answer(self, request: dict[str, Any]) -> None:
        match request["type"]:
            case "session.update":
                await self._send("session.updated", session=request["session"])
            case "response.create":
                await self._speak()
            case "conversation.item.create":
                await self._send("conversation.item.added", item=request["item"] | {"id": "i"})

    async def _take_turns(self) -> None:
        with suppress(*GONE):
            while True:
                await asyncio.sleep(TURN_SECONDS * self._chance.uniform(0.7, 1.3))
                if self._chance.random() < self._rates.model:
                    self._counts.sessions_lost += 1
                    self._lose()
                    return
                await self._hear()

    def _lose(self) -> None:
        if self._chance.random() < 0.5:
            self._socket.transport.abort()
        else:
            self._socket.transport.write(b"\x88\x02\x03\xf3")  # close, 1011

    async def _hear(self) -> None:
        item_id = self._name("item")
        kind = "input_audio_buffer"
        await self._send(f"{kind}.speech_started", item_id=item_id, audio_start_ms=0)
        await self._send(f"{kind}.speech_stopped", item_id=item_id, audio_end_ms=900)
        await self._send(f"{kind}.committed", item_id=item_id)
        done = "conversation.item.input_audio_transcription.completed"
        await self._send(done, item_id=item_id, transcript="When do you open?")
        await self._speak()

    async def _speak(self) -> None:
        response_id, item_id = self._name("resp"), self._name("item")
        place = {"response_id": response_id, "item_id": item_id, "content_index": 0}
        await self._send("response.created", response={"id": response_id})
        await self._send("response.output_audio_transcript.delta", **place, delta="At nine.")
        for _ in range(DELTAS):
            await self._send("response.output_audio.delta", **place, delta=DELTA)
        await self._send("response.output_audio.done", **place)
        await self._send("response.output_audio_transcript.done", **place, transcript="At nine.")
        await self._send("response.done", response={"id": response_id, "status": "completed"})

    async def _send(self, kind: str, **fields: Any) -> None:
        await self._socket.send(json.dumps({"type": kind, "event_id": "e"} | fields))

    def _name(self, kind: str) -> str:
        self._number += 1
        return f"{kind}_{self._number}"
