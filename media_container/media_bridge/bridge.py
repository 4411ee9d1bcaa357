"""The sans-I/O core of one call: what happened goes in, what to do comes out.

A bridge waits for two things, the phone's `start` and the model's session. As soon as both are
there it asks for the session's settings, and speaks only when the model confirmed them. Then the
caller's frames go to the model as they come, and the model's audio to the caller as the
conversation (`conversation/conversation.py`) lets it. Whatever another side owes has a deadline, so
no call is left in silence. The first ending wins: afterwards a bridge asks for nothing more. Where
the stream was opened with the dial, the session is made ready while the phone rings.
"""

from collections.abc import Iterable
from enum import Enum, auto
from itertools import chain

from media_bridge import events
from media_bridge.audio.codecs import Codec
from media_bridge.commands import (
    AddTimelineEntry,
    BridgeCommand,
    ClipKind,
    CreateResponse,
    EndCall,
    FailCall,
    LeaveStream,
    Log,
    RecordStart,
)
from media_bridge.conversation import stream_start
from media_bridge.conversation.clip_recorder import ClipRecorder
from media_bridge.conversation.conversation import NO_CLIPS, Conversation
from media_bridge.conversation.deadline import earliest
from media_bridge.conversation.greeting import CACHED_ITEM_ID, CachedGreeting, GreetingRecorder
from media_bridge.conversation.idle import IdleCaller
from media_bridge.conversation.last_words import LastWords
from media_bridge.conversation.model_session import ModelSession
from media_bridge.conversation.response_queue import Purpose
from media_bridge.conversation.steering import apply_event, needs_model
from media_bridge.conversation.time_limit import TimeLimit
from media_bridge.conversation.tool_calls import ToolCalls
from media_bridge.conversation.unended_speech import UnendedSpeech
from media_bridge.conversation.voicemail import Voicemail
from media_bridge.speech.caller_audio import GAP_TIMEOUT_SECONDS, CallerAudioPath
from media_bridge.speech.clips import SpeechClips
from phonebridge.call.call import Call
from phonebridge.call.config import CallConfig, StreamSetup
from phonebridge.call.steering import Side
from phonebridge.call.usage import Activity, Usage
from phonebridge.settings import ModelAudio

READY_TIMEOUT_SECONDS = 12.0
MEDIA_TIMEOUT_SECONDS = 60.0
"""The carrier sends frames all the time; a line on hold may pause."""
GOODBYE_TIMEOUT_SECONDS = 5.0
"""From our hanging up until the carrier closes the stream."""


_GOING_ON = (events.AudioReceived, events.ResponseProgressed)


class _Awaited(Enum):
    START = auto()
    READY = auto()
    FRAME = auto()
    MEDIA = auto()


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
        self._cached_greeting = cached_greeting
        self._clips = clips
        self._greeting_recorder = GreetingRecorder.of(config, model_audio)
        self._conversation = Conversation(config, model_audio, clips)
        self._tools = ToolCalls(config.tools, self._conversation)
        self._voicemail = Voicemail(config)
        self._time_limit = TimeLimit(config)
        self._clip_recorder = (
            ClipRecorder(missing_clips, config, model_audio) if missing_clips else None
        )
        recorders = (self._clip_recorder,) if self._clip_recorder else ()
        self._monitors = (self._voicemail, self._time_limit, IdleCaller(config), *recorders)
        self._unended_speech = UnendedSpeech()
        self._caller_audio = CallerAudioPath(model_audio)
        self._model = ModelSession(call.carries_early_stream, model_audio, Codec[config.codec])
        self._deadlines = {_Awaited.START: now + stream_start.start_timeout(call)}
        if not self._model.is_ringing:
            self._deadlines[_Awaited.READY] = now + READY_TIMEOUT_SECONDS
        self._line: Codec | None = None
        self._frame_at = now
        self._greeted = False
        self._spent = Usage()
        self._held_events: list[events.SteeringEvent] = []
        self._leave_at: float | None = None
        self._last_words: LastWords | None = None
        self.is_over = False
        """Nothing more is to be done for this call."""
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
        """Turns count from here."""
        return self._conversation.stream_started

    @property
    def usage(self) -> Usage:
        return self._spent + self._conversation.usage

    @property
    def has_started(self) -> bool:
        """Whether the media stream ever began."""
        return self._line is not None

    @property
    def _speaks(self) -> bool:
        return self._line is not None and (
            self._model.is_ready
            or self._cached_greeting is not None
            or self._conversation.reply.is_over
        )

    def next_deadline(self) -> float | None:
        return self._deadline

    def _compute_deadline(self) -> float | None:
        if self.is_over:
            return None
        if self._last_words is not None:
            return self._last_words.due_at if self._leave_at is None else self._leave_at
        times = [self._caller_audio.next_deadline(), self._tools.next_deadline()]
        times += self._deadlines.values()
        if self._speaks:
            times += [
                self._conversation.next_deadline(),
                *[watch.due_at for watch in self._monitors],
            ]
        elif self._model.is_ready:
            times.append(self._conversation.reply.deadline)
        return earliest(*times)

    def handle(self, event: events.BridgeEvent, now: float) -> list[BridgeCommand]:
        if self.is_over:
            return []
        if self._last_words is not None:
            commands = self._on_ending(event, now, self._last_words)
        elif isinstance(event, events.CallerAudio):
            commands = self._on_caller_audio(event, now)
            if commands:  # fifty times a second: nothing else is due, and no deadline moves
                return commands
        elif isinstance(event, _GOING_ON) and self._goes_on(event, now):
            return []  # no deadline comes nearer
        else:
            answer = self._answer_about_clip(event, now) if self._clip_recorder else None
            if answer is None:
                answer = self._on_event(event, now)
            commands = self._until_call_ends(chain(answer, self._due(now)), now)
        self._deadline = self._compute_deadline()
        return commands

    def _goes_on(self, event: events.AudioReceived | events.ResponseProgressed, now: float) -> bool:
        """The model is far ahead of the caller: what it sends waits behind what waits already. Or
        it is merely at work."""
        if isinstance(event, events.ResponseProgressed):
            return self._conversation.reply.on_progress(event.response_id, now)
        if not self._conversation.append_audio(event, now):
            return False
        if self._greeting_recorder:
            self._greeting_recorder.record(event)
        return True

    def _due(self, now: float) -> Iterable[BridgeCommand]:
        """Begins when the answer to what has happened was taken, unless that was the end."""
        if self._speaks:
            yield from self._conversation.due(now)
            for watch in self._monitors:
                yield from watch.check(self._conversation, now)

    def _on_silence(self, now: float) -> list[BridgeCommand]:
        """The model has sent nothing for long. While the phone rings there is a model, and nobody
        who listens."""
        if not (self._speaks or self._model.is_ready):
            return []
        ended = self._conversation.reply.stalled_response(now)
        commands = self._on_conversation(ended, now) if ended else []
        commands += self._conversation.reply.due(now, self._conversation.caller_is_speaking)
        return self._unless_it_rings(commands)

    def _answer_about_clip(
        self, event: events.ControlEvent, now: float
    ) -> list[BridgeCommand] | None:
        """None for events that are not about a clip being recorded."""
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
        if isinstance(event, events.ToolEvent):
            return [*self._conversation.on_tool_event(event, now), *self._tools.handle(event, now)]
        if isinstance(event, events.SteeringEvent):
            return self._on_steering(event, now)
        if isinstance(event, events.SessionEvent):
            return self._on_session(event, now)
        if isinstance(event, events.MachineDetected):
            return self._on_machine(event.greeting_over, now)
        if isinstance(event, events.LeaveRequested):
            return [LeaveStream(was_lost=False)]
        if isinstance(event, events.AnswerReported):
            return self._on_answer(now)
        return self._on_stream(event, now)

    def _until_call_ends(
        self, commands: Iterable[BridgeCommand], now: float
    ) -> list[BridgeCommand]:
        """The commands up to the first that ends the bridge's part, the turns recorded before."""
        taken: list[BridgeCommand] = []
        for command in commands:
            if not self._model.is_ready and self._model.hold(command):
                continue
            if isinstance(command, FailCall | LeaveStream):
                closed = self._conversation.close(now) if self.has_started else []
                closed = [*closed, *self._never_said(), *self._tools.close()]
                return [*taken, *closed, command, *self._leave(now)]
            if isinstance(command, EndCall):
                self._leave_at = now + GOODBYE_TIMEOUT_SECONDS
                self._last_words = LastWords(self._conversation, self._caller_audio, now)
                ready = self._model.is_ready
                return [*taken, command, *(self._last_words.commit_speech(now) if ready else ())]
            taken.append(command)
        return taken

    def _never_said(self) -> list[BridgeCommand]:
        """What was to be said by a model that never became ready."""
        early = () if self._model.is_ready else self._held_events
        says = [each for each in early if isinstance(each, events.SayRequested)]
        return [
            AddTimelineEntry("not spoken", f"{Purpose.SAY}: the model was not ready") for _ in says
        ]

    # The phone.

    def _on_stream(self, event: events.StreamEvent, now: float) -> list[BridgeCommand]:
        match event:
            case events.StreamStarted():
                return self._on_stream_started(event, now)
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
        line = stream_start.line_of(event, self._call)
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
        if self._cached_greeting and not self._conversation.ignores_caller:
            self._conversation.agent_audio.play_recorded(
                CACHED_ITEM_ID, self._cached_greeting.words, self._cached_greeting.sound, now
            )
        del self._deadlines[_Awaited.START]
        self._frame_at = now
        self._deadlines[_Awaited.MEDIA] = now + MEDIA_TIMEOUT_SECONDS
        if not self._model.is_ready:
            self._deadlines.setdefault(_Awaited.READY, now + READY_TIMEOUT_SECONDS)
        return [*commands, *self._model.configure(line), *self._greet(now)]

    def _on_answer(self, now: float) -> list[BridgeCommand]:
        if self._model.is_ringing:
            self._deadlines[_Awaited.START] = now + stream_start.ANSWER_TIMEOUT_SECONDS
        return []

    def _on_caller_audio(self, event: events.CallerAudio, now: float) -> list[BridgeCommand]:
        if self._line is None:
            return []
        if not self._caller_audio.frames:
            self._deadlines[_Awaited.FRAME] = now + GAP_TIMEOUT_SECONDS
            self._deadline = self._compute_deadline()
        self._frame_at = now  # its deadlines move on when they pass, not fifty times a second
        return self._caller_audio.push(event.chunk, event.payload, now)

    # The model's session.

    def _on_session(self, event: events.SessionEvent, now: float) -> list[BridgeCommand]:
        was_ready, was_lost = self._model.is_ready, self._model.is_lost
        commands = self._with_apology(self._model.handle(event, self._line), now)
        if self._model.is_lost and not was_lost:
            self._start_over()
        elif self._model.is_ready and not was_ready:
            self._deadlines.pop(_Awaited.READY, None)
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
        """A call that fails because of the model ends with the apology, if there is one."""
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
        """Nobody has answered yet: the next session is opened when somebody does."""
        failed = next((each for each in commands if isinstance(each, FailCall)), None)
        if failed is None or not self._model.is_ringing:
            return commands
        self._start_over()
        return self._model.lose(failed.detail)

    def _greet(self, now: float) -> list[BridgeCommand]:
        """Once, as soon as somebody listens, or before that to have it at hand then."""
        prepares = self._config.stream_setup is StreamSetup.PREPARED
        greeted = self._cached_greeting or self._greeted or self._conversation.ignores_caller
        if greeted or not self._model.is_ready or not (self.has_started or prepares):
            return []
        self._greeted = True
        # Before anybody has answered nothing is to be done: perhaps nobody will.
        request = CreateResponse(self._config.greeting, allow_tools=self.has_started)
        return self._conversation.request_response(request, Purpose.GREETING, now)

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
        if self._greeting_recorder and (recording := self._greeting_recorder.record(event)):
            commands.append(recording)
        return commands

    def _start_over(self) -> None:
        """The session is of no use any more, and nobody has answered yet."""
        self._spent = self.usage
        self._conversation = Conversation(self._config, self._model_audio, self._clips)
        self._tools = ToolCalls(self._config.tools, self._conversation)
        self._caller_audio = CallerAudioPath(self._model_audio)
        self._greeting_recorder = GreetingRecorder.of(self._config, self._model_audio)
        self._greeted = False

    # What it is told from outside.

    def _on_steering(self, event: events.SteeringEvent, now: float) -> list[BridgeCommand]:
        if self._model.is_ringing and isinstance(event, events.HangUpRequested):
            return [EndCall(event.by)]
        if needs_model(event) and not self._model.is_ready:
            self._held_events.append(event)
            return []
        if isinstance(event, events.MuteRequested) and event.side is Side.CALLER:
            self._caller_audio.mute(event.muted)
            self._conversation.caller_is_muted = event.muted
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
        waits_until = self._conversation.reply.deadline
        if waits_until is not None and waits_until <= now:
            commands += self._on_silence(now)
        for awaited in [who for who, time in self._deadlines.items() if time <= now]:
            del self._deadlines[awaited]
            commands += self._on_timeout(awaited, now)
        return commands

    def _on_ending(
        self, event: events.BridgeEvent, now: float, last_words: LastWords
    ) -> list[BridgeCommand]:
        if self._leave_at is None:
            return self._hear_last_words(event, now, last_words)
        return self._until_call_ends(
            self._wait_for_stream_end(event, now, self._leave_at, last_words), now
        )

    def _wait_for_stream_end(
        self, event: events.BridgeEvent, now: float, leave_at: float, last_words: LastWords
    ) -> list[BridgeCommand]:
        """We hung up: the stream has to end, and the caller's last words may still come."""
        match event:
            case events.StreamStopped() | events.StreamLost() | events.LeaveRequested():
                return [LeaveStream(was_lost=False)]
            case events.DeadlinePassed() if leave_at <= now:
                return [LeaveStream(was_lost=False)]
            case events.ModelClosed():
                self._model.is_ready = False
                return []
            case _:
                return last_words.on_event(event, now) if self._model.is_ready else []

    def _leave(self, now: float) -> list[BridgeCommand]:
        """The leg ends at once; the model is left when it owes no more words."""
        self._leave_at = None
        last_words = self._last_words or LastWords(self._conversation, self._caller_audio, now)
        self._last_words = last_words
        if not (self.has_started and self._model.is_ready and last_words.are_awaited(now)):
            return self._give_up_words(now)
        return [*last_words.commit_speech(now), *last_words.cancel_unheard()]

    def _hear_last_words(
        self, event: events.BridgeEvent, now: float, last_words: LastWords
    ) -> list[BridgeCommand]:
        commands = last_words.on_event(event, now)
        if isinstance(event, events.ModelClosed) or not last_words.are_awaited(now):
            commands += self._give_up_words(now)
        return commands

    def _give_up_words(self, now: float) -> list[BridgeCommand]:
        self.is_over = True
        return [*self._conversation.turns.give_up(now)] if self.has_started else []

    def _on_timeout(self, awaited: _Awaited, now: float) -> list[BridgeCommand]:
        match awaited:
            case _Awaited.START if self._model.is_ringing:
                # Another stream takes its place as soon as somebody has answered.
                return [Log("warning", "no start on the early stream"), LeaveStream(was_lost=False)]
            case _Awaited.START:
                return [FailCall("no_media_start", "the media socket sent no start")]
            case _Awaited.READY:
                failed = FailCall("model_timeout", "the model session did not become ready")
                return self._with_apology([failed], now)
            case _Awaited.FRAME:
                return [*self._missed_frame(now), *self._watch_speech(now)]
            case _Awaited.MEDIA if self._has_received_within(MEDIA_TIMEOUT_SECONDS, now):
                self._deadlines[awaited] = self._frame_at + MEDIA_TIMEOUT_SECONDS
                return []
            case _Awaited.MEDIA:
                return [FailCall("media_silent", "the carrier stopped sending audio")]

    def _missed_frame(self, now: float) -> list[BridgeCommand]:
        received = self._has_received_within(GAP_TIMEOUT_SECONDS, now)
        since = self._frame_at if received else now
        self._deadlines[_Awaited.FRAME] = since + GAP_TIMEOUT_SECONDS
        speaks = self._conversation.caller_is_speaking
        return self._caller_audio.look_for_gap(self._frame_at, speaks, now)

    def _watch_speech(self, now: float) -> list[BridgeCommand]:
        return self._unended_speech.check(self._conversation, self._caller_audio, now)

    def _has_received_within(self, seconds: float, now: float) -> bool:
        return self._frame_at + seconds > now
