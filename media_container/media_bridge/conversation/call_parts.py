"""The state of a bridge: the parts of a call, and how they outlive a session of the model."""

from dataclasses import replace

from media_bridge import events, tool_events
from media_bridge.audio.codecs import Codec
from media_bridge.commands import (
    AddTimelineEntry,
    BridgeCommand,
    ClipKind,
    FailCall,
    LeaveStream,
    RecordTurn,
    UpdateSession,
)
from media_bridge.conversation import stream_start
from media_bridge.conversation.call_end import CallEnd
from media_bridge.conversation.clip_recorder import ClipRecorder
from media_bridge.conversation.conversation import Conversation
from media_bridge.conversation.fallback import LastResort
from media_bridge.conversation.frame_watch import FrameWatch
from media_bridge.conversation.gap_prompt import GapPrompt
from media_bridge.conversation.greeting import CachedGreeting, Greeting
from media_bridge.conversation.history import History
from media_bridge.conversation.idle import IdleCaller
from media_bridge.conversation.last_words import LastWords
from media_bridge.conversation.memory import CallMemory
from media_bridge.conversation.model_session import ModelSession
from media_bridge.conversation.reconnects import LossReason, ReconnectBudget
from media_bridge.conversation.response_queue import Purpose
from media_bridge.conversation.server_watch import ServerWatch, Suspicion
from media_bridge.conversation.talk import NO_CLIPS
from media_bridge.conversation.time_limit import TimeLimit
from media_bridge.conversation.tool_calls import ToolCalls
from media_bridge.conversation.voicemail import Voicemail
from media_bridge.speech.caller_audio import DETECTION_SECONDS, CallerAudioPath
from media_bridge.speech.clips import SpeechClips
from phonebridge.call.call import Call
from phonebridge.call.config import CallConfig
from phonebridge.call.steering import Say, Update
from phonebridge.call.usage import Activity, Usage
from phonebridge.settings import ModelAudio

MEDIA_TIMEOUT_SECONDS = 60.0
"""The longest time from the start of the stream to the first frame."""


class CallParts:
    """The state of a bridge, and its changes when a session of the model is lost, restored or
    closed. `Bridge` adds the handling of events. Times are seconds of the bridge's clock."""

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
        """A history means that an earlier stream carried the call. The bridge then continues the
        conversation: it does not greet, and it does not wait for a machine's greeting."""
        self._call = call
        self._config = config
        self._model_audio = model_audio
        self._clips = clips
        self._history = history
        self._begin_talk()
        is_first = history is None or not history.items
        self._greeting = Greeting(config, model_audio, cached_greeting, is_wanted=is_first)
        self._voicemail = Voicemail(config)
        self._time_limit = TimeLimit(config)
        self._gap_prompt = GapPrompt(is_wanted=not is_first)
        recorder = ClipRecorder(missing_clips, config, model_audio) if missing_clips else None
        self._clip_recorder = recorder
        monitors = (self._voicemail, self._time_limit, IdleCaller(config), self._gap_prompt)
        self._monitors = (*monitors, recorder) if recorder else monitors
        budget = ReconnectBudget(call.call_id)
        self._model = ModelSession(config, model_audio, call.carries_early_stream, budget)
        self._model.begin(now)
        self._caller_was_speaking = False
        """True if the session was lost while the caller spoke."""
        self._last_resort = LastResort()
        self._server_watch = ServerWatch(now)
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

    def _begin_talk(self) -> None:
        """Create the parts that a session leaves behind if it is lost before the answer."""
        self._conversation = Conversation(self._config, self._model_audio, self._clips)
        self._tools = ToolCalls(self._config.tools, self._conversation)
        self._caller_audio = CallerAudioPath(self._model_audio)
        self._memory = CallMemory(self._history, self._call.attached_stream)

    @property
    def activity(self) -> Activity:
        if not self.has_started:  # a prepared greeting that nobody heard is no turn
            return Activity()
        return self._conversation.activity(
            self._caller_audio.frames, self._caller_audio.frames_lost
        )

    @property
    def stream_started(self) -> float:
        """The time from which turns are timed."""
        return self._conversation.stream_started

    @property
    def usage(self) -> Usage:
        return self._spent + self._conversation.usage

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be done for this call."""
        return self._end is not None and self._end.is_over

    @property
    def waits_for_caller(self) -> bool:
        """Whether the conversation pauses, and nothing is being done for the caller."""
        return self._end is None and self._speaks and self._conversation.waits_for_caller

    @property
    def has_started(self) -> bool:
        """Whether the media stream has begun."""
        return self._line is not None

    @property
    def _speaks(self) -> bool:
        return self._line is not None and (
            self._model.has_conversation
            or self._greeting.is_cached
            or self._conversation.reply.is_over
        )

    def _answer_about_clip(
        self, event: events.ControlEvent, now: float
    ) -> list[BridgeCommand] | None:
        """Let the clip recorder answer events of a clip. It returns None for all others."""
        assert self._clip_recorder
        answer = self._clip_recorder.handle(event, self._conversation, now)
        if answer is not None and isinstance(event, events.ResponseEnded):
            self._spent += event.usage
        return answer

    def _may_use_fallback(self, failed: FailCall) -> bool:
        """Return whether the fallback may replace the end. A browser shows why its call failed, so
        only callers on the phone need it."""
        is_on_phone = self.has_started and not self._call.is_browser_call
        has_caller = is_on_phone and not self._conversation.ignores_caller
        return has_caller and self._last_resort.replaces(failed, self._config)

    def _use_fallback(self, failed: FailCall, now: float) -> list[BridgeCommand]:
        self._conversation.reply.give_up_model()
        is_said = self._clips.apology is not None
        return self._last_resort.begin(failed, self._config, is_said, now)

    def _leave(self, command: FailCall | LeaveStream, now: float) -> list[BridgeCommand]:
        closed = self._close(now, keeps_resume=isinstance(command, LeaveStream))
        end = self._end = self._end or self._call_end(now)
        return [*closed, command, *end.leave(now)]

    def _close(self, now: float, keeps_resume: bool) -> list[BridgeCommand]:
        """Record the open turns. Another stream may continue the call."""
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

    def _check_server(self, now: float) -> list[BridgeCommand]:
        is_callers_turn = self._model.is_ready and self.waits_for_caller
        last_sign_at = max(
            self._conversation.last_sign_of_model_at,
            self._conversation.last_sign_of_caller_at or 0.0,
        )
        match self._server_watch.check(
            last_sign_at, self._caller_audio, now, may_ask=is_callers_turn
        ):
            case Suspicion.ASK:
                return [UpdateSession(Update())]
            case Suspicion.LOST if is_callers_turn:
                return self._lose_session(LossReason.UNRESPONSIVE, "it ignored the caller", now)
            case _:
                return []

    def _lose_session(self, reason: LossReason, why: str, now: float) -> list[BridgeCommand]:
        replaced = self._model.lose(reason, why, now)
        return self._with_apology([*self._on_session_lost(now), *replaced], now)

    def _on_session_lost(self, now: float) -> list[BridgeCommand]:
        """Go on without the model until the next session is ready."""
        if self._model.is_ringing:
            self._start_over()
            return []
        began_at = self._conversation.speech_began_at or self._unheard_speech_at(now)
        self._caller_was_speaking = began_at is not None
        self._caller_audio.lose_session(None if began_at is None else now - began_at)
        self._memory.lose_session()
        self._greeting.lose_session()
        if self._clip_recorder:
            self._clip_recorder.lose_session()
        return [*self._conversation.lose_session(now), *self._tools.lose_session(now)]

    def _unheard_speech_at(self, now: float) -> float | None:
        """Return since when the caller may have spoken to a server that read nothing any more."""
        if not self._model.was_deaf:
            return None
        since = self._conversation.last_sign_of_model_at
        # What came before was heard, so the next session does not need it.
        return since + DETECTION_SECONDS if self._caller_audio.was_loud(now - since) else None

    def _restore(self, now: float) -> list[BridgeCommand]:
        """Restore the conversation in the next session, then continue it."""
        reply = self._conversation.reply
        commands = self._memory.restore(reply.cut_off_words, self._config.language)
        commands += self._caller_audio.start_forwarding()
        commands += reply.open_session(self._caller_was_speaking, now)
        self._caller_was_speaking = False
        return commands + self._greet(now)

    @staticmethod
    def _is_stale(event: events.ControlEvent) -> bool:
        """Return whether the event belongs to a session that is being replaced."""
        of_model = isinstance(event, events.SettingsEvent | tool_events.ToolEvent)
        return of_model and not isinstance(event, tool_events.FunctionReturned)

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

    def _start_over(self) -> None:
        """Discard everything that belongs to a session that was lost before anybody answered."""
        self._spent = self.usage
        self._begin_talk()
        self._model.start_over()
        self._greeting.start_over()

    def _abandon(self, now: float) -> list[BridgeCommand]:
        self._end = self._call_end(now)
        self._end.is_over = True
        return []

    def _on_machine(self, greeting_over: bool, now: float) -> list[BridgeCommand]:
        commands = self._voicemail.on_machine(greeting_over, self._conversation, now)
        if self._conversation.ignores_caller:
            self._caller_audio.stop()
            self._tools.cancel_hangup()  # a message is still to be left
        return commands

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
        if self._last_resort.is_used:
            times.append(self._last_resort.due_at)
        if self._speaks:
            times.append(self._conversation.next_deadline())
            times += [monitor.due_at for monitor in self._monitors]
        elif self._model.is_ready:
            times.append(self._conversation.reply.deadline)
        return min(times)
