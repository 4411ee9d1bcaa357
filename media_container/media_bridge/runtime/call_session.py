"""The asyncio shell of one call: two sockets and one timer around a bridge.

It reads, lets the bridge answer, and carries the commands out in their order. It decides nothing.
Nothing on the audio's way waits: sockets call back and sending is buffered (`websocket.py`), and
what is recorded queues elsewhere (`call_records.py`).
"""

import asyncio
import time

from media_bridge import browser_frames, commands, events
from media_bridge.commands import BridgeCommand, BrowserCommand, ModelCommand
from media_bridge.runtime.call_claims import ClaimedCall
from media_bridge.runtime.call_log import CallLog, shorten
from media_bridge.runtime.call_records import CallRecords
from media_bridge.runtime.model_socket import ModelSocket
from media_bridge.runtime.services import Services
from media_bridge.runtime.session_bridge import bridge_of, stream_of
from media_bridge.runtime.websocket import (
    INTERNAL_ERROR,
    NORMAL_CLOSURE,
    OTHER_SOCKET,
    SERVICE_RESTART,
    Buffer,
    WebSocket,
)
from phonebridge.call.call import EndedBy
from phonebridge.call.turn import Turn
from phonebridge.observability.tracing import Span

MAX_HELD_EVENTS = 2_000
TIMER_STEP_SECONDS = 0.001
"""uvloop rounds to whole milliseconds: a timer set to the deadline itself may come before it, find
nothing due, and spin until it is."""


class CallSession:
    """`phone` is connected; `run` returns when the call is over and written down."""

    def __init__(self, claimed: ClaimedCall, phone: WebSocket, services: Services) -> None:
        call, config = claimed.call, claimed.config
        self._call = call
        self._config = config
        self._services = services
        self._loop = asyncio.get_running_loop()
        self._bridge = bridge_of(claimed, services, self._loop.time())
        self._stream = stream_of(call, config, services.settings)
        self._log = CallLog(services.log, call.call_id)
        self._records = CallRecords(
            call, config, services, self._log, self.dispatch, self._on_replaced, claimed.before
        )
        self._pulse = services.pulse
        self._held: list[events.BridgeEvent] = []
        """Events since the process may have been frozen."""
        self._tasks = asyncio.TaskGroup()
        self._functions: set[asyncio.Task[None]] = set()
        self._activity = self._bridge.activity
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = 0.0
        self._planned_for: float | None = 0.0
        """The bridge's deadline when the timer was last looked at."""
        self._over = asyncio.Event()
        self._is_replaced = asyncio.Event()
        self._is_abandoned = False
        self.is_over = False  # to ask the event takes a tenth of all that a frame takes
        self.is_moving = False
        """Another task will continue the call. The carrier was requested to open its stream."""
        self.stream_number = call.attached_stream
        self.has_left = False
        """The media stream has ended. The model may still owe transcripts of what was said."""
        self._lost_at: float | None = None
        self._close_code = NORMAL_CLOSURE
        self._phone = phone
        phone.on_message = self._on_phone_message
        phone.on_close = self._on_phone_close
        self._model = ModelSocket(
            call.call_id, config, services, self._log, self.dispatch, self._crash
        )

    def dispatch(self, event: events.BridgeEvent) -> None:
        """Let the bridge handle an event, and execute its commands."""
        if self.is_over:
            return
        now = self._loop.time()
        if now > self._pulse.late_at:
            self._hold(event)
            return
        try:
            for command in self._bridge.handle(event, now):
                self._execute(command)
            if self._bridge.next_deadline() != self._planned_for:
                self._set_timer()
        except Exception:  # noqa: BLE001 - the border of a call: its faults must not reach others
            self._crash()

    def _hold(self, event: events.BridgeEvent) -> None:
        """Keep the event until it is known which program has the call."""
        self._pulse.doubt()
        if len(self._held) < MAX_HELD_EVENTS:
            self._held.append(event)

    def handle_held(self) -> None:
        """Handle the kept events, because the call is still ours."""
        held, self._held = self._held, []
        for event in held:
            self.dispatch(event)

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
        """Stop, because another program has this call now. Say, write and command nothing more."""
        self._log.write("error", "call abandoned")
        self._is_abandoned = True
        self._records.discard()
        self.has_left = True
        self.dispatch(events.ClaimLost())
        self._finish()

    def _on_replaced(self) -> None:
        if not self.has_left:
            self.abandon()

    @property
    def waits_for_caller(self) -> bool:
        """Whether the conversation pauses, so that the call can move without being noticed."""
        return self._bridge.waits_for_caller and not self.has_left

    @property
    def can_move(self) -> bool:
        """Whether the media are there, and nothing has ended the session or moved the call."""
        return self._bridge.has_started and not (self.has_left or self.is_moving)

    def move(self) -> None:
        """Let another task carry the call on. The carrier closes this stream, and a browser opens
        the next one when we close it."""
        self._log.write("info", "call moves to another task")
        self.is_moving = True
        if self._call.is_browser_call:
            self.dispatch(events.StreamLost())
        else:
            self._records.replace_stream()

    def _cancel_functions(self) -> None:
        for task in self._functions:
            task.cancel()

    def _close(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._model.close()
        self._phone.close(self._close_code)

    async def _report(self) -> None:
        self._measure()
        await self._records.report(self._activity, self._bridge.has_started, self._bridge.usage)
        if self._lost_at is not None:
            await self._await_return(self._lost_at)

    async def _await_return(self, lost_at: float) -> None:
        """Wait for a browser that has lost its socket. It may come back."""
        lost_ms = self._services.now_ms()
        seconds = self._services.browser_return_seconds
        try:
            async with asyncio.timeout_at(lost_at + seconds):
                await self._is_replaced.wait()
        except TimeoutError:
            self._records.add_end(EndedBy.BROWSER_LOST, lost_ms)

    # The sockets.

    def _on_phone_message(self, text: Buffer) -> None:
        if event := self._stream.decode(text):
            self.dispatch(event)

    def _on_phone_close(self, code: int, reason: str) -> None:
        self._log.write("info", "phone disconnected", code=code, reason=reason)
        # A browser that closes with this code is done (RFC 6455, 7.4.1). A page that is left, or a
        # network that breaks, has another code.
        has_hung_up = self._call.is_browser_call and code == NORMAL_CLOSURE
        self.dispatch(events.StreamStopped() if has_hung_up else events.StreamLost())

    def give_way(self) -> None:
        """Leave the call, because another stream of it was claimed here."""
        self._is_replaced.set()
        self._close_code = OTHER_SOCKET
        self.dispatch(events.LeaveRequested())

    # The timer.

    def _set_timer(self) -> None:
        """Set the timer, never later than the bridge's deadline. A timer that fires early is cheap,
        so it is not moved for every frame that postpones a deadline."""
        deadline = self._planned_for = self._bridge.next_deadline()
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
        self._planned_for = 0.0
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
            case _ if isinstance(command, commands.BackgroundCommand):
                self._record(command)
            case commands.FailCall() | commands.LeaveStream():
                self._leave(command)
            case commands.DisableClips(reason):
                self._log.write("warning", "no more clips are recorded", reason=reason)
                self._services.speech_cache.stop_recording()
            case commands.Log():
                self._log.write_entry(command)
            case _:
                self._send(command)

    def _send(
        self,
        command: ModelCommand
        | BrowserCommand
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
            case _ if isinstance(command, BrowserCommand):
                self._phone.send(browser_frames.encode(command))
            case _:
                self._model.send(command)

    def _record(self, command: commands.BackgroundCommand) -> None:
        """Execute a command that takes a while, in a thread."""
        if isinstance(command, commands.RecordTurn):
            self._services.metrics.turn_ended(command.turn)
            self._measure()
            self._trace_turn(command.turn)
        self._records.execute(command)

    def _leave(self, command: commands.FailCall | commands.LeaveStream) -> None:
        match command:
            case commands.FailCall(reason, detail, seconds_ago):
                if self._call.is_browser_call:
                    self._close_code = INTERNAL_ERROR
                self._log.write("error", "call FAILED", reason=reason, detail=shorten(detail))
                self._records.fail(reason, shorten(detail), seconds_ago)
            case commands.LeaveStream(lost):
                self._log.write("info", "media stream ended", lost=lost)
                if lost and self._call.is_browser_call:
                    self._close_code = SERVICE_RESTART
                    self._lost_at = self._loop.time()
                elif lost:
                    self._records.replace_stream()
        self.has_left = True
        self._cancel_functions()
        self._phone.close(self._close_code)

    def _finish(self) -> None:
        self.is_over = True
        self._over.set()

    async def _run_function(self, command: commands.RunFunction) -> None:
        with self._services.tracer.span(self._call.call_id, "tool"):
            returned = await self._services.tool_runner.run(self._call.call_id, command)
        self._log.write("info", "tool returned", tool=command.function.name, ok=returned.ok)
        self.dispatch(returned)

    async def _speak_by_carrier(self, words: str) -> None:
        await self._records.end_last_stream()
        if await self._services.hangups.speak(self._call, words):
            await self._records.wait_until_spoken(words)
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
