"""The sans-I/O core of one call: what happened goes in, what to do comes out.

A bridge waits for two things, the phone's `start` and the model's session. As soon as both are
there it asks for the session's settings, and speaks only when the model confirmed them. Then the
caller's frames go to the model as they come, and the model's audio to the caller as the
conversation (`conversation.py`) lets it. Whatever another side owes has a deadline, so no call is
left in silence. The first ending wins: afterwards a bridge asks for nothing more.
Where the stream was opened with the dial, the session is made ready while the phone rings.
"""

from collections.abc import Iterable
from enum import Enum, auto
from itertools import chain

from media_bridge import events, stream_start
from media_bridge.audio import Codec
from media_bridge.clip_recorder import ClipRecorder
from media_bridge.clip_words import ClipKind
from media_bridge.clips import Clips
from media_bridge.commands import (
    BridgeCommand,
    EndCall,
    FailCall,
    LeaveCall,
    Log,
    Note,
    RecordStart,
    Respond,
)
from media_bridge.conversation import NO_CLIPS, Conversation
from media_bridge.deadline import earliest
from media_bridge.greeting import KEPT_ITEM, KeptGreeting, Tape
from media_bridge.hearing import GAP_TIMEOUT_SECONDS, Hearing
from media_bridge.idle import IdleCaller
from media_bridge.last_words import LastWords
from media_bridge.model_session import ModelSession
from media_bridge.responses import Purpose
from media_bridge.steering import needs_model, steered
from media_bridge.time_limit import TimeLimit
from media_bridge.tools import ToolCalls
from media_bridge.unended_speech import UnendedSpeech
from media_bridge.voicemail import Voicemail
from phonebridge.billing import Usage
from phonebridge.call import Activity, Call
from phonebridge.call_config import CallConfig, StreamSetup
from phonebridge.settings import ModelAudio
from phonebridge.steering import Side

READY_PATIENCE = 12.0
MEDIA_PATIENCE = 60.0
"""The carrier sends frames all the time; a line on hold may pause."""
GOODBYE_PATIENCE = 5.0
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
        kept: KeptGreeting | None = None,
        clips: Clips = NO_CLIPS,
        missing_clips: tuple[ClipKind, ...] = (),
    ) -> None:
        self._call = call
        self._config = config
        self._model_audio = model_audio
        self._kept = kept
        self._clips = clips
        self._tape = Tape.of(config, model_audio)
        self._talk = Conversation(config, model_audio, clips)
        self._tools = ToolCalls(config.tools, self._talk)
        self._voicemail = Voicemail(config)
        self._time_limit = TimeLimit(config)
        self._clip_recorder = (
            ClipRecorder(missing_clips, config, model_audio) if missing_clips else None
        )
        recorders = (self._clip_recorder,) if self._clip_recorder else ()
        self._watches = (self._voicemail, self._time_limit, IdleCaller(config), *recorders)
        self._unended_speech = UnendedSpeech()
        self._hearing = Hearing(model_audio)
        self._model = ModelSession(call.carries_early_stream, model_audio, Codec[config.codec])
        self._deadlines = {_Awaited.START: now + stream_start.patience(call)}
        if not self._model.rings:
            self._deadlines[_Awaited.READY] = now + READY_PATIENCE
        self._line: Codec | None = None
        self._frame_at = now
        self._greeted = False
        self._spent = Usage()
        self._told_early: list[events.SteeringEvent] = []
        self._leave_at: float | None = None
        self._last_words: LastWords | None = None
        self.is_over = False
        """Nothing more is to be done for this call."""
        self._deadline = self._reckon_deadline()

    @property
    def activity(self) -> Activity:
        if not self.started:  # a prepared greeting that nobody heard is no turn
            return Activity()
        return self._talk.activity(self._hearing.frames, self._hearing.frames_lost)

    @property
    def stream_started(self) -> float:
        """Turns count from here."""
        return self._talk.stream_started

    @property
    def usage(self) -> Usage:
        return self._spent + self._talk.usage

    @property
    def started(self) -> bool:
        """Whether the media stream ever began."""
        return self._line is not None

    @property
    def _speaks(self) -> bool:
        return self._line is not None and (
            self._model.ready or self._kept is not None or self._talk.reply.is_over
        )

    def next_deadline(self) -> float | None:
        return self._deadline

    def _reckon_deadline(self) -> float | None:
        if self.is_over:
            return None
        if self._last_words is not None:
            return self._last_words.due_at if self._leave_at is None else self._leave_at
        times = [self._hearing.next_deadline(), self._tools.next_deadline()]
        times += self._deadlines.values()
        if self._speaks:
            times += [self._talk.next_deadline(), *[watch.due_at for watch in self._watches]]
        elif self._model.ready:
            times.append(self._talk.reply.deadline)
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
                answer = self._answer(event, now)
            commands = self._until_the_end(chain(answer, self._due(now)), now)
        self._deadline = self._reckon_deadline()
        return commands

    def _goes_on(self, event: events.AudioReceived | events.ResponseProgressed, now: float) -> bool:
        """The model is far ahead of the caller: what it sends waits behind what waits already. Or
        it is merely at work."""
        if isinstance(event, events.ResponseProgressed):
            return self._talk.reply.progressed(event.response_id, now)
        if not self._talk.pile_up(event, now):
            return False
        if self._tape:
            self._tape.hear(event)
        return True

    def _due(self, now: float) -> Iterable[BridgeCommand]:
        """Begins when the answer to what has happened was taken, unless that was the end."""
        if self._speaks:
            yield from self._talk.due(now)
            for watch in self._watches:
                yield from watch.watch(self._talk, now)

    def _on_silence(self, now: float) -> list[BridgeCommand]:
        """The model has sent nothing for long. While the phone rings there is a model, and nobody
        who listens."""
        if not (self._speaks or self._model.ready):
            return []
        ended = self._talk.reply.stalled(now)
        commands = self._on_conversation(ended, now) if ended else []
        commands += self._talk.reply.due(now, self._talk.caller_is_speaking)
        return self._unless_it_rings(commands)

    def _answer_about_clip(self, event: events.RareEvent, now: float) -> list[BridgeCommand] | None:
        """None for events that are not about a clip being recorded."""
        assert self._clip_recorder
        answer = self._clip_recorder.handle(event, self._talk, now)
        if answer is not None and isinstance(event, events.ResponseEnded):
            self._spent += event.usage
        return answer

    def _answer(self, event: events.RareEvent, now: float) -> list[BridgeCommand]:
        if isinstance(event, events.DeadlinePassed):
            return self._on_deadline(now)
        if isinstance(event, events.ConversationEvent):
            return self._on_conversation(event, now)
        if isinstance(event, events.ToolEvent):
            return [*self._talk.on_tool_event(event, now), *self._tools.handle(event, now)]
        if isinstance(event, events.SteeringEvent):
            return self._on_steering(event, now)
        if isinstance(event, events.SessionEvent):
            return self._on_session(event, now)
        if isinstance(event, events.MachineAnswered):
            return self._on_machine(event.greeting_over, now)
        if isinstance(event, events.LeaveAsked):
            return [LeaveCall(lost=False)]
        if isinstance(event, events.AnswerReported):
            return self._on_answer(now)
        return self._on_stream(event, now)

    def _until_the_end(self, commands: Iterable[BridgeCommand], now: float) -> list[BridgeCommand]:
        """The commands up to the first that ends the bridge's part, the turns recorded before."""
        taken: list[BridgeCommand] = []
        for command in commands:
            if not self._model.ready and self._model.hold(command):
                continue
            if isinstance(command, FailCall | LeaveCall):
                closed = self._talk.close(now) if self.started else []
                closed = [*closed, *self._never_said(), *self._tools.close()]
                return [*taken, *closed, command, *self._leave(now)]
            if isinstance(command, EndCall):
                self._leave_at = now + GOODBYE_PATIENCE
                self._last_words = LastWords(self._talk, self._hearing, now)
                ready = self._model.ready
                return [*taken, command, *(self._last_words.commit_speech(now) if ready else ())]
            taken.append(command)
        return taken

    def _never_said(self) -> list[BridgeCommand]:
        """What was to be said by a model that never became ready."""
        early = () if self._model.ready else self._told_early
        says = [each for each in early if isinstance(each, events.SayAsked)]
        return [Note("not spoken", f"{Purpose.SAY}: the model was not ready") for _ in says]

    # The phone.

    def _on_stream(self, event: events.StreamEvent, now: float) -> list[BridgeCommand]:
        match event:
            case events.StreamStarted():
                return self._on_stream_started(event, now)
            case events.StreamStopped():
                return [LeaveCall(lost=False)]
            case events.StreamLost():
                return [LeaveCall(lost=not self._model.rings)]
            case events.StreamComplained(detail):
                return [Log("warning", "telnyx stream error", detail)]
            case events.FrameUnreadable(detail):
                return [Log("warning", "unreadable media frame", detail)]
            case events.DigitPressed(digit):
                pressed = self._talk.press(digit, now)
                return [Log("info", "digit pressed"), *pressed, *self._tools.caller_spoke()]

    def _on_stream_started(self, event: events.StreamStarted, now: float) -> list[BridgeCommand]:
        if self._line is not None:
            return [Log("warning", "second start on one media socket")]
        line = stream_start.line_of(event, self._call)
        if isinstance(line, FailCall):
            return [line]
        commands: list[BridgeCommand] = [Log("info", "media stream started", line.value)]
        if self._model.rings:
            commands.append(RecordStart())
        return [*commands, *self._model.answered(), *self._begin(line, now)]

    def _begin(self, line: Codec, now: float) -> list[BridgeCommand]:
        self._line = line
        self._hearing.begin(line, self._model.told or line)
        self._talk.begin(now)
        self._time_limit.begin(now)
        known = self._call.detection
        machine = known if known and known.takes_message else None
        commands = self._on_machine(machine.greeting_over, now) if machine else []
        if self._kept and not self._talk.is_deaf:
            self._talk.speech.recite(KEPT_ITEM, self._kept.words, self._kept.sound, now)
        del self._deadlines[_Awaited.START]
        self._frame_at = now
        self._deadlines[_Awaited.MEDIA] = now + MEDIA_PATIENCE
        if not self._model.ready:
            self._deadlines.setdefault(_Awaited.READY, now + READY_PATIENCE)
        return [*commands, *self._model.configure(line), *self._greet(now)]

    def _on_answer(self, now: float) -> list[BridgeCommand]:
        if self._model.rings:
            self._deadlines[_Awaited.START] = now + stream_start.ANSWER_PATIENCE
        return []

    def _on_caller_audio(self, event: events.CallerAudio, now: float) -> list[BridgeCommand]:
        if self._line is None:
            return []
        if not self._hearing.frames:
            self._deadlines[_Awaited.FRAME] = now + GAP_TIMEOUT_SECONDS
            self._deadline = self._reckon_deadline()
        self._frame_at = now  # its deadlines move on when they pass, not fifty times a second
        return self._hearing.frame(event.chunk, event.payload, now)

    # The model's session.

    def _on_session(self, event: events.SessionEvent, now: float) -> list[BridgeCommand]:
        was_ready, was_lost = self._model.ready, self._model.lost
        commands = self._apologized(self._model.handle(event, self._line), now)
        if self._model.lost and not was_lost:
            self._start_over()
        elif self._model.ready and not was_ready:
            self._deadlines.pop(_Awaited.READY, None)
            commands += [*self._hearing.pass_on(), *self._greet(now)]
            for told in self._told_early:
                commands += self._on_steering(told, now)
        elif isinstance(event, events.MalformedEventReceived):
            if event.event_type.startswith("response."):
                self._talk.reply.progressed(None, now)
        elif isinstance(event, events.ModelComplained) and self._model.ready:
            commands += self._on_model_error(event, now)
        return commands

    def _on_model_error(self, error: events.ModelComplained, now: float) -> list[BridgeCommand]:
        if ended := self._talk.refuted_cancel(error):
            return self._on_conversation(ended, now)
        return self._unless_it_rings(self._talk.on_error(error, now))

    def _apologized(self, commands: list[BridgeCommand], now: float) -> list[BridgeCommand]:
        """A call that fails because of the model ends with the apology, if there is one."""
        if not (self.started and self._clips.apology):
            return commands
        taken: list[BridgeCommand] = []
        for command in commands:
            if isinstance(command, FailCall):
                taken += self._talk.reply.apologize(command, now)
            else:
                taken.append(command)
        return taken

    def _unless_it_rings(self, commands: list[BridgeCommand]) -> list[BridgeCommand]:
        """Nobody has answered yet: the next session is opened when somebody does."""
        failed = next((each for each in commands if isinstance(each, FailCall)), None)
        if failed is None or not self._model.rings:
            return commands
        self._start_over()
        return self._model.lose(failed.detail)

    def _greet(self, now: float) -> list[BridgeCommand]:
        """Once, as soon as somebody listens, or before that to have it at hand then."""
        prepares = self._config.stream_setup is StreamSetup.PREPARED
        greeted = self._kept or self._greeted or self._talk.is_deaf
        if greeted or not self._model.ready or not (self.started or prepares):
            return []
        self._greeted = True
        # Before anybody has answered nothing is to be done: perhaps nobody will.
        request = Respond(self._config.greeting, may_call=self.started)
        return self._talk.ask(request, Purpose.GREETING, now)

    def _on_conversation(self, event: events.ConversationEvent, now: float) -> list[BridgeCommand]:
        of_phone = isinstance(event, events.MarkReturned)
        if not (self._speaks if of_phone else self._model.ready):
            return []
        commands: list[BridgeCommand] = []
        replaces = isinstance(event, events.ResponseStarted) and self._talk.reply.replaced_by(event)
        if replaces:
            commands += self._on_conversation(replaces, now)
        commands += [*self._talk.handle(event, now), *self._tools.hear(event, now)]
        if self._model.rings and any(isinstance(each, FailCall) for each in commands):
            return self._unless_it_rings(commands)
        if self._tape and (kept := self._tape.hear(event)):
            commands.append(kept)
        return commands

    def _start_over(self) -> None:
        """The session is of no use any more, and nobody has answered yet."""
        self._spent = self.usage
        self._talk = Conversation(self._config, self._model_audio, self._clips)
        self._tools = ToolCalls(self._config.tools, self._talk)
        self._hearing = Hearing(self._model_audio)
        self._tape = Tape.of(self._config, self._model_audio)
        self._greeted = False

    # What it is told from outside.

    def _on_steering(self, event: events.SteeringEvent, now: float) -> list[BridgeCommand]:
        if self._model.rings and isinstance(event, events.EndAsked):
            return [EndCall(event.by)]
        if needs_model(event) and not self._model.ready:
            self._told_early.append(event)
            return []
        if isinstance(event, events.MuteAsked) and event.side is Side.CALLER:
            self._hearing.mute(event.muted)
            self._talk.caller_is_muted = event.muted
            return []
        if isinstance(event, events.SettingsUpdated):
            self._config = event.config
            self._tools.offer(event.config.tools)
        return steered(event, self._talk, now)

    def _on_machine(self, greeting_over: bool, now: float) -> list[BridgeCommand]:
        commands = self._voicemail.answered(greeting_over, self._talk, now)
        if self._talk.is_deaf:
            self._hearing.stop()
            self._tools.stay()  # a message is still to be left
        return commands

    # Time.

    def _on_deadline(self, now: float) -> list[BridgeCommand]:
        commands = [*self._hearing.due(now), *self._tools.due(now)]
        waits_until = self._talk.reply.deadline
        if waits_until is not None and waits_until <= now:
            commands += self._on_silence(now)
        for awaited in [who for who, time in self._deadlines.items() if time <= now]:
            del self._deadlines[awaited]
            commands += self._missed(awaited, now)
        return commands

    def _on_ending(
        self, event: events.BridgeEvent, now: float, last_words: LastWords
    ) -> list[BridgeCommand]:
        if self._leave_at is None:
            return self._hear_last_words(event, now, last_words)
        return self._until_the_end(self._take_leave(event, now, self._leave_at, last_words), now)

    def _take_leave(
        self, event: events.BridgeEvent, now: float, leave_at: float, last_words: LastWords
    ) -> list[BridgeCommand]:
        """We hung up: the stream has to end, and the caller's last words may still come."""
        match event:
            case events.StreamStopped() | events.StreamLost() | events.LeaveAsked():
                return [LeaveCall(lost=False)]
            case events.DeadlinePassed() if leave_at <= now:
                return [LeaveCall(lost=False)]
            case events.ModelClosed():
                self._model.ready = False
                return []
            case _:
                return last_words.hear(event, now) if self._model.ready else []

    def _leave(self, now: float) -> list[BridgeCommand]:
        """The leg ends at once; the model is left when it owes no more words."""
        self._leave_at = None
        last_words = self._last_words or LastWords(self._talk, self._hearing, now)
        self._last_words = last_words
        if not (self.started and self._model.ready and last_words.are_awaited(now)):
            return self._give_up_words(now)
        return [*last_words.commit_speech(now), *last_words.cancel_unheard()]

    def _hear_last_words(
        self, event: events.BridgeEvent, now: float, last_words: LastWords
    ) -> list[BridgeCommand]:
        commands = last_words.hear(event, now)
        if isinstance(event, events.ModelClosed) or not last_words.are_awaited(now):
            commands += self._give_up_words(now)
        return commands

    def _give_up_words(self, now: float) -> list[BridgeCommand]:
        self.is_over = True
        return [*self._talk.turns.give_up(now)] if self.started else []

    def _missed(self, awaited: _Awaited, now: float) -> list[BridgeCommand]:
        match awaited:
            case _Awaited.START if self._model.rings:
                # Another stream takes its place as soon as somebody has answered.
                return [Log("warning", "no start on the early stream"), LeaveCall(lost=False)]
            case _Awaited.START:
                return [FailCall("no_media_start", "the media socket sent no start")]
            case _Awaited.READY:
                failed = FailCall("model_timeout", "the model session did not become ready")
                return self._apologized([failed], now)
            case _Awaited.FRAME:
                return [*self._missed_frame(now), *self._watch_speech(now)]
            case _Awaited.MEDIA if self._has_heard_within(MEDIA_PATIENCE, now):
                self._deadlines[awaited] = self._frame_at + MEDIA_PATIENCE
                return []
            case _Awaited.MEDIA:
                return [FailCall("media_silent", "the carrier stopped sending audio")]

    def _missed_frame(self, now: float) -> list[BridgeCommand]:
        heard = self._has_heard_within(GAP_TIMEOUT_SECONDS, now)
        since = self._frame_at if heard else now
        self._deadlines[_Awaited.FRAME] = since + GAP_TIMEOUT_SECONDS
        speaks = self._talk.caller_is_speaking
        return self._hearing.look_for_gap(self._frame_at, speaks, now)

    def _watch_speech(self, now: float) -> list[BridgeCommand]:
        return self._unended_speech.watch(self._talk, self._hearing, now)

    def _has_heard_within(self, seconds: float, now: float) -> bool:
        return self._frame_at + seconds > now
