"""The asyncio shell of one call: two sockets and one timer around a bridge.

It reads, lets the bridge answer, and carries the commands out in their order. It decides nothing.
Nothing on the audio's way waits: sockets call back and sending is buffered (`websocket.py`), and
what is recorded queues elsewhere (`write_queue.py`).
"""

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from media_bridge import commands, events
from media_bridge.audio.codecs import Codec
from media_bridge.bridge import Bridge
from media_bridge.commands import BridgeCommand, ModelCommand
from media_bridge.conversation.greeting import CachedGreeting
from media_bridge.runtime.call_log import CallLog, shorten
from media_bridge.runtime.metrics import WorkerMetrics
from media_bridge.runtime.model_port import ModelUnreachable, SpeechModel
from media_bridge.runtime.speech_cache import FoundClips, SpeechCache
from media_bridge.runtime.threads import Threads
from media_bridge.runtime.tool_runner import ToolRunner
from media_bridge.runtime.turn_writer import TurnWriter
from media_bridge.runtime.websocket import ABNORMAL_CLOSURE, Buffer, WebSocket
from media_bridge.runtime.write_queue import WriteQueue
from media_bridge.telnyx_stream import TelnyxStream
from phonebridge.call.call import Call, Fault
from phonebridge.call.config import CallConfig
from phonebridge.call.events import (
    CallEvent,
    CallFailed,
    DigitsRequested,
    EndRequested,
    MediaReported,
    MediaStarted,
)
from phonebridge.call.transfer import TransferRequested
from phonebridge.call.turn import Turn
from phonebridge.call.usage import ModelUsage
from phonebridge.errors import PhonebridgeError
from phonebridge.observability.tracing import Span, Tracer
from phonebridge.ports import TimelineEntry
from phonebridge.settings import MediaSettings
from phonebridge.storage.call_store import DynamoCallStore
from phonebridge.switchboard import Switchboard

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
    turn_writer: TurnWriter
    now_ms: Callable[[], int]
    tracer: Tracer
    speech_cache: SpeechCache
    tool_runner: ToolRunner
    threads: Threads
    """For what calls write and command. A call has at most one job at a time, so with a thread for
    each slot no call waits for another."""
    metrics: WorkerMetrics
    lost_media_grace_seconds: float = 3.0
    """The wait after a media socket closed without `stop`. Usually the caller hung up: a webhook
    reports it."""


class CallSession:
    """`phone` is connected; `run` returns when the call is over and written down."""

    def __init__(
        self,
        call: Call,
        config: CallConfig,
        greeting: CachedGreeting | None,
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
        self._stream = TelnyxStream(Codec[config.codec], services.settings.l16_byte_order)
        self._log = CallLog(services.log, call.call_id)
        self._writes = WriteQueue(services.log, services.threads)
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

    def dispatch(self, event: events.BridgeEvent) -> None:
        """Something happened: let the bridge answer, and do what it says."""
        if self.is_over:
            return
        try:
            for command in self._bridge.handle(event, self._loop.time()):
                self._execute(command)
            self._set_timer()
        except Exception:  # noqa: BLE001 - the border of a call: its faults must not reach others
            self._crash()

    async def run(self) -> None:
        with self._services.tracer.span(self._call.call_id, "media session"):
            await self._run_sockets()

    async def _run_sockets(self) -> None:
        async with self._tasks as tasks:
            tasks.create_task(self._writes.write())
            connecting = tasks.create_task(self._open_model_sessions())
            try:
                await self._over.wait()
            finally:
                connecting.cancel()
                self._cancel_functions()
                self._close()
            await self._services.turn_writer.flush()
            self._report()
            if self._lost_at is not None:
                since = self._loop.time() - self._lost_at
                grace = self._services.lost_media_grace_seconds
                await asyncio.sleep(max(0.0, grace - since))
                self._record_fault("media_lost", "the media socket closed")
            self._writes.close()

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
            self._activity,
        )
        self._writes.add(lambda: store.add_usage(self._call.call_id, usage))
        report = MediaReported(self._call.attached_stream, self._bridge.has_started)
        self._writes.add(lambda: self._apply(report))

    # The sockets.

    def _on_phone_message(self, text: Buffer) -> None:
        if event := self._stream.decode(text):
            self.dispatch(event)

    def _on_phone_close(self, code: int, reason: str) -> None:
        self._log.write("info", "phone disconnected", code=code, reason=reason)
        self.dispatch(events.StreamLost())

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
            self._services.metrics.model_unreachable()
            self.dispatch(events.ModelClosed(ABNORMAL_CLOSURE, str(error)))
        except Exception:  # noqa: BLE001 - the border of a call: its faults must not reach others
            self._crash()
        else:
            self._services.metrics.model_connected(self._loop.time() - started)
            self._log.write("info", "model connected")

    def _on_model_message(self, text: Buffer) -> None:
        if event := self._protocol.decode(text):
            self.dispatch(event)

    def _on_repair(self, event_type: str, absent: list[str]) -> None:
        self._log.write("warning", "model event repaired", event_type=event_type, absent=absent)

    def _on_model_close(self, code: int, reason: str) -> None:
        self._log.write("info", "model disconnected", code=code, reason=reason)
        self.dispatch(events.ModelClosed(code, reason))

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
        self.dispatch(events.DeadlinePassed())

    # The commands.

    def _execute(self, command: BridgeCommand) -> None:
        match command:
            case commands.AppendAudio():
                self._model.send(self._protocol.encode(command))
            case commands.PlayAudio() | commands.MarkPlayback():
                self._phone.send(self._stream.encode(command))
            case commands.ClearPlayback():
                self._phone.send(self._stream.encode(command))
                # uvloop's time is the moment at which it woke to read: the model's word that the
                # caller speaks is among what it read then.
                self._services.metrics.playback_cleared(time.monotonic() - self._loop.time())
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
                | commands.AddTimelineEntry()
                | commands.RecordStart()
                | commands.CacheGreeting()
                | commands.KeepClip()
                | commands.TransferCall()
                | commands.SendDtmf()
                | commands.EndCall()
            ):
                self._run_in_background(command)
            case commands.FailCall() | commands.LeaveStream():
                self._leave(command)
            case commands.DisableClips(reason):
                self._log.write("warning", "no more clips are recorded", reason=reason)
                self._services.speech_cache.stop_recording()
            case commands.Log():
                self._log.write_entry(command)
            case _:
                self._send_to_model(command)

    def _send_to_model(self, command: ModelCommand) -> None:
        self._model.send(self._protocol.encode(command))
        if event := self._protocol.implied_event(command):
            self._loop.call_soon(self.dispatch, event)

    def _run_in_background(self, command: commands.BackgroundCommand) -> None:
        """What takes a while, and is done in threads."""
        match command:
            case commands.RecordTurn(turn):
                self._add_turn(turn)
                self._services.metrics.turn_ended(turn)
                self._measure()
                self._trace_turn(turn)
            case commands.ReviseTurn(turn):
                self._add_turn(turn)
            case commands.RecordMessage(message):
                numbered = replace(message, stream_number=self._call.attached_stream)
                store = partial(self._services.store.add_message, self._call.call_id, numbered)
                self._writes.add(lambda: self._run_carrier_command(store, events.MessageLost))
            case commands.AddTimelineEntry(what, detail):
                entry = TimelineEntry(self._services.now_ms(), str(uuid.uuid4()), what, detail)
                self._writes.add(
                    lambda: self._services.store.add_timeline_entry(self._call.call_id, entry)
                )
            case commands.TransferCall(to, summary, from_):
                transfer = partial(self._apply, TransferRequested(to, from_, summary))
                self._writes.add(lambda: self._run_carrier_command(transfer, events.TransferFailed))
            case commands.SendDtmf(digits, duration_ms):
                press = partial(self._apply, DigitsRequested(digits, duration_ms))
                self._writes.add(lambda: self._run_carrier_command(press, events.DigitsFailed))
            case commands.RecordStart():
                started = MediaStarted(self._services.now_ms())
                self._writes.add(lambda: self._apply(started))
            case commands.CacheGreeting() | commands.KeepClip():
                self._cache_speech(command)
            case commands.EndCall(by):
                self._log.write("info", "ending call", by=by)
                ended = EndRequested(by, self._services.now_ms())
                self._writes.add(lambda: self._apply(ended))

    def _add_turn(self, turn: Turn) -> None:
        numbered = replace(turn, stream_number=self._call.attached_stream)
        self._services.turn_writer.add(self._call.call_id, numbered)

    def _cache_speech(self, command: commands.CacheGreeting | commands.KeepClip) -> None:
        cache = self._services.speech_cache
        match command:
            case commands.CacheGreeting(words, sound):
                self._writes.add(partial(cache.store_greeting, self._config, words, sound))
            case commands.KeepClip(kind, words, sound):
                self._writes.add(partial(cache.store_clip, self._config, kind, words, sound))
                self._log.write("info", "clip recorded", kind=kind)

    def _leave(self, command: commands.FailCall | commands.LeaveStream) -> None:
        match command:
            case commands.FailCall(reason, detail):
                self._log.write("error", "call FAILED", reason=reason, detail=shorten(detail))
                self._record_fault(reason, shorten(detail))
            case commands.LeaveStream(lost):
                self._log.write("info", "media stream ended", lost=lost)
                self._lost_at = self._loop.time() if lost else None
        self.has_left = True
        self._cancel_functions()
        self._phone.close()

    def _finish(self) -> None:
        self.is_over = True
        self._over.set()

    def _record_fault(self, reason: str, detail: str) -> None:
        fault = Fault(reason, detail, self._services.now_ms())
        self._writes.add(lambda: self._apply(CallFailed(fault)))

    async def _run_function(self, command: commands.RunFunction) -> None:
        with self._services.tracer.span(self._call.call_id, "tool"):
            returned = await self._services.tool_runner.run(self._call.call_id, command)
        self._log.write("info", "tool returned", tool=command.function.name, ok=returned.ok)
        self.dispatch(returned)

    def _crash(self) -> None:
        self._log.write("exception", "call session crashed")
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
        self._services.metrics.call_went_on(before, self._activity)

    def _apply(self, event: CallEvent) -> None:
        stream_number = self._call.attached_stream
        self._services.switchboard.apply(self._call.call_id, event, stream_number)

    def _run_carrier_command(
        self, job: Callable[[], object], failed: Callable[[str], events.SteeringEvent]
    ) -> None:
        """In a thread. What the carrier tells later comes by webhook, and by the mailbox."""
        try:
            job()
        except (PhonebridgeError, BotoCoreError, ClientError) as error:
            self._loop.call_soon_threadsafe(self.dispatch, failed(str(error)))
            raise
