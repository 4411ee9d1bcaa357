"""One session of the simulated model. It knows no socket: frames come in by receive() and go out
through the outbox."""

import asyncio
import base64
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, assert_never

import msgspec
from msgspec import structs

from simulators.audio.speech import Recognition
from simulators.openai.agent import SimulatedAgent
from simulators.openai.conversation import Entry, ModelConversation, Truncation
from simulators.openai.echo import EchoAgent
from simulators.openai.faults import EXPIRED, SESSION_MINUTES, ModelFaults, SessionEnding
from simulators.openai.listener import Listener
from simulators.openai.requests import (
    AppendEvent,
    ClearEvent,
    CommitEvent,
    ItemCreateEvent,
    ItemDeleteEvent,
    ItemRetrieveEvent,
    ItemTruncateEvent,
    Refusal,
    Request,
    ResponseCancelEvent,
    ResponseCreateEvent,
    ResponseRequest,
    SessionUpdateEvent,
    check_update,
    parse,
    understand,
)
from simulators.openai.responder import Responder
from simulators.openai.response import ResponseRun, Said
from simulators.openai.settings import DEFAULTS, ActiveSettings, SessionSettings, default_formats
from simulators.openai.wire import (
    ClearedEvent,
    Content,
    ConversationMessage,
    ErrorEvent,
    ErrorPayload,
    FunctionCallOutput,
    Item,
    ItemAddedEvent,
    ItemDeletedEvent,
    ItemDoneEvent,
    ItemRetrievedEvent,
    ItemTruncatedEvent,
    ServerEvent,
    SessionCreatedEvent,
    SessionUpdatedEvent,
    new_id,
    session_state,
)
from simulators.scenario import Scenario

# Enough to check the format of audio frames. Those of a whole hour would fill the memory.
KEPT_APPENDS = 500


@dataclass(frozen=True, slots=True)
class ModelSimulatorEvent:
    session_id: str
    name: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Manner:
    """How the simulated model behaves."""

    scenario: Scenario
    burst: float
    """How much faster than real time audio is generated."""
    think_ms: int
    faults: ModelFaults


@dataclass(frozen=True, slots=True)
class Handshake:
    """The request that opened the socket."""

    model: str
    headers: Mapping[str, str]


Report = Callable[[ModelSimulatorEvent], None]


class SimulatedSession:
    def __init__(
        self, manner: Manner, handshake: Handshake, report: Report, tasks: asyncio.TaskGroup
    ) -> None:
        self.id = new_id("sess")
        self.headers = handshake.headers
        self.settings = ActiveSettings(structs.replace(DEFAULTS, model=handshake.model))
        self.received: list[dict[str, Any]] = []
        self.appended_frames = 0
        self.recognitions: list[Recognition] = []
        self.said: list[Said] = []
        self.truncations: list[Truncation] = []
        self.errors: list[ErrorPayload] = []
        self.closed = False
        self.outbox: asyncio.Queue[str | SessionEnding] = asyncio.Queue()
        self._expires_at = int(time.time()) + SESSION_MINUTES * 60
        self._faults, self._burst = manner.faults, manner.burst
        self._report_to = report
        self._turn_waits = False
        self._stalled = False
        self._conversation = ModelConversation(new_id("conv"))
        self._listener = self._create_listener(tasks)
        self._responder = self._create_responder(manner, tasks)

    def _create_listener(self, tasks: asyncio.TaskGroup) -> Listener:
        return Listener(
            self._conversation,
            self.settings,
            self._faults,
            emit=self.emit,
            on_speech=self._speech_began,
            on_turn=self._turn_ended,
            on_recognition=self._note_recognition,
            tasks=tasks,
        )

    def _create_responder(self, manner: Manner, tasks: asyncio.TaskGroup) -> Responder:
        scenario = manner.scenario
        return Responder(
            self._conversation,
            SimulatedAgent(scenario) if scenario.is_scripted else EchoAgent(),
            manner.faults,
            emit=self.emit,
            on_done=self._response_done,
            on_breakdown=self._break_down,
            burst=manner.burst,
            think_s=manner.think_ms / 1000,
            tasks=tasks,
        )

    def open(self) -> None:
        self.emit(SessionCreatedEvent(self._state()))
        self._report("session.created", str(self.settings.settings.model))

    def emit(self, event: ServerEvent) -> None:
        if not self._stalled:
            self.outbox.put_nowait(msgspec.json.encode(event).decode())

    def end(self, ending: SessionEnding) -> None:
        self.outbox.put_nowait(ending)

    def expire(self) -> None:
        self._fail(Refusal("session_expired", EXPIRED.reason))
        self.end(EXPIRED)

    def close(self) -> None:
        self.closed = True
        self._responder.stop()

    def receive(self, frame: str | bytes) -> None:
        raw: dict[str, Any] = {}
        try:
            raw = parse(frame)
            self._keep(raw)
            self._handle(understand(raw))
        except Refusal as refusal:
            self._fail(refusal, raw.get("event_id"))

    def _keep(self, raw: dict[str, Any]) -> None:
        is_append = raw.get("type") == "input_audio_buffer.append"
        self.appended_frames += is_append
        if not is_append or self.appended_frames <= KEPT_APPENDS:
            self.received.append(raw)

    def _handle(self, request: Request) -> None:
        match request:
            case AppendEvent():
                self._listener.append(request.audio)
            case CommitEvent():
                self._listener.commit()
            case ClearEvent():
                self._listener.clear()
                self.emit(ClearedEvent())
            case SessionUpdateEvent():
                self._update(request.session)
            case ResponseCreateEvent():
                self._respond(request.response or ResponseRequest())
            case ResponseCancelEvent():
                self._responder.cancel("client_cancelled", request.response_id)
            case _:
                self._handle_item(request)

    def _handle_item(
        self, request: ItemCreateEvent | ItemTruncateEvent | ItemDeleteEvent | ItemRetrieveEvent
    ) -> None:
        match request:
            case ItemCreateEvent():
                self._create_item(request.item, request.previous_item_id)
            case ItemTruncateEvent():
                self._truncate(request)
            case ItemDeleteEvent():
                self._conversation.remove(request.item_id)
                self.emit(ItemDeletedEvent(request.item_id))
            case ItemRetrieveEvent():
                self.emit(ItemRetrievedEvent(_with_audio(self._conversation.get(request.item_id))))
            case _:
                assert_never(request)

    def _update(self, update: SessionSettings) -> None:
        if self._faults.refuse_session_update:
            raise Refusal("invalid_value", "This session.update is refused.", "session")
        check_update(update, self.settings, self._conversation.has_agent_audio)
        settings = self.settings.merge(update)
        if self._faults.formats_not_honoured:
            settings = default_formats(settings)
        self.settings = settings
        self._listener.configure(settings)
        if not self._faults.never_confirms:
            self.emit(SessionUpdatedEvent(self._state()))
        self._report("session.updated")

    def _respond(self, request: ResponseRequest) -> None:
        if request.conversation != "none":
            self._listener.expect_nothing()
        self._responder.create(request, self.settings)

    def _create_item(self, item: Item, previous_item_id: str | None) -> None:
        _check_item(item, self._conversation)
        item.id = item.id or new_id("item")
        item.status = "completed"
        previous = self._conversation.add(Entry(item), previous_item_id)
        self.emit(ItemAddedEvent(previous, item))
        self.emit(ItemDoneEvent(previous, item))

    def _truncate(self, request: ItemTruncateEvent) -> None:
        truncation = self._conversation.truncate(
            request.item_id, request.content_index, request.audio_end_ms
        )
        self.truncations.append(truncation)
        if not self._faults.never_confirms:
            index, end_ms = request.content_index, request.audio_end_ms
            self.emit(ItemTruncatedEvent(request.item_id, index, end_ms))
        self._report("truncated", f"{truncation.audio_end_ms} of {truncation.sent_ms:.0f} ms")

    def _speech_began(self) -> None:
        detection = self.settings.turn_detection
        if self._responder.active and detection and detection.interrupt_response:
            self._responder.cancel("turn_detected")
            self._report("interrupted")

    def _turn_ended(self) -> None:
        detection = self.settings.turn_detection
        if detection and detection.create_response:
            if self._responder.active:
                self._turn_waits = True
            else:
                self._respond(ResponseRequest())

    def _response_done(self, run: ResponseRun) -> None:
        if not run.in_conversation:
            for said in run.said:
                self._report("said out of band", said.clip.text)
            return
        self.said.extend(run.said)
        for said in run.said:
            self._report("said", f"{said.clip.text} ({said.sent_ms:.0f} ms)")
        self._listener.transcribe_late()
        if run.wire.status == "completed":
            self._listener.expect_speech(run.audio_ms * max(0.0, 1 - 1 / self._burst))
        if self._turn_waits and not self._responder.active:
            self._turn_waits = False
            self._respond(ResponseRequest())

    def _note_recognition(self, recognition: Recognition) -> None:
        self.recognitions.append(recognition)
        self._report(
            "heard",
            f"{recognition.text} ({recognition.correlation:.3f}, {recognition.snr_db:.0f} dB)",
        )

    def _break_down(self, ending: SessionEnding | None) -> None:
        self._report("breakdown", str(ending))
        if ending is EXPIRED:
            self.expire()
        elif ending:
            self.end(ending)
        self._stalled = True

    def _fail(self, refusal: Refusal, event_id: object = None) -> None:
        echoed = event_id if isinstance(event_id, str) else None
        error = ErrorPayload(refusal.type, refusal.code, refusal.message, refusal.param, echoed)
        self.errors.append(error)
        self.emit(ErrorEvent(error))
        self._report("error", refusal.message)

    def _state(self) -> msgspec.Raw:
        return session_state(self.id, self._expires_at, self.settings.settings)

    def _report(self, name: str, detail: str = "") -> None:
        self._report_to(ModelSimulatorEvent(self.id, name, detail))


def _check_item(item: Item, conversation: ModelConversation) -> None:
    if isinstance(item, FunctionCallOutput) and not conversation.calls(item.call_id):
        # As reported in livekit/agents#3344.
        message = f"Tool call ID '{item.call_id}' not found in conversation."
        raise Refusal("invalid_tool_call_id", message)
    if not isinstance(item, ConversationMessage):
        return
    allowed = {
        "system": {"input_text"},
        "user": {"input_text", "input_audio", "input_image"},
        "assistant": {"output_text"},
    }[item.role]
    for index, part in enumerate(item.content):
        if part.type not in allowed:
            message = f"Invalid value: '{part.type}'. Supported values are: {sorted(allowed)}."
            raise Refusal("invalid_value", message, f"item.content[{index}].type")


def _with_audio(entry: Entry) -> Item:
    if entry.utterance is None or not isinstance(entry.item, ConversationMessage):
        return entry.item
    audio = base64.b64encode(entry.utterance.samples.tobytes()).decode()
    transcript = entry.item.content[0].transcript
    return structs.replace(
        entry.item, content=[Content("input_audio", audio=audio, transcript=transcript)]
    )
