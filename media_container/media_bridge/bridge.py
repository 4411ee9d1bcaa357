"""The sans-I/O core of one call: what happened goes in, what to do comes out.

A bridge waits for two things, the phone's `start` and the model's session. As soon as both are
there it asks for the session's settings, and speaks only when the model confirmed them. Then the
caller's frames go to the model as they come, and the model's audio to the caller as the
conversation (`conversation/conversation.py`) lets it. Whatever another side owes has a deadline, so
no call is left in silence. The first ending wins: afterwards a bridge asks for nothing more. Where
the stream was opened with the dial, the session is made ready while the phone rings.
"""

from collections.abc import Iterable
from dataclasses import replace

from media_bridge import events, tool_events
from media_bridge.audio.codecs import Codec
from media_bridge.commands import (
    AddTimelineEntry,
    BridgeCommand,
    ClipKind,
    EndCall,
    FailCall,
    LeaveStream,
    Log,
    RecordStart,
    RecordTurn,
    SendToolOutput,
)
from media_bridge.conversation import stream_start
from media_bridge.conversation.call_end import CallEnd
from media_bridge.conversation.clip_recorder import ClipRecorder
from media_bridge.conversation.conversation import NO_CLIPS, Conversation
from media_bridge.conversation.frame_watch import FrameWatch
from media_bridge.conversation.greeting import CachedGreeting, Greeting
from media_bridge.conversation.history import History
from media_bridge.conversation.idle import IdleCaller
from media_bridge.conversation.last_words import LastWords
from media_bridge.conversation.memory import CallMemory
from media_bridge.conversation.model_session import ModelSession
from media_bridge.conversation.reconnects import LossReason, ReconnectBudget
from media_bridge.conversation.response_queue import Purpose
from media_bridge.conversation.steering import apply_event, needs_model
from media_bridge.conversation.time_limit import TimeLimit
from media_bridge.conversation.tool_calls import ToolCalls
from media_bridge.conversation.voicemail import Voicemail
from media_bridge.deadline import NEVER
from media_bridge.speech.caller_audio import CallerAudioPath
from media_bridge.speech.clips import SpeechClips
from phonebridge.call.call import Call, EndedBy
from phonebridge.call.config import CallConfig
from phonebridge.call.steering import (
    Answered,
    EndCallNow,
    MachineAnswered,
    Mute,
    Say,
    SayGoodbye,
    Side,
    TransferFinished,
)
from phonebridge.call.usage import Activity, Usage
from phonebridge.settings import ModelAudio

MEDIA_TIMEOUT_SECONDS = 60.0
"""From the start of the stream until the first frame."""
GOODBYE_TIMEOUT_SECONDS = 5.0
"""The carrier closes the stream within this time after we hang up."""


_GOING_ON = (events.AudioReceived, events.ResponseProgressed)
_CHANGES_RESUME = (
    events.ResponseEnded,
    tool_events.FunctionReturned,
    Mute,
)


class Bridge:
    """One call's media. `handle` answers every event with commands; call it again no later than
    `next_deadline`. Times are seconds of any clock that does not go back."""

    def __init__(
        self,
        call: Call,
        config: CallConfig,
        model_audio: ModelAudio,
        now: float,
        cached_greeting: CachedGreeting | None = None,
        clips: SpeechClips = NO_CLIPS,
        missing_clips: tuple[ClipKind, ...] = (),
        history: History | None = None,
    ) -> None:
        """With a history, the call has been carried by another stream before. The bridge goes on
        where that one stopped: it does not greet, and it does not wait for a machine's greeting."""
        self._call = call
        self._config = config
        self._model_audio = model_audio
        self._clips = clips
        self._history = history
        self._memory = CallMemory(history, call.attached_stream)
        is_first = history is None or not history.items
        self._greeting = Greeting(config, model_audio, cached_greeting, is_wanted=is_first)
        self._conversation = Conversation(config, model_audio, clips)
        self._tools = ToolCalls(config.tools, self._conversation)
        self._voicemail = Voicemail(config)
        self._time_limit = TimeLimit(config)
        self._clip_recorder = (
            ClipRecorder(missing_clips, config, model_audio) if missing_clips else None
        )
        recorders = (self._clip_recorder,) if self._clip_recorder else ()
        self._monitors = (self._voicemail, self._time_limit, IdleCaller(config), *recorders)
        self._caller_audio = CallerAudioPath(model_audio)
        budget = ReconnectBudget(call.call_id)
        self._model = ModelSession(config, model_audio, call.carries_early_stream, budget)
        self._model.begin(now)
        self._caller_was_speaking = False
        """The session was lost while the caller spoke."""
        self._line: Codec | None = None
        self._frame_watch = FrameWatch(MEDIA_TIMEOUT_SECONDS)
        self._start_due_at = now + stream_start.start_timeout(call)
        self._spent = Usage()
        self._held_events: list[events.SteeringEvent] = []
        self._end: CallEnd | None = None
        if history and history.items:
            self._model.has_conversation = True
            self._conversation.take_over(history)
            self._caller_audio.mute(history.resume.is_caller_muted)
        self._deadline = self._compute_deadline()

    @property
    def activity(self) -> Activity:
        if not self.has_started:  # a prepared greeting that nobody heard is no turn
            return Activity()
        return self._conversation.activity(
            self._caller_audio.frames, self._caller_audio.frames_lost
        )

    @property
    def stream_started(self) -> float:
        """Turns are timed from here."""
        return self._conversation.stream_started

    @property
    def usage(self) -> Usage:
        return self._spent + self._conversation.usage

    @property
    def is_over(self) -> bool:
        """Nothing more is to be done for this call."""
        return self._end is not None and self._end.is_over

    @property
    def waits_for_caller(self) -> bool:
        """The conversation pauses, and nothing is being done for the caller."""
        return self._end is None and self._speaks and self._conversation.waits_for_caller

    @property
    def has_started(self) -> bool:
        """The media stream has begun."""
        return self._line is not None

    @property
    def _speaks(self) -> bool:
        return self._line is not None and (
            self._model.has_conversation
            or self._greeting.is_cached
            or self._conversation.reply.is_over
        )

    def next_deadline(self) -> float | None:
        return self._deadline

    def _compute_deadline(self) -> float | None:
        if self._end is not None:
            return self._end.next_deadline()
        times = [
            self._start_due_at,
            self._model.due_at,
            self._frame_watch.due_at,
            self._caller_audio.next_deadline(),
            self._tools.next_deadline(),
        ]
        if self._speaks:
            times.append(self._conversation.next_deadline())
            times += [monitor.due_at for monitor in self._monitors]
        elif self._model.is_ready:
            times.append(self._conversation.reply.deadline)
        return min(times)

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
        self._greeting.record(event)
        return True

    def _respond(self, event: events.ControlEvent, now: float) -> list[BridgeCommand]:
        if self._end is not None:
            return self._until_call_ends(self._end.handle(event, now), now)
        commands = self._answer_about_clip(event, now) if self._clip_recorder else None
        self._memory.on_event(event, self._conversation.turns.count)
        taken = self._until_call_ends(
            self._on_event(event, now) if commands is None else commands, now
        )
        if isinstance(event, _CHANGES_RESUME) and self._end is None:
            taken += self._memory.save(self._conversation.resume)
        return taken

    def _due(self, now: float) -> list[BridgeCommand]:
        """Do what has become due, as long as nothing ends the call."""
        if self._end is not None or not self._speaks:
            return []
        commands = self._until_call_ends(self._conversation.due(now), now)
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

    def _answer_about_clip(
        self, event: events.ControlEvent, now: float
    ) -> list[BridgeCommand] | None:
        """Let the clip recorder answer events of a clip. It returns None for all others."""
        assert self._clip_recorder
        answer = self._clip_recorder.handle(event, self._conversation, now)
        if answer is not None and isinstance(event, events.ResponseEnded):
            self._spent += event.usage
        return answer

    def _on_event(self, event: events.ControlEvent, now: float) -> list[BridgeCommand]:
        if isinstance(event, events.DeadlinePassed):
            return self._on_deadline(now)
        if isinstance(event, events.ConversationEvent):
            return self._on_conversation(event, now)
        if self._is_stale(event):
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
            self._memory.on_command(command, self._conversation.turns.count)
            if not self._model.is_ready and self._model.hold(command):
                continue
            if isinstance(command, SendToolOutput):
                taken += self._memory.with_call(command)
                continue
            if isinstance(command, FailCall | LeaveStream):
                return [*taken, *self._leave(command, now)]
            if isinstance(command, EndCall) and self._call.is_browser_call:
                return [*taken, command, *self._leave(LeaveStream(was_lost=False), now)]
            if isinstance(command, EndCall):
                self._end = self._call_end(now)
                return [*taken, command, *self._end.hang_up(now + GOODBYE_TIMEOUT_SECONDS, now)]
            taken.append(command)
        return taken

    def _leave(self, command: FailCall | LeaveStream, now: float) -> list[BridgeCommand]:
        closed = self._close(now, keeps_resume=isinstance(command, LeaveStream))
        end = self._end = self._end or self._call_end(now)
        return [*closed, command, *end.leave(now)]

    def _close(self, now: float, keeps_resume: bool) -> list[BridgeCommand]:
        """Record what is open. Another stream may go on with the call."""
        if not self.has_started:
            return [*self._never_said(), *self._tools.close()]
        resume = self._conversation.resume
        closed = self._conversation.close(now)
        turns = [each.turn for each in closed if isinstance(each, RecordTurn)]
        cut = next((turn.text for turn in reversed(turns) if turn.interrupted), "")
        left = replace(resume, cut_off_words=cut or resume.cut_off_words)
        saved = self._memory.save(left) if keeps_resume else []
        return [*closed, *saved, *self._never_said(), *self._tools.close()]

    def _call_end(self, now: float) -> CallEnd:
        words = LastWords(self._conversation, self._caller_audio, now)
        return CallEnd(words, self._model, self.has_started)

    def _never_said(self) -> list[BridgeCommand]:
        """Note which words were not spoken because the model never became ready."""
        early = () if self._model.is_ready else self._held_events
        says = [each for each in early if isinstance(each, Say)]
        return [
            AddTimelineEntry("not spoken", f"{Purpose.SAY}: the model was not ready") for _ in says
        ]

    # The phone.

    def _on_stream(self, event: events.StreamEvent, now: float) -> list[BridgeCommand]:
        match event:
            case events.StreamStarted():
                return self._on_stream_started(event, now)
            case events.StreamStopped() if self._call.is_browser_call:
                return [EndCall(EndedBy.CALLER)]
            case events.StreamStopped():
                return [LeaveStream(was_lost=False)]
            case events.StreamLost():
                return [LeaveStream(was_lost=not self._model.is_ringing)]
            case events.StreamErrorReceived(detail):
                return [Log("warning", "telnyx stream error", detail)]
            case events.MalformedFrameReceived(detail):
                return [Log("warning", "unreadable media frame", detail)]
            case events.DigitPressed(digit):
                pressed = self._conversation.press(digit, now)
                return [Log("info", "digit pressed"), *pressed, *self._tools.on_caller_speech()]

    def _on_stream_started(self, event: events.StreamStarted, now: float) -> list[BridgeCommand]:
        if self._line is not None:
            return [Log("warning", "second start on one media socket")]
        agreed = Codec[self._config.codec] if self._call.is_browser_call else None
        line = stream_start.line_of(event, self._call, agreed)
        if isinstance(line, FailCall):
            return [line]
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
        """A frame moves a deadline only if it is the first one, or if it waits for earlier
        frames."""
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

    def _lose_session(self, reason: LossReason, why: str, now: float) -> list[BridgeCommand]:
        replaced = self._model.lose(reason, why, now)
        return self._with_apology([*self._on_session_lost(now), *replaced], now)

    def _on_session_lost(self, now: float) -> list[BridgeCommand]:
        """Go on without the model until the next session is ready."""
        if self._model.is_ringing:
            self._start_over()
            return []
        began_at = self._conversation.speech_began_at
        self._caller_was_speaking = began_at is not None
        self._caller_audio.lose_session(None if began_at is None else now - began_at)
        self._memory.lose_session()
        self._greeting.lose_session()
        if self._clip_recorder:
            self._clip_recorder.lose_session()
        return [*self._conversation.lose_session(now), *self._tools.lose_session(now)]

    def _start_talk(self, now: float) -> list[BridgeCommand]:
        """The first session is ready: greet, and do what had to wait for it."""
        commands = [*self._caller_audio.start_forwarding(), *self._greet(now)]
        held_events, self._held_events = self._held_events, []
        for held in held_events:
            commands += self._on_steering(held, now)
        return commands

    def _restore(self, now: float) -> list[BridgeCommand]:
        """Tell the next session what it has to know, then let the caller and the agent go on."""
        reply = self._conversation.reply
        commands = self._memory.restore(reply.cut_off_words, self._config.language)
        commands += self._caller_audio.start_forwarding()
        commands += reply.open_session(self._caller_was_speaking, now)
        self._caller_was_speaking = False
        return commands

    def _is_stale(self, event: events.ControlEvent) -> bool:
        """Return whether the event belongs to a session that is being replaced."""
        of_model = isinstance(event, events.SettingsEvent | tool_events.ToolEvent)
        of_server = isinstance(event, tool_events.FunctionReturned)
        return of_model and not of_server and not self._model.is_ready

    def _on_model_error(self, error: events.ModelErrorReceived, now: float) -> list[BridgeCommand]:
        if ended := self._conversation.refuted_cancel(error):
            return self._on_conversation(ended, now)
        return self._unless_it_rings(self._conversation.on_error(error, now), now)

    def _with_apology(self, commands: list[BridgeCommand], now: float) -> list[BridgeCommand]:
        """Play the apology, if there is one, before a call fails because of the model."""
        if not (self.has_started and self._clips.apology):
            return commands
        taken: list[BridgeCommand] = []
        for command in commands:
            if isinstance(command, FailCall):
                taken += self._conversation.reply.apologize(command, now)
            else:
                taken.append(command)
        return taken

    def _unless_it_rings(self, commands: list[BridgeCommand], now: float) -> list[BridgeCommand]:
        """Drop a failed session without failing the call while the phone rings. The next session is
        opened when somebody answers."""
        failed = next((each for each in commands if isinstance(each, FailCall)), None)
        if failed is None or not self._model.is_ringing:
            return commands
        commands = self._model.lose(LossReason.STALLED, failed.detail, now)
        self._start_over()
        return commands

    def _greet(self, now: float) -> list[BridgeCommand]:
        if not self._model.is_ready:
            return []
        return self._greeting.request(self._conversation, self.has_started, now)

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
        return commands + self._greeting.record(event)

    def _start_over(self) -> None:
        """Discard everything that belongs to a session that was lost before anybody answered."""
        self._spent = self.usage
        self._conversation = Conversation(self._config, self._model_audio, self._clips)
        self._tools = ToolCalls(self._config.tools, self._conversation)
        self._caller_audio = CallerAudioPath(self._model_audio)
        self._memory = CallMemory(self._history, self._call.attached_stream)
        self._model.start_over()
        self._greeting.start_over()

    # What it is told from outside.

    def _on_outside(self, event: events.OutsideEvent, now: float) -> list[BridgeCommand]:
        match event:
            case MachineAnswered(greeting_over):
                return self._on_machine(greeting_over, now)
            case Answered():
                return self._on_answer(now)
            case events.ClaimLost():
                return self._abandon(now)
            case EndCallNow() | events.LeaveRequested() | TransferFinished(failure=None):
                return [LeaveStream(was_lost=False)]
            case events.HangUpRequested(by) if self._model.is_ringing:
                return [EndCall(by)]
            case SayGoodbye() if self._model.is_ringing:
                return [EndCall(EndedBy.API)]
            case _:
                return self._on_steering(event, now)

    def _abandon(self, now: float) -> list[BridgeCommand]:
        self._end = self._call_end(now)
        self._end.is_over = True
        return []

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
            self._config = self._model.config = event.config
            self._tools.offer(event.config.tools)
        return apply_event(event, self._conversation, now)

    def _on_machine(self, greeting_over: bool, now: float) -> list[BridgeCommand]:
        commands = self._voicemail.on_machine(greeting_over, self._conversation, now)
        if self._conversation.ignores_caller:
            self._caller_audio.stop()
            self._tools.cancel_hangup()  # a message is still to be left
        return commands

    # Time.

    def _on_deadline(self, now: float) -> list[BridgeCommand]:
        commands = [*self._caller_audio.due(now), *self._tools.due(now)]
        if self._conversation.reply.deadline <= now:
            commands += self._on_silence(now)
        if self._start_due_at <= now:
            commands += self._on_missing_start()
        if self._model.due_at <= now:
            commands += self._with_apology(self._model.due(now), now)
        commands += self._frame_watch.check(self._caller_audio, self._conversation, now)
        return commands

    def _on_missing_start(self) -> list[BridgeCommand]:
        self._start_due_at = NEVER
        if not self._model.is_ringing:
            return [FailCall("no_media_start", "the media socket sent no start")]
        # Another stream takes its place as soon as somebody has answered.
        return [Log("warning", "no start on the early stream"), LeaveStream(was_lost=False)]
