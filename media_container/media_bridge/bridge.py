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
    AddTimelineEntry,
    BridgeCommand,
    ClipKind,
    EndCall,
    FailCall,
    LeaveStream,
    Log,
    RecordStart,
)
from media_bridge.conversation import stream_start
from media_bridge.conversation.call_end import CallEnd
from media_bridge.conversation.clip_recorder import ClipRecorder
from media_bridge.conversation.conversation import NO_CLIPS, Conversation
from media_bridge.conversation.frame_watch import FrameWatch
from media_bridge.conversation.greeting import CachedGreeting, Greeting
from media_bridge.conversation.idle import IdleCaller
from media_bridge.conversation.last_words import LastWords
from media_bridge.conversation.model_session import ModelSession
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

READY_TIMEOUT_SECONDS = 12.0
MEDIA_TIMEOUT_SECONDS = 60.0
"""A line on hold may pause for some time without sending frames."""
GOODBYE_TIMEOUT_SECONDS = 5.0
"""The carrier closes the stream within this time after we hang up."""


_GOING_ON = (events.AudioReceived, events.ResponseProgressed)


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
    ) -> None:
        self._call = call
        self._config = config
        self._model_audio = model_audio
        self._clips = clips
        self._greeting = Greeting(config, model_audio, cached_greeting)
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
        self._model = ModelSession(call.carries_early_stream, model_audio, Codec[config.codec])
        self._line: Codec | None = None
        self._frame_watch = FrameWatch(MEDIA_TIMEOUT_SECONDS)
        self._start_due_at = now + stream_start.start_timeout(call)
        self._ready_due_at = NEVER if self._model.is_ringing else now + READY_TIMEOUT_SECONDS
        self._spent = Usage()
        self._held_events: list[events.SteeringEvent] = []
        self._end: CallEnd | None = None
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
    def has_started(self) -> bool:
        """The media stream has begun."""
        return self._line is not None

    @property
    def _speaks(self) -> bool:
        return self._line is not None and (
            self._model.is_ready or self._greeting.is_cached or self._conversation.reply.is_over
        )

    def next_deadline(self) -> float | None:
        return self._deadline

    def _compute_deadline(self) -> float | None:
        if self._end is not None:
            return self._end.next_deadline()
        times = [
            self._start_due_at,
            self._ready_due_at,
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
        if self._end is not None:
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
        return self._until_call_ends(
            self._on_event(event, now) if commands is None else commands, now
        )

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
        ended = self._conversation.reply.stalled_response(now)
        commands = self._on_conversation(ended, now) if ended else []
        commands += self._conversation.reply.due(now, self._conversation.caller_is_speaking)
        return self._unless_it_rings(commands)

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
            if not self._model.is_ready and self._model.hold(command):
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
        closed = self._conversation.close(now) if self.has_started else []
        end = self._end = self._end or self._call_end(now)
        never_said = self._never_said()
        return [*closed, *never_said, *self._tools.close(), command, *end.leave(now)]

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
        return [*commands, *self._model.on_answered(), *self._begin(line, now)]

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
        if not self._model.is_ready and self._ready_due_at == NEVER:
            self._ready_due_at = now + READY_TIMEOUT_SECONDS
        return [*commands, *self._model.configure(line), *self._greet(now)]

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
        was_ready, was_lost = self._model.is_ready, self._model.is_lost
        commands = self._with_apology(self._model.handle(event, self._line), now)
        if self._model.is_lost and not was_lost:
            self._start_over()
        elif self._model.is_ready and not was_ready:
            self._ready_due_at = NEVER
            commands += [*self._caller_audio.start_forwarding(), *self._greet(now)]
            for held in self._held_events:
                commands += self._on_steering(held, now)
        elif isinstance(event, events.MalformedEventReceived):
            if event.event_type.startswith("response."):
                self._conversation.reply.on_progress(None, now)
        elif isinstance(event, events.ModelErrorReceived) and self._model.is_ready:
            commands += self._on_model_error(event, now)
        return commands

    def _on_model_error(self, error: events.ModelErrorReceived, now: float) -> list[BridgeCommand]:
        if ended := self._conversation.refuted_cancel(error):
            return self._on_conversation(ended, now)
        return self._unless_it_rings(self._conversation.on_error(error, now))

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

    def _unless_it_rings(self, commands: list[BridgeCommand]) -> list[BridgeCommand]:
        """Drop a failed session without failing the call while the phone rings. The next session is
        opened when somebody answers."""
        failed = next((each for each in commands if isinstance(each, FailCall)), None)
        if failed is None or not self._model.is_ringing:
            return commands
        self._start_over()
        return self._model.lose(failed.detail)

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
            return self._unless_it_rings(commands)
        return commands + self._greeting.record(event)

    def _start_over(self) -> None:
        """Discard everything that belongs to a session that was lost before anybody answered."""
        self._spent = self.usage
        self._conversation = Conversation(self._config, self._model_audio, self._clips)
        self._tools = ToolCalls(self._config.tools, self._conversation)
        self._caller_audio = CallerAudioPath(self._model_audio)
        self._greeting.start_over()

    # What it is told from outside.

    def _on_outside(self, event: events.OutsideEvent, now: float) -> list[BridgeCommand]:
        match event:
            case MachineAnswered(greeting_over):
                return self._on_machine(greeting_over, now)
            case Answered():
                return self._on_answer(now)
            case EndCallNow() | events.LeaveRequested() | TransferFinished(failure=None):
                return [LeaveStream(was_lost=False)]
            case events.HangUpRequested(by) if self._model.is_ringing:
                return [EndCall(by)]
            case SayGoodbye() if self._model.is_ringing:
                return [EndCall(EndedBy.API)]
            case _:
                return self._on_steering(event, now)

    def _on_steering(self, event: events.SteeringEvent, now: float) -> list[BridgeCommand]:
        if needs_model(event) and not self._model.is_ready:
            self._held_events.append(event)
            return []
        if isinstance(event, Mute) and event.side is Side.CALLER:
            self._caller_audio.mute(event.muted)
            self._conversation.mute_caller(event.muted)
            return []
        if isinstance(event, events.SettingsUpdated):
            self._config = event.config
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
        if self._ready_due_at <= now:
            self._ready_due_at = NEVER
            failed = FailCall("model_timeout", "the model session did not become ready")
            commands += self._with_apology([failed], now)
        commands += self._frame_watch.check(self._caller_audio, self._conversation, now)
        return commands

    def _on_missing_start(self) -> list[BridgeCommand]:
        self._start_due_at = NEVER
        if not self._model.is_ringing:
            return [FailCall("no_media_start", "the media socket sent no start")]
        # Another stream takes its place as soon as somebody has answered.
        return [Log("warning", "no start on the early stream"), LeaveStream(was_lost=False)]
