"""The sans-I/O core of one call: what happened goes in, what to do comes out.

A bridge waits for two things, the phone's `start` and the model's session. As soon as both are
there it asks for the session's settings, and speaks only when the model confirmed them. Then the
caller's frames go to the model as they come, and the model's audio to the caller as the
conversation (`conversation/conversation.py`) lets it. Whatever another side owes has a deadline, so
no call is left in silence. The first ending wins: afterwards a bridge asks for nothing more. Where
the stream was opened with the dial, the session is made ready while the phone rings.
"""

from collections.abc import Iterable

from media_bridge import events, tool_events
from media_bridge.audio.codecs import Codec
from media_bridge.commands import (
    BridgeCommand,
    EndCall,
    FailCall,
    LeaveStream,
    Log,
    MarkPlayback,
    PlayAudio,
    RecordStart,
)
from media_bridge.conversation import stream_start
from media_bridge.conversation.call_parts import CallParts
from media_bridge.conversation.memory import REMEMBERED_EVENTS
from media_bridge.conversation.reconnects import LossReason
from media_bridge.conversation.steering import apply_event, needs_model
from media_bridge.deadline import NEVER
from phonebridge.call.call import EndedBy
from phonebridge.call.steering import (
    Answered,
    EndCallNow,
    MachineAnswered,
    Mute,
    SayGoodbye,
    Side,
    TransferFinished,
)

GOODBYE_TIMEOUT_SECONDS = 5.0
"""The carrier closes the stream within this time after we hang up."""


_GOING_ON = (events.AudioReceived, events.ResponseProgressed)
_CHANGES_RESUME = frozenset({events.ResponseEnded, tool_events.FunctionReturned, Mute})
_PLAYBACK = frozenset({PlayAudio, MarkPlayback})


class Bridge(CallParts):
    """The media of one call. `handle` answers every event with commands. Call it again no later
    than `next_deadline`. Times are seconds of any clock that does not go back."""

    def next_deadline(self) -> float | None:
        return self._deadline

    def handle(self, event: events.BridgeEvent, now: float) -> list[BridgeCommand]:
        """Do what the event asks for, do what has become due, and set the next deadline.

        Two kinds of events are so frequent that they end earlier, because nothing becomes due
        through them: the caller's frames, and what a response sends ahead of its playback.
        """
        if isinstance(event, events.CallerAudio):
            return self._on_caller_audio(event, now)
        if isinstance(event, _GOING_ON) and self._goes_on(event, now):
            return []
        commands = self._respond(event, now)
        commands += self._due(now)
        self._deadline = self._compute_deadline()
        return commands

    def _goes_on(self, event: events.AudioReceived | events.ResponseProgressed, now: float) -> bool:
        """Take sound that waits behind other sound, and events that show only that the model is at
        work."""
        if self._end is not None or not self._model.is_ready:
            return False
        if isinstance(event, events.ResponseProgressed):
            return self._conversation.reply.on_progress(event.response_id, now)
        if not self._conversation.append_audio(event, now):
            return False
        if self._greeting.is_recording:
            self._greeting.record(event)
        return True

    def _respond(self, event: events.ControlEvent, now: float) -> list[BridgeCommand]:
        if self._end is not None:
            return self._until_call_ends(self._end.handle(event, now), now)
        commands = self._answer_about_clip(event, now) if self._clip_recorder else None
        kind = type(event)
        if kind in REMEMBERED_EVENTS:
            self._memory.on_event(event, self._conversation.turns.count)
        taken = self._on_event(event, now) if commands is None else commands
        if taken:
            taken = self._until_call_ends(taken, now)
        if kind in _CHANGES_RESUME and self._end is None:
            taken += self._memory.save(self._conversation.resume)
        return taken

    def _due(self, now: float) -> list[BridgeCommand]:
        """Do what has become due, as long as nothing ends the call."""
        if self._end is not None or not self._speaks:
            return []
        commands = self._conversation.due(now)
        if commands:
            commands = self._until_call_ends(commands, now)
        for monitor in self._monitors:
            if self._end is None and (found := monitor.check(self._conversation, now)):
                commands += self._until_call_ends(found, now)
        return commands

    def _on_silence(self, now: float) -> list[BridgeCommand]:
        """End a response that has stalled, and do what the pending reply plans next."""
        if not (self._speaks or self._model.is_ready):
            return []
        if noted := self._conversation.reply.count_stall(now):
            return [*noted, *self._lose_session(LossReason.STALLED, "it sent no event", now)]
        ended = self._conversation.reply.stalled_response(now)
        commands = self._on_conversation(ended, now) if ended else []
        commands += self._conversation.reply.due(now, self._conversation.caller_is_speaking)
        return self._unless_it_rings(commands, now)

    def _on_event(self, event: events.ControlEvent, now: float) -> list[BridgeCommand]:
        if self._last_resort.is_used:
            instead = self._last_resort.handle(event, self._config, now)
            if instead is not None:
                return instead
        if isinstance(event, events.DeadlinePassed):
            return self._on_deadline(now)
        if isinstance(event, events.ConversationEvent):
            return self._on_conversation(event, now)
        if not self._model.is_ready and self._is_stale(event):
            return []
        if isinstance(event, tool_events.ToolEvent):
            return [*self._conversation.on_tool_event(event, now), *self._tools.handle(event, now)]
        if isinstance(event, events.SessionEvent):
            return self._on_session(event, now)
        if isinstance(event, events.StreamEvent):
            return self._on_stream(event, now)
        return self._on_outside(event, now)

    def _until_call_ends(
        self, commands: Iterable[BridgeCommand], now: float
    ) -> list[BridgeCommand]:
        """Return the commands up to the first one that ends the bridge's part. The open turns are
        recorded before it."""
        taken: list[BridgeCommand] = []
        for command in commands:
            if type(command) in _PLAYBACK:  # most commands by far
                taken.append(command)
                continue
            if isinstance(command, FailCall) and self._may_use_fallback(command):
                return [*taken, *self._until_call_ends(self._use_fallback(command, now), now)]
            self._memory.on_command(command, self._conversation.turns.count)
            if not self._model.is_ready and self._model.hold(command):
                continue
            if isinstance(command, FailCall | LeaveStream):
                return [*taken, *self._leave(command, now)]
            if isinstance(command, EndCall) and self._call.is_browser_call:
                return [*taken, command, *self._leave(LeaveStream(was_lost=False), now)]
            if isinstance(command, EndCall):
                self._end = self._call_end(now)
                return [*taken, command, *self._end.hang_up(now + GOODBYE_TIMEOUT_SECONDS, now)]
            taken += self._memory.with_call(command)
        return taken

    # The phone.

    def _on_stream(self, event: events.StreamEvent, now: float) -> list[BridgeCommand]:
        match event:
            case events.StreamStarted():
                return self._on_stream_started(event, now)
            case events.StreamStopped() if self._call.is_browser_call:
                return [EndCall(EndedBy.CALLER)]
            case events.StreamStopped():
                return [self._end_without_caller(now)]
            case events.StreamLost():
                return [LeaveStream(was_lost=not self._model.is_ringing)]
            case events.StreamErrorReceived(detail):
                return [Log("warning", "telnyx stream error", detail)]
            case events.MalformedFrameReceived(detail):
                return [Log("warning", "unreadable media frame", detail)]
            case events.DigitPressed(digit):
                pressed = self._conversation.press(digit, now)
                return [Log("info", "digit pressed"), *pressed, *self._tools.on_caller_speech()]

    def _end_without_caller(self, now: float) -> FailCall | LeaveStream:
        """Keep the cause of a call that failed, although its caller left during the apology."""
        self._last_resort.give_up()
        return self._conversation.reply.end_without_caller(now) or LeaveStream(was_lost=False)

    def _on_stream_started(self, event: events.StreamStarted, now: float) -> list[BridgeCommand]:
        if self._line is not None:
            return [Log("warning", "second start on one media socket")]
        agreed = Codec[self._config.codec] if self._call.is_browser_call else None
        line = stream_start.line_of(event, self._call, agreed)
        if isinstance(line, FailCall):
            return [line]
        if refusal := self._model.refusal_of(line):
            return [refusal]
        commands: list[BridgeCommand] = [Log("info", "media stream started", line.value)]
        if self._model.is_ringing:
            commands.append(RecordStart())
        return [*commands, *self._model.on_answered(now), *self._begin(line, now)]

    def _begin(self, line: Codec, now: float) -> list[BridgeCommand]:
        self._line = line
        self._caller_audio.begin(line, self._model.configured_codec or line, now)
        self._conversation.begin(now)
        self._time_limit.begin(now)
        known = self._call.detection
        machine = known if known and known.takes_message else None
        commands = self._on_machine(machine.greeting_over, now) if machine else []
        self._greeting.play_cached(self._conversation, now)
        self._start_due_at = NEVER
        self._frame_watch.begin(now)
        return [*commands, *self._model.configure(line, now), *self._greet(now)]

    def _on_answer(self, now: float) -> list[BridgeCommand]:
        if self._model.is_ringing:
            self._start_due_at = now + stream_start.ANSWER_TIMEOUT_SECONDS
        return []

    def _on_caller_audio(self, event: events.CallerAudio, now: float) -> list[BridgeCommand]:
        """Forward a frame of the caller. It moves a deadline only if it is the first one, or waits
        for earlier frames."""
        if self._line is None or self._end is not None:
            return []
        self._frame_watch.last_frame_at = now
        commands = self._caller_audio.push(event.chunk, event.payload, now)
        if not commands or self._caller_audio.frames == 1:
            self._frame_watch.expect_frames(now)
            self._deadline = self._compute_deadline()
        return commands

    # The model's session.

    def _on_session(self, event: events.SessionEvent, now: float) -> list[BridgeCommand]:
        if self._conversation.reply.is_over:
            return []
        was_ready, has_conversation = self._model.is_ready, self._model.has_conversation
        commands = self._model.handle(event, self._line, now)
        if was_ready and not self._model.is_ready:
            commands = [*self._on_session_lost(now), *commands]
        elif self._model.is_ready and not was_ready:
            commands += self._restore(now) if has_conversation else self._start_talk(now)
        elif isinstance(event, events.MalformedEventReceived):
            if event.event_type.startswith("response."):
                self._conversation.reply.on_progress(None, now)
        elif isinstance(event, events.ModelErrorReceived) and self._model.is_ready:
            commands += self._on_model_error(event, now)
        return self._with_apology(commands, now)

    def _start_talk(self, now: float) -> list[BridgeCommand]:
        """Greet, because the first session is ready. Then do what had to wait for it."""
        commands = [*self._caller_audio.start_forwarding(), *self._greet(now)]
        held_events, self._held_events = self._held_events, []
        for held in held_events:
            commands += self._on_steering(held, now)
        return commands

    def _on_model_error(self, error: events.ModelErrorReceived, now: float) -> list[BridgeCommand]:
        if ended := self._conversation.refuted_cancel(error):
            return self._on_conversation(ended, now)
        return self._unless_it_rings(self._conversation.on_error(error, now), now)

    def _on_conversation(self, event: events.ConversationEvent, now: float) -> list[BridgeCommand]:
        of_phone = isinstance(event, events.MarkReturned)
        if not (self._speaks if of_phone else self._model.is_ready):
            return []
        commands: list[BridgeCommand] = []
        replaces = isinstance(
            event, events.ResponseStarted
        ) and self._conversation.reply.replaced_by(event)
        if replaces:
            commands += self._on_conversation(replaces, now)
        commands += [*self._conversation.handle(event, now), *self._tools.on_event(event, now)]
        if self._model.is_ringing and any(isinstance(each, FailCall) for each in commands):
            return self._unless_it_rings(commands, now)
        if self._greeting.is_recording:
            commands += self._greeting.record(event)
        return commands

    # Requests and reports from outside.

    def _on_outside(self, event: events.OutsideEvent, now: float) -> list[BridgeCommand]:
        match event:
            case MachineAnswered(greeting_over):
                return self._on_machine(greeting_over, now)
            case Answered():
                return self._on_answer(now)
            case events.ClaimLost():
                return self._abandon(now)
            case events.CarrierSpoke():
                return []
            case EndCallNow() | events.LeaveRequested() | TransferFinished(failure=None):
                return [LeaveStream(was_lost=False)]
            case events.HangUpRequested(by) if self._model.is_ringing:
                return [EndCall(by)]
            case SayGoodbye() if self._model.is_ringing:
                return [EndCall(EndedBy.API)]
            case _:
                return self._on_steering(event, now)

    def _on_steering(self, event: events.SteeringEvent, now: float) -> list[BridgeCommand]:
        is_early = not (self._model.is_ready or self._model.is_being_replaced)
        if needs_model(event) and is_early:
            self._held_events.append(event)
            return []
        if isinstance(event, Mute) and event.side is Side.CALLER:
            self._caller_audio.mute(event.muted)
            self._conversation.mute_caller(event.muted)
            return []
        if isinstance(event, events.SettingsUpdated):
            self._server_watch.on_answer(now)
            self._config = self._model.config = event.config
            self._tools.offer(event.config.tools)
        return apply_event(event, self._conversation, now)

    # Time.

    def _on_deadline(self, now: float) -> list[BridgeCommand]:
        commands = self._tools.due(now)
        if self._caller_audio.next_deadline() <= now:
            commands = [*self._caller_audio.due(now), *commands]
        if self._conversation.reply.deadline <= now:
            commands += self._on_silence(now)
        if self._start_due_at <= now:
            commands += self._on_missing_start()
        if self._last_resort.due_at <= now:
            commands += self._last_resort.due(self._config, now)
        if self._model.due_at <= now:
            commands += self._with_apology(self._model.due(now), now)
        if self._frame_watch.due_at <= now:
            commands += self._frame_watch.check(self._caller_audio, self._conversation, now)
            if self._server_watch.due_at <= now:
                commands += self._check_server(now)
        return commands

    def _on_missing_start(self) -> list[BridgeCommand]:
        self._start_due_at = NEVER
        if not self._model.is_ringing:
            return [FailCall("no_media_start", "the media socket sent no start")]
        # Another stream takes its place as soon as somebody has answered.
        return [Log("warning", "no start on the early stream"), LeaveStream(was_lost=False)]
