"""Two people talking: who speaks, who is interrupted, what each of them said.

The model's side of a bridge once its session is ready. Generation and playback are two things: a
response may be complete long before the caller has heard it, so whether the agent speaks is read
off the playout, and what the model believes it said is put right by truncation.
"""

from collections.abc import Mapping
from statistics import median
from types import MappingProxyType

from media_bridge import events, keypad
from media_bridge.afterwards import PATIENCE, Afterwards
from media_bridge.agent_speech import AgentSpeech
from media_bridge.audio import Codec
from media_bridge.barge_in import BargeIn
from media_bridge.clips import Clips
from media_bridge.commands import (
    AddText,
    AnswerTool,
    BridgeCommand,
    CancelResponse,
    Log,
    Note,
    Respond,
    Role,
    TransferCall,
    output_event_id,
)
from media_bridge.deadline import earliest
from media_bridge.keypad import Keypad
from media_bridge.latency import Wait
from media_bridge.pending_reply import PendingReply
from media_bridge.playout import Playout
from media_bridge.responses import Purpose, Request
from media_bridge.turns import Turns
from phonebridge.billing import Usage
from phonebridge.call import Activity
from phonebridge.call_config import CallConfig
from phonebridge.settings import ModelAudio

MODEL_BYTES_PER_MS: Mapping[ModelAudio, int] = MappingProxyType(
    {ModelAudio.PCM24K: 48, ModelAudio.G711: 8}
)

CANCEL_NOT_ACTIVE = "response_cancel_not_active"
KEYPAD_TURN = "keypad"
"""Stands where the turns of the caller's voice have the model's item id."""

NO_CLIPS = Clips()

_ResponseEvent = (
    events.ResponseStarted | events.AudioFinished | events.ResponseProgressed | events.ResponseEnded
)


class Conversation:
    """`handle`, `due` and `interrupt` answer with commands; `FailCall` is always the last one.
    Times are seconds of the bridge's clock."""

    def __init__(
        self, config: CallConfig, model_audio: ModelAudio, clips: Clips = NO_CLIPS
    ) -> None:
        self.config = config
        self._turns = Turns()
        playout = Playout(Codec[config.codec], MODEL_BYTES_PER_MS[model_audio])
        self.speech = AgentSpeech(playout, model_audio, self._turns)
        self.reply = PendingReply(self.speech, clips)
        self._responses = self.reply.queue
        self._keypad = Keypad()
        self._barge_in = BargeIn(config.barge_in_min_ms / 1000)
        self._afterwards = Afterwards()
        self._wait: Wait | None = None
        self._started = 0.0
        self._first_audio_ms: int | None = None
        self.speech_began_at: float | None = None
        """Of the speech of the caller that goes on."""
        self._speech_item = ""
        self.caller_is_muted = False
        self.last_spoken_response: str | None = None
        self.uses_tools = False
        """The caller waits for something that the agent looks up."""
        self.hands_over = False
        """The caller waits for somebody else, who is being rung."""
        self.last_sign_of_caller_at: float | None = None
        self.is_deaf = False
        self.usage = Usage()

    def begin(self, now: float) -> None:
        """The media stream started: turns and latencies count from here."""
        self._started = self._turns.stream_started = now
        self._barge_in.begin(now)
        self.reply.begin(now)

    @property
    def caller_is_speaking(self) -> bool:
        return self.speech_began_at is not None

    @property
    def turns(self) -> Turns:
        return self._turns

    @property
    def generating(self) -> str | None:
        """The response that is being generated."""
        return self._responses.active

    @property
    def stream_started(self) -> float:
        return self._started

    @property
    def is_quiet(self) -> bool:
        """The agent has said, and the caller heard, all that there was to say."""
        return self._responses.is_idle and not self.speech.is_heard

    @property
    def is_silent(self) -> bool:
        """The agent says nothing now, whatever it may have to say later."""
        return not (self._responses.is_generating or self.speech.is_heard)

    @property
    def waits_for_caller(self) -> bool:
        """Nobody speaks, or is about to: it is the caller's turn."""
        owed = self.uses_tools or self.hands_over or self.reply.is_over
        expected = owed or self._keypad.entered or self._afterwards
        muted = self._responses.muted or self.caller_is_muted
        busy = self.is_deaf or self.caller_is_speaking or muted
        return self.is_quiet and not busy and not expected

    @property
    def has_spoken(self) -> bool:
        return self._first_audio_ms is not None

    def ask(self, request: Respond, purpose: Purpose, now: float) -> list[BridgeCommand]:
        """Let the model speak, as soon as it may. To nobody it answers nothing; it says no more
        than it is told to."""
        if self.is_deaf and not request.has_words:
            return []
        return self.reply.request(Request(request, purpose), now)

    def once_quiet(self, command: BridgeCommand, now: float, patience: float = PATIENCE) -> None:
        """Do this when the caller has heard everything that was asked for until now."""
        self._afterwards.plan(command, now + patience)

    def withdraw(self, command: BridgeCommand) -> bool:
        """It does not have to be done any more (`once_quiet`); whether it had to."""
        return self._afterwards.withdraw(command)

    def on_error(self, error: events.ModelComplained, now: float) -> list[BridgeCommand]:
        """The model refused something."""
        for call_id in self._responses.pending_tool_outputs:
            if error.event_id == output_event_id(call_id):
                self.answer_added(call_id)
                return [Note("tool output refused", f"{error.code}: {error.message}")]
        return self.reply.refused(error, now)

    def refuted_cancel(self, error: events.ModelComplained) -> events.ResponseEnded | None:
        """The end of a response that we wanted to cancel, and that does not run any more. The
        server answers in order, so its `response.done` would have come before."""
        active = self._responses.active
        if active is None or error.code != CANCEL_NOT_ACTIVE:
            return None
        if error.event_id != CancelResponse(active).event_id:
            return None
        return events.ResponseEnded(active, "cancelled", error.code, Usage())

    def on_tool_event(self, event: events.ToolEvent, now: float) -> list[BridgeCommand]:
        """What a tool event tells about the response that it belongs to."""
        match event:
            case events.FunctionCalled() | events.McpCalled() | events.ApprovalAsked():
                commands = self._on_sign_of(event.response_id, now)
                return commands + self.reply.called(event, now)
            case events.McpReturned(item_id):
                self.reply.mcp_returned(item_id, now)
        return []

    def answer(self, call_id: str, output: str) -> BridgeCommand:
        """Let the model know what came of a call."""
        self._responses.pending_tool_outputs.add(call_id)
        return AnswerTool(call_id, output)

    def answer_added(self, call_id: str) -> None:
        """Responses that start from now on see it."""
        self._responses.pending_tool_outputs.discard(call_id)

    def elapsed_ms(self, now: float) -> int:
        return round((now - self._started) * 1000)

    def activity(self, frames_in: int, frames_lost: int) -> Activity:
        latencies = self._turns.latencies_ms
        return Activity(
            turns=self._turns.count,
            interruptions=self.speech.interruptions,
            frames_in=frames_in,
            frames_out=self.speech.chunks_sent,
            frames_lost=frames_lost,
            first_audio_ms=self._first_audio_ms,
            turn_latency_ms=round(median(latencies)) if latencies else None,
        )

    def next_deadline(self) -> float | None:
        return earliest(
            self.reply.deadline,
            self._afterwards.due_at(),
            self._keypad.complete_at,
            self._barge_in.counts_at,
            self.speech.next_deadline(),
        )

    def due(self, now: float) -> list[BridgeCommand]:
        """What time alone brings: audio to send, turns heard to their end."""
        commands = self.speech.listen(now)
        if self._barge_in.counts(now):
            commands += self._give_way(now)
        if entry := self._keypad.take(now):
            commands += self._on_entry(entry, now)
        sending = self.speech.due(now)
        if sending and self._first_audio_ms is None:
            self._first_audio_ms = self.elapsed_ms(now)
        if sending and self._wait and self._wait.item_id:
            self._end_wait(self._wait, self._wait.item_id, now)
        return [*commands, *sending, *(self._do_afterwards(now) if self._afterwards else ())]

    def _do_afterwards(self, now: float) -> list[BridgeCommand]:
        commands = self._afterwards.take(self.is_quiet, now)
        self.hands_over |= any(isinstance(each, TransferCall) for each in commands)
        return commands

    def _end_wait(self, wait: Wait, item_id: str, now: float) -> None:
        if self.speech.has_left(item_id):
            self._turns.agent_answered(item_id, wait.sounded(now))
            self._wait = None

    def pile_up(self, event: events.AudioReceived, now: float) -> bool:
        """Take more sound of what is being said, unless something else is due because of it."""
        if event.response_id in self.speech.stopped or not self.speech.pile_up(event):
            return False
        self.reply.last_sign = now
        return True

    def handle(self, event: events.ConversationEvent, now: float) -> list[BridgeCommand]:
        match event:
            case events.MarkReturned(name):
                self.speech.mark_returned(name, now)
            case events.AudioReceived():
                return self._on_audio(event, now)
            case events.CallerSpeechStarted():
                return self._on_speech_started(event, now)
            case events.CallerSpeechStopped():
                return self._on_speech_stopped(event, now)
            case _ if isinstance(event, events.TranscriptEvent):
                return self._on_transcript(event, now)
            case _:
                return self._on_response(event, now)
        return []

    def _on_response(self, event: _ResponseEvent, now: float) -> list[BridgeCommand]:
        match event:
            case events.WordsReceived(response_id):
                self.speech.read(event)
                return self._on_sign_of(response_id, now)
            case events.ResponseStarted(response_id):
                return self._on_response_started(response_id, now)
            case events.AudioFinished(item_id):
                self.speech.finish(item_id)
                return self._on_sign_of(None, now)
            case events.ResponseProgressed(response_id):
                return self._on_sign_of(response_id, now)
            case events.ResponseEnded():
                return [*self.speech.read_last(event), *self._on_response_ended(event, now)]

    def _on_transcript(self, event: events.TranscriptEvent, now: float) -> list[BridgeCommand]:
        match event:
            case events.CallerAudioCommitted(item_id):
                self._turns.caller_committed(item_id)
            case events.CallerTranscriptReceived(item_id, text, index):
                self._turns.caller_words(item_id, text, index)
            case events.CallerTranscribed(item_id, text, usage):
                self.usage += usage
                return [*self._turns.caller_said(item_id, text)]
            case events.TranscriptFinished():
                return [*self.speech.read_whole(event), *self._on_sign_of(event.response_id, now)]
            case events.WordsReceived(response_id):
                self.speech.read(event)
                return self._on_sign_of(response_id, now)
        return []

    def press(self, digit: str, now: float) -> list[BridgeCommand]:
        """A key of the caller's phone; it stops the agent as speech would."""
        if self.is_deaf:
            return []
        self._keypad.press(digit, now)
        self.last_sign_of_caller_at = now
        self._turns.caller_started(KEYPAD_TURN, now)
        self._turns.caller_stopped(KEYPAD_TURN, now)
        return self.interrupt(now)

    def interrupt(self, now: float) -> list[BridgeCommand]:
        """Stop the agent on somebody's word; the model does not know of it by itself."""
        return self._stop_speaking(now, cancel=True)

    def cut_in(self, request: Respond, purpose: Purpose, now: float) -> list[BridgeCommand]:
        """Let the model speak at once, whatever it is saying."""
        return [*self.interrupt(now), *self.reply.request_next(Request(request, purpose), now)]

    def mute(self, now: float) -> list[BridgeCommand]:
        """The agent goes on listening and says nothing; what it is asked to say waits."""
        self._responses.muted = True
        return self.interrupt(now)

    def hush(self, now: float) -> list[BridgeCommand]:
        """Nobody is there to talk with: hear nothing, and let nothing more be said."""
        self.is_deaf = self.reply.nobody_listens = True
        self.speech_began_at = None
        return [*self.reply.drop_requests("a machine answered"), *self.mute(now)]

    def cut_off_speech(self) -> bool:
        """The call is over; whether the caller was in the middle of a turn."""
        was_speaking = self.caller_is_speaking
        self.speech_began_at = None
        return was_speaking

    def close(self, now: float) -> list[BridgeCommand]:
        """The call is over: whatever is open ends with what was heard of it so far."""
        self._turns.is_closing = True
        commands = [*self.reply.close(), *self.speech.close(now)]
        if entry := self._keypad.take_unfinished():
            commands += self._record_entry(entry)
        return [*commands, *self._turns.close(now)]

    def _on_entry(self, entry: str, now: float) -> list[BridgeCommand]:
        text = AddText(Role.USER, keypad.told(entry))
        answer = self.ask(Respond(), Purpose.KEYPAD, now)
        return [*self._record_entry(entry), text, *answer]

    def _record_entry(self, entry: str) -> list[BridgeCommand]:
        text = keypad.recorded(entry, self.config.record_dtmf)
        return [*self._turns.caller_said(KEYPAD_TURN, text)]

    def _on_speech_started(
        self, event: events.CallerSpeechStarted, now: float
    ) -> list[BridgeCommand]:
        if self.is_deaf:
            return []
        self.speech_began_at, self._speech_item = now, event.item_id
        self.last_sign_of_caller_at = now
        self._turns.caller_started(event.item_id, now)
        guards = not (self.config.turn_detection.interrupt_response or self.is_silent)
        counts = self._barge_in.speech_started(event.began_ms, now, guards)
        return self._give_way(now) if counts else []

    def caller_fell_silent(self, why: str, now: float) -> list[BridgeCommand]:
        """The caller stopped, although the server did not tell. The server has no turn to answer,
        so nothing is asked of it; what waited for the caller goes on."""
        self.speech_began_at = None
        self._turns.caller_stopped(self._speech_item, now)
        self._barge_in.speech_stopped(None)
        log = Log("warning", "the end of the caller's speech was not told", why)
        return [log, *self.reply.caller_fell_silent(now)]

    def _give_way(self, now: float) -> list[BridgeCommand]:
        self.reply.caller_spoke()
        self._wait = None
        return self._stop_speaking(now, cancel=not self.config.turn_detection.interrupt_response)

    def _on_speech_stopped(
        self, event: events.CallerSpeechStopped, now: float
    ) -> list[BridgeCommand]:
        if self.is_deaf:
            return []
        self.speech_began_at = None
        wait = Wait(now, self.config.turn_detection.seconds_to_be_sure)
        self._turns.caller_stopped(event.item_id, wait.ended)
        commands: list[BridgeCommand] = []
        if self._barge_in.speech_stopped(event.ended_ms):
            commands += self._give_way(now)
        if self._barge_in.was_interruption or self.is_quiet:
            self._wait = wait
        server_answers = self.config.turn_detection.create_response
        return commands + self.reply.caller_stopped(now, server_answers)

    def _on_response_started(self, response_id: str, now: float) -> list[BridgeCommand]:
        self.reply.started(response_id, now)
        if self._wait:
            self._wait.response_started(now)
        if not self._responses.muted:
            return []
        self.speech.stopped.add(response_id)
        self.reply.cancelled(now)
        return [CancelResponse(response_id)]

    def _on_sign_of(self, response_id: str | None, now: float) -> list[BridgeCommand]:
        """Some event of a response, perhaps the first."""
        if self.reply.progressed(response_id, now):
            return []
        if response_id and self.reply.is_new(response_id):
            return self._on_response_started(response_id, now)
        return []

    def _on_audio(self, event: events.AudioReceived, now: float) -> list[BridgeCommand]:
        commands = self._on_sign_of(event.response_id, now)
        if event.response_id in self.speech.stopped:
            return commands + self.speech.drop(event)
        if not event.audio:
            return commands
        self.reply.spoke(event.response_id)
        if self.speech.hear(event, now):
            self.last_spoken_response = event.response_id
            if self._wait:
                self._wait.model_spoke(event.item_id, now)
        return commands

    def _on_response_ended(self, event: events.ResponseEnded, now: float) -> list[BridgeCommand]:
        self.usage += event.usage
        commands = self._on_sign_of(event.response_id, now)
        is_wanted = event.response_id not in self.speech.stopped
        is_broken_off = event.status == "stalled" and self.speech.is_within_item(event.response_id)
        self.speech.finish_response(event.response_id)
        if event.status == "stalled" and is_wanted:
            self.speech.stop_response(event.response_id)
            commands.append(CancelResponse(event.response_id))
        return commands + self.reply.ended(event, is_wanted, is_broken_off, now)

    def _stop_speaking(self, now: float, cancel: bool) -> list[BridgeCommand]:
        """The model cancels by itself where its own detector heard the caller."""
        cancelled = []
        if (active := self._responses.active) and active not in self.speech.stopped:
            self.speech.stopped.add(active)
            self.reply.cancelled(now)
            cancelled = [CancelResponse(active)] if cancel else []
        return self.speech.stop(now, cancelled)
