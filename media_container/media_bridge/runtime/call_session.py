"""The asyncio shell of one call: two sockets and one timer around a bridge.

It reads, lets the bridge answer, and carries the commands out in their order. It decides nothing.
Nothing on the audio's way waits: sockets call back and sending is buffered (`websocket.py`), and
what is recorded queues elsewhere (`call_records.py`).
"""

import asyncio
import time
from dataclasses import replace

from media_bridge import commands, events
from media_bridge.audio.codecs import Codec
from media_bridge.bridge import Bridge
from media_bridge.commands import BridgeCommand, ModelCommand
from media_bridge.conversation.greeting import CachedGreeting
from media_bridge.conversation.history import History
from media_bridge.runtime.call_log import CallLog, shorten
from media_bridge.runtime.call_records import CallRecords
from media_bridge.runtime.model_socket import ModelSocket
from media_bridge.runtime.services import Services
from media_bridge.runtime.speech_cache import FoundClips
from media_bridge.runtime.websocket import Buffer, WebSocket
from media_bridge.telnyx_stream import TelnyxStream
from phonebridge.call.call import Call
from phonebridge.call.config import CallConfig, Fallback
from phonebridge.call.turn import Turn
from phonebridge.observability.tracing import Span
from phonebridge.settings import MediaSettings

TIMER_STEP_SECONDS = 0.001
"""uvloop rounds to whole milliseconds: a timer set to the deadline itself may come before it, find
nothing due, and spin until it is."""


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
        history: History | None = None,
    ) -> None:
        config = _with_fallback(config, services.settings)
        self._call = call
        self._config = config
        self._services = services
        self._loop = asyncio.get_running_loop()
        audio = services.settings.model_audio
        self._bridge = Bridge(
            call, config, audio, self._loop.time(), greeting, found.clips, found.missing, history
        )
        self._stream = TelnyxStream(Codec[config.codec], services.settings.l16_byte_order)
        self._log = CallLog(services.log, call.call_id)
        self._records = CallRecords(call, config, services, self._log, self.dispatch)
        self._tasks = asyncio.TaskGroup()
        self._functions: set[asyncio.Task[None]] = set()
        self._activity = self._bridge.activity
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = 0.0
        self._over = asyncio.Event()
        self._is_abandoned = False
        self.is_over = False  # to ask the event takes a tenth of all that a frame takes
        self.has_left = False
        """The media stream has ended. The model may still owe transcripts of what was said."""
        self._lost_at: float | None = None
        self._phone = phone
        phone.on_message = self._on_phone_message
        phone.on_close = self._on_phone_close
        self._model = ModelSocket(
            call.call_id, config, services, self._log, self.dispatch, self._crash
        )

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
            tasks.create_task(self._records.write())
            self._model.open(self._config, tasks)
            try:
                await self._over.wait()
            finally:
                self._cancel_functions()
                self._close()
            if not self._is_abandoned:
                await self._report()
            self._records.close()

    def abandon(self) -> None:
        """Somebody else has this call now: say, write and command nothing more."""
        self._log.write("error", "call abandoned")
        self._is_abandoned = True
        self._records.discard()
        self.has_left = True
        self.dispatch(events.ClaimLost())
        self._finish()

    def _cancel_functions(self) -> None:
        for task in self._functions:
            task.cancel()

    def _close(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._model.close()
        self._phone.close()

    async def _report(self) -> None:
        self._measure()
        await self._records.report(self._activity, self._bridge.has_started, self._bridge.usage)
        if self._lost_at is not None:
            since = self._loop.time() - self._lost_at
            grace = self._services.lost_media_grace_seconds
            await asyncio.sleep(max(0.0, grace - since))
            self._records.add_fault("media_lost", "the media socket closed")

    # The sockets.

    def _on_phone_message(self, text: Buffer) -> None:
        if event := self._stream.decode(text):
            self.dispatch(event)

    def _on_phone_close(self, code: int, reason: str) -> None:
        self._log.write("info", "phone disconnected", code=code, reason=reason)
        self.dispatch(events.StreamLost())

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
                model = self._model  # without a call of its own: this is done at every frame
                model.socket.send(model.protocol.encode(command))
            case commands.PlayAudio() | commands.MarkPlayback():
                self._phone.send(self._stream.encode(command))
            case commands.ClearPlayback():
                self._phone.send(self._stream.encode(command))
                # uvloop's time is the moment at which it woke to read: the model's word that the
                # caller speaks is among what it read then.
                self._services.metrics.playback_cleared(time.monotonic() - self._loop.time())
            case commands.RunFunction():
                task = self._tasks.create_task(self._run_function(command))
                self._functions.add(task)
                task.add_done_callback(self._functions.discard)
            case (
                commands.RecordTurn()
                | commands.ReviseTurn()
                | commands.RecordMessage()
                | commands.SaveResume()
                | commands.AddTimelineEntry()
                | commands.RecordStart()
                | commands.CacheGreeting()
                | commands.KeepClip()
                | commands.TransferCall()
                | commands.SendDtmf()
                | commands.EndCall()
            ):
                self._record(command)
            case commands.FailCall() | commands.LeaveStream():
                self._leave(command)
            case commands.DisableClips(reason):
                self._log.write("warning", "no more clips are recorded", reason=reason)
                self._services.speech_cache.stop_recording()
            case commands.Log():
                self._log.write_entry(command)
            case _:
                self._tell_model(command)

    def _tell_model(
        self,
        command: ModelCommand
        | commands.ConnectModel
        | commands.RestoreHistory
        | commands.CountReconnect
        | commands.SpeakByCarrier,
    ) -> None:
        match command:
            case commands.SpeakByCarrier(words):
                self._tasks.create_task(self._speak_by_carrier(words))
            case commands.ConnectModel(config):
                self._model.open(config, self._tasks)
            case commands.RestoreHistory():
                self._model.restore(command)
            case commands.CountReconnect(reason, gap_ms):
                self._services.metrics.model_reconnected(reason, gap_ms)
            case _:
                self._model.send(command)

    def _record(self, command: commands.BackgroundCommand) -> None:
        """Whatever takes a while is done in threads."""
        if isinstance(command, commands.RecordTurn):
            self._services.metrics.turn_ended(command.turn)
            self._measure()
            self._trace_turn(command.turn)
        self._records.execute(command)

    def _leave(self, command: commands.FailCall | commands.LeaveStream) -> None:
        match command:
            case commands.FailCall(reason, detail):
                self._log.write("error", "call FAILED", reason=reason, detail=shorten(detail))
                self._records.fail(reason, shorten(detail))
            case commands.LeaveStream(lost):
                self._log.write("info", "media stream ended", lost=lost)
                self._lost_at = self._loop.time() if lost else None
        self.has_left = True
        self._cancel_functions()
        self._phone.close()

    def _finish(self) -> None:
        self.is_over = True
        self._over.set()

    async def _run_function(self, command: commands.RunFunction) -> None:
        with self._services.tracer.span(self._call.call_id, "tool"):
            returned = await self._services.tool_runner.run(self._call.call_id, command)
        self._log.write("info", "tool returned", tool=command.function.name, ok=returned.ok)
        self.dispatch(returned)

    async def _speak_by_carrier(self, words: str) -> None:
        await self._services.hangups.speak(self._call, words)
        self.dispatch(events.CarrierSpoke())

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


def _with_fallback(config: CallConfig, settings: MediaSettings) -> CallConfig:
    """The deployment's fallback counts for calls that have none of their own."""
    say, transfer_to = settings.fallback_say, settings.fallback_transfer_to
    if config.fallback or not (say or transfer_to):
        return config
    return replace(config, fallback=Fallback(say=say or None, transfer_to=transfer_to or None))
