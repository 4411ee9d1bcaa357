"""The model of the drills: sessions over real frames, which talk about nothing in particular and
call a tool when a drill says so.
"""

import asyncio
import base64
import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import msgspec
from msgspec import Struct, structs

from benchmarks.drills.lockstep_loop import LockstepLoop
from benchmarks.media.rfc6455 import CLOSE, PING, PONG, acceptance, frame, unmasked
from benchmarks.media.sound import LOUD_CODE
from benchmarks.media.virtual_loop import Connection
from simulators.openai import wire
from simulators.openai.settings import DEFAULTS, Pcmu, SessionSettings, merge

TURN_SECONDS = 3.0
"""Time from the end of a reply to the next word of the caller."""
CALLER_SECONDS = 0.7
THINKS_SECONDS = 0.3
ANSWER_SECONDS = 1.2
DELTAS = 4
WORDS = ("We are ", "open on ", "weekdays ", "from nine.")

_FIRST_BYTE = 0x80


class _SessionUpdate(Struct):
    session: SessionSettings


class ModelSession:
    def __init__(self, line: Connection) -> None:
        self.instructions = ""
        self.is_over = False
        self.received: list[dict[str, Any]] = []
        """Every event but sound."""
        self.frames = 0
        self._line = line
        self._settings = structs.replace(DEFAULTS, model="gpt-realtime-2.1-mini")
        self._wanted: asyncio.Queue[tuple[str, str] | None] = asyncio.Queue()
        self._numbers = count(1)
        self.is_ready = False

    def call_tool(self, name: str, arguments: dict[str, str]) -> None:
        """Call a tool in the next response."""
        self._wanted.put_nowait((name, json.dumps(arguments)))

    def accept(self, request: bytes) -> None:
        self._send(acceptance(request))
        self.send(wire.SessionCreatedEvent(session=self._state()))

    def receive(self, message: bytes) -> None:
        if message.startswith(b'{"type":"input_audio_buffer.append"'):
            self.frames += 1
            return
        event = json.loads(message)
        self.received.append(event)
        match event["type"]:
            case "session.update":
                self._configure(message)
            case "response.create":
                self._wanted.put_nowait(None)

    def send(self, event: wire.ServerEvent) -> None:
        self._send(frame(msgspec.json.encode(event), masked=False))

    async def converse(self) -> None:
        """Answer requests. If there are none, let the caller say something."""
        while not self.is_over:
            try:
                async with asyncio.timeout(TURN_SECONDS):
                    wanted = await self._wanted.get()
            except TimeoutError:
                if self.is_ready:
                    await self._play(self._caller_speaks())
                    await self._play(self._answer())
                continue
            await self._play(self._answer() if wanted is None else self._tool_call(*wanted))

    def end(self) -> None:
        self.is_over = True

    async def _play(self, script: Iterator[float | wire.ServerEvent]) -> None:
        for step in script:
            if isinstance(step, float):
                await asyncio.sleep(step)
            elif not self.is_over:
                self.send(step)

    def _caller_speaks(self) -> Iterator[float | wire.ServerEvent]:
        item_id = f"item_u{next(self._numbers)}"
        usage = wire.TranscriptionTokenUsage(
            "tokens", 20, 15, wire.TranscriptionInputTokens(0, 15), 5
        )
        content = [wire.Content("input_audio", transcript=None)]
        item = wire.ConversationMessage(
            id=item_id, status="completed", role="user", content=content
        )
        yield wire.SpeechStartedEvent(audio_start_ms=0, item_id=item_id)
        yield CALLER_SECONDS
        yield wire.SpeechStoppedEvent(audio_end_ms=0, item_id=item_id)
        yield wire.CommittedEvent(previous_item_id=None, item_id=item_id)
        yield wire.ItemAddedEvent(previous_item_id=None, item=item)
        yield wire.ItemDoneEvent(previous_item_id=None, item=item)
        yield wire.TranscriptionCompletedEvent(
            item_id=item_id, content_index=0, transcript="When are you open?", usage=usage
        )
        yield THINKS_SECONDS

    def _answer(self) -> Iterator[float | wire.ServerEvent]:
        number = next(self._numbers)
        response_id, item_id = f"resp_{number}", f"item_a{number}"
        place: dict[str, Any] = {
            "response_id": response_id,
            "item_id": item_id,
            "output_index": 0,
            "content_index": 0,
        }
        message = wire.ConversationMessage(
            id=item_id, status="in_progress", role="assistant", content=[]
        )
        yield wire.ResponseCreatedEvent(response=_response(response_id))
        yield wire.OutputItemAddedEvent(response_id=response_id, output_index=0, item=message)
        yield wire.ItemAddedEvent(previous_item_id=None, item=message)
        empty = wire.ResponseContentPart("audio", transcript="")
        yield wire.ContentPartAdded(**place, part=empty)
        for words in WORDS:
            sound = base64.b64encode(LOUD_CODE * round(ANSWER_SECONDS * 8000 / DELTAS)).decode()
            yield wire.AudioDelta(**place, delta=sound)
            yield wire.AudioTranscriptDelta(**place, delta=words, obfuscation="")
        yield from _answer_ends(place, message)
        yield ANSWER_SECONDS

    def _tool_call(self, name: str, arguments: str) -> Iterator[float | wire.ServerEvent]:
        yield from self._caller_speaks()
        number = next(self._numbers)
        response_id = f"resp_{number}"
        call = wire.FunctionCall(
            id=f"item_f{number}",
            status="completed",
            name=name,
            arguments=arguments,
            call_id=f"call_{number}",
        )
        place: dict[str, Any] = {"response_id": response_id, "output_index": 0}
        yield wire.ResponseCreatedEvent(response=_response(response_id))
        yield wire.OutputItemAddedEvent(**place, item=call)
        yield wire.ArgumentsDone(
            **place, item_id=call.id, call_id=call.call_id, name=name, arguments=arguments
        )
        yield wire.OutputItemDoneEvent(**place, item=call)
        yield wire.ResponseDoneEvent(response=_ended(_response(response_id), call))

    def _configure(self, message: bytes) -> None:
        asked = msgspec.json.decode(message, type=_SessionUpdate).session
        self._settings = merge(self._settings, asked, DEFAULTS)
        self.instructions = str(self._settings.instructions or "")
        self.send(wire.SessionUpdatedEvent(session=self._state()))
        self.is_ready = True

    def _state(self) -> msgspec.Raw:
        return wire.session_state("sess_1", 0, self._settings)

    def _send(self, data: bytes) -> None:
        asyncio.get_running_loop().call_soon(self._line.deliver, data)


class DrillModel:
    def __init__(self) -> None:
        self.sessions: list[ModelSession] = []
        self._by_line: dict[Connection, ModelSession] = {}
        self._tasks: asyncio.TaskGroup | None = None

    def serve(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks

    def sessions_of(self, instructions: str) -> list[ModelSession]:
        return [each for each in self.sessions if instructions in each.instructions]

    def hear(self, line: Connection, data: bytes) -> None:
        """The far end of every connection to the model."""
        session = self._by_line.get(line)
        if session is None:
            self._accept(line, data)
        elif data[0] == _FIRST_BYTE | PING:
            self._answer(line, frame(unmasked(data), False, PONG))
        elif data[0] == _FIRST_BYTE | CLOSE:
            session.end()
            self._answer(line, frame(b"", False, CLOSE))
        elif data[0] != _FIRST_BYTE | PONG:
            session.receive(unmasked(data))

    def _accept(self, line: Connection, request: bytes) -> None:
        assert self._tasks is not None, "serve comes first"
        session = self._by_line[line] = ModelSession(line)
        self.sessions.append(session)
        session.accept(request)
        self._tasks.create_task(session.converse())

    def _answer(self, line: Connection, data: bytes) -> None:
        asyncio.get_running_loop().call_soon(_deliver, line, data)


def loop_with(model: DrillModel) -> LockstepLoop:
    return LockstepLoop(model.hear)


def _deliver(line: Connection, data: bytes) -> None:
    if not line.is_closing():
        line.deliver(data)


def _response(response_id: str) -> wire.RealtimeResponse:
    return wire.RealtimeResponse(
        id=response_id,
        conversation_id="conv_drill",
        output_modalities=["audio"],
        max_output_tokens="inf",
        audio=wire.ResponseAudio(wire.ResponseAudioOutput(Pcmu(), "marin")),
        metadata=None,
    )


def _ended(response: wire.RealtimeResponse, item: wire.Item) -> wire.RealtimeResponse:
    response.status = "completed"
    response.output = [item]
    response.usage = wire.RealtimeUsage(
        150,
        100,
        50,
        wire.InputTokenDetails(20, 80, 0, wire.CachedTokens(0, 0)),
        wire.OutputTokenDetails(10, 40),
    )
    return response


def _answer_ends(
    place: dict[str, Any], message: wire.ConversationMessage
) -> Iterator[wire.ServerEvent]:
    said = "".join(WORDS)
    done = structs.replace(
        message, status="completed", content=[wire.Content("output_audio", transcript=said)]
    )
    part = wire.ResponseContentPart("audio", transcript=said)
    response_id = place["response_id"]
    yield wire.AudioDone(**place)
    yield wire.AudioTranscriptDone(**place, transcript=said)
    yield wire.ContentPartDone(**place, part=part)
    yield wire.ItemDoneEvent(previous_item_id=None, item=done)
    yield wire.OutputItemDoneEvent(response_id=response_id, output_index=0, item=done)
    yield wire.ResponseDoneEvent(response=_ended(_response(response_id), done))
