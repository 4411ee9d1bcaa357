"""The asyncio shell of one call: two sockets and one timer around a bridge.

It reads, lets the bridge answer, and carries the commands out in their order. It decides nothing.
Nothing on the audio's way waits: sockets call back and sending is buffered (`websocket.py`), and
what is recorded queues elsewhere (`records.py`).
"""

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from media_bridge import commands, events
from media_bridge.audio import Codec
from media_bridge.bridge import Bridge
from media_bridge.call_log import CallLog, cut
from media_bridge.commands import BridgeCommand
from media_bridge.figures import Figures
from media_bridge.greeting import KeptGreeting
from media_bridge.line import Line
from media_bridge.records import Records
from media_bridge.speech_cache import FoundClips, SpeechCache
from media_bridge.speech_model import ModelCommand, ModelUnreachable, SpeechModel
from media_bridge.threads import Threads
from media_bridge.toolbox import Toolbox
from media_bridge.turn_log import TurnLog
from media_bridge.websocket import ABNORMAL_CLOSURE, Buffer, WebSocket
from phonebridge.billing import ModelUsage
from phonebridge.call import Call, Fault
from phonebridge.call_config import CallConfig
from phonebridge.call_events import (
    CallEvent,
    CallFailed,
    DigitsRequested,
    EndRequested,
    MediaReported,
    MediaStarted,
)
from phonebridge.errors import PhonebridgeError
from phonebridge.ports import TimelineEntry
from phonebridge.settings import MediaSettings
from phonebridge.store import DynamoCallStore
from phonebridge.switchboard import Switchboard
from phonebridge.tracing import Span, Tracer
from phonebridge.transfer import TransferRequested
from phonebridge.turn import Turn

TIMER_STEP_SECONDS = 0.001
"""uvloop rounds to whole milliseconds: a timer set to the deadline itself may come before it, find
nothing due, and spin until it is."""


@dataclass(frozen=True, slots=True)
class Services:
    """What every call of a process shares."""

    settings: MediaSettings
    store: DynamoCallStore
    switchboard: Switchboard
    model: SpeechModel
    log: Logger
    turns: TurnLog
    now_ms: Callable[[], int]
    tracer: Tracer
    speech_cache: SpeechCache
    toolbox: Toolbox
    threads: Threads
    """For what calls write and command. A call has at most one job at a time, so with a thread for
    each slot no call waits for another."""
    figures: Figures
    lost_media_grace_seconds: float = 3.0
    """The wait after a media socket closed without `stop`. Usually the caller hung up: a webhook
    reports it."""


class CallSession:
    """`phone` is connected; `run` returns when the call is over and written down."""

    def __init__(
        self,
        call: Call,
        config: CallConfig,
        greeting: KeptGreeting | None,
        phone: WebSocket,
        services: Services,
        found: FoundClips = FoundClips(),  # noqa: B008 - immutable
    ) -> None:
        self._call = call
        self._config = config
        self._services = services
        self._loop = asyncio.get_running_loop()
        audio = services.settings.model_audio
        self._bridge = Bridge(
            call, config, audio, self._loop.time(), greeting, found.clips, found.missing
        )
        self._line = Line(Codec[config.codec], services.settings.l16_byte_order)
        self._log = CallLog(services.log, call.call_id)
        self._records = Records(services.log, services.threads)
        self._tasks = asyncio.TaskGroup()
        self._functions: set[asyncio.Task[None]] = set()
        self._activity = self._bridge.activity
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = 0.0
        self._over = asyncio.Event()
        self.is_over = False  # to ask the event takes a tenth of all that a frame takes
        self.has_left = False
        """The media stream has ended. The model may still owe transcripts of what was said."""
        self._lost_at: float | None = None
        self._phone = phone
        phone.on_message = self._on_phone_message
        phone.on_close = self._on_phone_close
        self._model = WebSocket()
        self._protocol = services.model.protocol(config)
        self._protocol.on_repair = self._on_repair
        self._model_wanted = asyncio.Event()

    def post(self, event: events.BridgeEvent) -> None:
        """Something happened: let the bridge answer, and do what it says."""
        if self.is_over:
            return
        try:
            for command in self._bridge.handle(event, self._loop.time()):
                self._carry_out(command)
            self._set_timer()
        except Exception:  # noqa: BLE001 - the border of a call: its faults must not reach others
            self._crash()

    async def run(self) -> None:
        with self._services.tracer.span(self._call.call_id, "media session"):
            await self._carry()

    async def _carry(self) -> None:
        async with self._tasks as tasks:
            tasks.create_task(self._records.write())
            connecting = tasks.create_task(self._open_model_sessions())
            try:
                await self._over.wait()
            finally:
                connecting.cancel()
                self._cancel_functions()
                self._close()
            await self._services.turns.flush()
            self._report()
            if self._lost_at is not None:
                since = self._loop.time() - self._lost_at
                grace = self._services.lost_media_grace_seconds
                await asyncio.sleep(max(0.0, grace - since))
                self._record_fault("media_lost", "the media socket closed")
            self._records.close()

    def _cancel_functions(self) -> None:
        for task in self._functions:
            task.cancel()

    def _close(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._model.close()
        self._phone.close()

    def _report(self) -> None:
        """The last word of the container about the call."""
        self._measure()
        store = self._services.store
        usage = ModelUsage(
            self._call.attached_stream,
            self._services.model.name(self._config),
            self._config.transcription.model,
            self._bridge.usage,
        )
        self._records.add(lambda: store.add_usage(self._call.call_id, usage))
        report = MediaReported(self._activity, self._bridge.started)
        self._records.add(lambda: self._apply(report))

    # The sockets.

    def _on_phone_message(self, text: Buffer) -> None:
        if event := self._line.heard(text):
            self.post(event)

    def _on_phone_close(self, code: int, reason: str) -> None:
        self._log.say("info", "phone disconnected", code=code, reason=reason)
        self.post(events.StreamLost())

    async def _open_model_sessions(self) -> None:
        """One at once, and another in its place whenever the bridge wants it."""
        while True:
            self._protocol = self._services.model.protocol(self._config)
            self._protocol.on_repair = self._on_repair
            self._model = WebSocket()
            self._model.on_message = self._on_model_message
            self._model.on_close = self._on_model_close
            await self._open_model_session()
            await self._model_wanted.wait()
            self._model_wanted.clear()
            self._model.on_message = lambda _: None
            self._model.on_close = lambda *_: None
            self._model.close()

    async def _open_model_session(self) -> None:
        started = self._loop.time()
        try:
            with self._services.tracer.span(self._call.call_id, "model connect"):
                await self._services.model.connect(self._config, self._model)
        except ModelUnreachable as error:
            self._services.figures.model_unreachable()
            self.post(events.ModelClosed(ABNORMAL_CLOSURE, str(error)))
        except Exception:  # noqa: BLE001 - the border of a call: its faults must not reach others
            self._crash()
        else:
            self._services.figures.model_connected(self._loop.time() - started)
            self._log.say("info", "model connected")

    def _on_model_message(self, text: Buffer) -> None:
        if event := self._protocol.decode(text):
            self.post(event)

    def _on_repair(self, event_type: str, absent: list[str]) -> None:
        self._log.say("warning", "model event repaired", event_type=event_type, absent=absent)

    def _on_model_close(self, code: int, reason: str) -> None:
        self._log.say("info", "model disconnected", code=code, reason=reason)
        self.post(events.ModelClosed(code, reason))

    # The timer.

    def _set_timer(self) -> None:
        """Never later than the bridge's deadline. A timer that fires early costs one look, so it
        is not moved for every frame that puts a deadline off."""
        deadline = self._bridge.next_deadline()
        if deadline is None:
            if self._bridge.is_over:
                self._finish()
            return
        if self._timer and self._wakes_at <= deadline:
            return
        if self._timer:
            self._timer.cancel()
        self._wakes_at = deadline
        self._timer = self._loop.call_at(deadline + TIMER_STEP_SECONDS, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.post(events.DeadlinePassed())

    # The commands.

    def _carry_out(self, command: BridgeCommand) -> None:
        match command:
            case commands.AppendAudio():
                self._model.send(self._protocol.encode(command))
            case commands.PlayAudio() | commands.MarkPlayback():
                self._phone.send(self._line.told(command))
            case commands.ClearPlayback():
                self._phone.send(self._line.told(command))
                # uvloop's time is the moment at which it woke to read: the model's word that the
                # caller speaks is among what it read then.
                self._services.figures.playback_cleared(time.monotonic() - self._loop.time())
            case commands.ConnectModel():
                self._model_wanted.set()
            case commands.RunFunction():
                task = self._tasks.create_task(self._run_function(command))
                self._functions.add(task)
                task.add_done_callback(self._functions.discard)
            case (
                commands.RecordTurn()
                | commands.ReviseTurn()
                | commands.RecordMessage()
                | commands.Note()
                | commands.RecordStart()
                | commands.KeepGreeting()
                | commands.KeepClip()
                | commands.TransferCall()
                | commands.SendDigits()
                | commands.EndCall()
            ):
                self._set_down(command)
            case commands.FailCall() | commands.LeaveCall():
                self._leave(command)
            case commands.DisableClips(reason):
                self._log.say("warning", "no more clips are recorded", reason=reason)
                self._services.speech_cache.stop_recording()
            case commands.Log():
                self._log.tell(command)
            case _:
                self._tell_model(command)

    def _tell_model(self, command: ModelCommand) -> None:
        self._model.send(self._protocol.encode(command))
        if event := self._protocol.assumed(command):
            self._loop.call_soon(self.post, event)

    def _set_down(self, command: commands.SetDown) -> None:
        """What takes a while, and is done in threads."""
        match command:
            case commands.RecordTurn(turn):
                self._services.turns.add(self._call.call_id, turn)
                self._services.figures.turn_ended(turn)
                self._measure()
                self._trace_turn(turn)
            case commands.ReviseTurn(turn):
                self._services.turns.add(self._call.call_id, turn)
            case commands.RecordMessage(message):
                add = self._services.store.add_message
                store = partial(add, self._call.call_id, message)
                self._records.add(lambda: self._attempt(store, events.MessageLost))
            case commands.Note(what, detail):
                entry = TimelineEntry(self._services.now_ms(), str(uuid.uuid4()), what, detail)
                self._records.add(lambda: self._services.store.note(self._call.call_id, entry))
            case commands.TransferCall(to, summary, from_):
                transfer = partial(self._apply, TransferRequested(to, from_, summary))
                self._records.add(lambda: self._attempt(transfer, events.TransferFailed))
            case commands.SendDigits(digits, duration_ms):
                press = partial(self._apply, DigitsRequested(digits, duration_ms))
                self._records.add(lambda: self._attempt(press, events.DigitsFailed))
            case commands.RecordStart():
                started = MediaStarted(self._services.now_ms())
                self._records.add(lambda: self._apply(started))
            case commands.KeepGreeting() | commands.KeepClip():
                self._cache_speech(command)
            case commands.EndCall(by):
                self._log.say("info", "ending call", by=by)
                self._records.add(lambda: self._apply(EndRequested(by)))

    def _cache_speech(self, command: commands.KeepGreeting | commands.KeepClip) -> None:
        cache = self._services.speech_cache
        match command:
            case commands.KeepGreeting(words, sound):
                self._records.add(partial(cache.keep_greeting, self._config, words, sound))
            case commands.KeepClip(kind, words, sound):
                self._records.add(partial(cache.keep_clip, self._config, kind, words, sound))
                self._log.say("info", "clip recorded", kind=kind)

    def _leave(self, command: commands.FailCall | commands.LeaveCall) -> None:
        match command:
            case commands.FailCall(reason, detail):
                self._log.say("error", "call FAILED", reason=reason, detail=cut(detail))
                self._record_fault(reason, cut(detail))
            case commands.LeaveCall(lost):
                self._log.say("info", "media stream ended", lost=lost)
                self._lost_at = self._loop.time() if lost else None
        self.has_left = True
        self._cancel_functions()
        self._phone.close()

    def _finish(self) -> None:
        self.is_over = True
        self._over.set()

    def _record_fault(self, reason: str, detail: str) -> None:
        fault = Fault(reason, detail, self._services.now_ms())
        self._records.add(lambda: self._apply(CallFailed(fault)))

    async def _run_function(self, command: commands.RunFunction) -> None:
        with self._services.tracer.span(self._call.call_id, "tool"):
            returned = await self._services.toolbox.run(self._call.call_id, command)
        self._log.say("info", "tool returned", tool=command.function.name, ok=returned.ok)
        self.post(returned)

    def _crash(self) -> None:
        self._log.say("exception", "call session crashed")
        self._leave(commands.FailCall("bridge_crashed", "the media bridge had a fault"))
        self._finish()

    def _trace_turn(self, turn: Turn) -> None:
        if self._services.tracer.is_on:
            since = self._loop.time() - self._bridge.stream_started
            start_ms = self._services.now_ms() - round(since * 1000)
            span = Span(
                self._call.call_id,
                f"turn of {turn.who}",
                start_ms + turn.started_ms,
                start_ms + turn.ended_ms,
                {"turn.number": turn.number, "turn.latency_ms": turn.latency_ms or 0},
            )
            self._services.tracer.record(span)

    def _measure(self) -> None:
        before, self._activity = self._activity, self._bridge.activity
        self._services.figures.call_went_on(before, self._activity)

    def _apply(self, event: CallEvent) -> None:
        self._services.switchboard.apply(self._call.call_id, event)

    def _attempt(
        self, job: Callable[[], object], failed: Callable[[str], events.SteeringEvent]
    ) -> None:
        """In a thread. What the carrier tells later comes by webhook, and by the mailbox."""
        try:
            job()
        except (PhonebridgeError, BotoCoreError, ClientError) as error:
            self._loop.call_soon_threadsafe(self.post, failed(str(error)))
            raise
