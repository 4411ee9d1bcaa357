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
from media_bridge.commands import (
    AddText,
    AnswerTool,
    BridgeCommand,
    CancelResponse,
    FailCall,
    Log,
    Respond,
    Role,
    TransferCall,
)
from media_bridge.deadline import earliest
from media_bridge.keypad import Keypad
from media_bridge.latency import Wait
from media_bridge.playout import Playout
from media_bridge.responses import Responses
from media_bridge.turns import Turns
from phonebridge.billing import Usage
from phonebridge.call import Activity
from phonebridge.call_config import CallConfig
from phonebridge.settings import ModelAudio

REPLY_PATIENCE = 15.0
"""Seconds until a model that owes a reply, or the rest of one, has stalled."""

MODEL_BYTES_PER_MS: Mapping[ModelAudio, int] = MappingProxyType(
    {ModelAudio.PCM24K: 48, ModelAudio.G711: 8}
)

KEYPAD_TURN = "keypad"
"""Stands where the turns of the caller's voice have the model's item id."""

# Neither a new response nor a new session helps against these (OpenAI, "Error codes").
ALREADY_RESPONDING = "conversation_already_has_active_response"
FATAL_CODES = ("insufficient_quota", "billing_hard_limit_reached", "account_deactivated")


class Conversation:
    """`handle`, `due` and `interrupt` answer with commands; `FailCall` is always the last one.
    Times are seconds of the bridge's clock."""

    def __init__(self, config: CallConfig, model_audio: ModelAudio) -> None:
        self.config = config
        self._turns = Turns()
        playout = Playout(Codec[config.codec], MODEL_BYTES_PER_MS[model_audio])
        self.speech = AgentSpeech(playout, model_audio, self._turns)
        self._responses = Responses()
        self._keypad = Keypad()
        self._barge_in = BargeIn(config.barge_in_min_ms / 1000)
        self._afterwards = Afterwards()
        self._retried = False
        self._reply_due: float | None = None
        self._wait: Wait | None = None
        self._started = 0.0
        self._first_audio_ms: int | None = None
        self.caller_is_speaking = False
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
        if self._reply_due is not None:
            self.expect_reply(now)

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
        return self._responses.idle and not self.speech.is_heard

    @property
    def is_silent(self) -> bool:
        """The agent says nothing now, whatever it may have to say later."""
        return not (self._responses.generating or self.speech.is_heard)

    @property
    def waits_for_caller(self) -> bool:
        """Nobody speaks, or is about to: it is the caller's turn."""
        owed = self._reply_due is not None or self.uses_tools or self.hands_over
        expected = owed or self._keypad.entered or self._afterwards
        muted = self._responses.muted or self.caller_is_muted
        busy = self.is_deaf or self.caller_is_speaking or muted
        return self.is_quiet and not busy and not expected

    @property
    def has_spoken(self) -> bool:
        return self._first_audio_ms is not None

    def ask(self, request: Respond) -> list[BridgeCommand]:
        """Let the model speak, as soon as it may. To nobody it answers nothing; it says no more
        than it is told to."""
        if self.is_deaf and not request.has_words:
            return []
        return [*self._responses.ask(request)]

    def once_quiet(self, command: BridgeCommand, now: float, patience: float = PATIENCE) -> None:
        """Do this when the caller has heard everything that was asked for until now."""
        self._afterwards.plan(command, now + patience)

    def withdraw(self, command: BridgeCommand) -> bool:
        """It does not have to be done any more (`once_quiet`); whether it had to."""
        return self._afterwards.withdraw(command)

    def on_complaint(self, code: str) -> None:
        if code == ALREADY_RESPONDING:
            self._responses.refused()

    def answer(self, call_id: str, output: str) -> BridgeCommand:
        """Let the model know what came of a call."""
        self._responses.unseen.add(call_id)
        return AnswerTool(call_id, output)

    def answer_added(self, call_id: str) -> None:
        """Responses that start from now on see it."""
        self._responses.unseen.discard(call_id)

    def elapsed_ms(self, now: float) -> int:
        return round((now - self._started) * 1000)

    def expect_reply(self, now: float) -> None:
        self._reply_due = now + REPLY_PATIENCE

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
            self._reply_due,
            self._afterwards.due_at(),
            self._keypad.complete_at,
            self._barge_in.counts_at,
            self.speech.next_deadline(),
        )

    def due(self, now: float) -> list[BridgeCommand]:
        """What time alone brings: audio to send, turns heard to their end, a stalled model."""
        if self._reply_due is not None and self._reply_due <= now:
            return [FailCall("model_stalled", "the model owed a reply and sent nothing")]
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
        if self._reply_due is not None:
            self.expect_reply(now)
        return True

    def handle(self, event: events.ConversationEvent, now: float) -> list[BridgeCommand]:
        match event:
            case events.MarkReturned(name):
                self.speech.mark_returned(name, now)
            case events.AudioReceived():
                return self._on_audio(event, now)
            case events.AudioFinished(item_id):
                self.speech.finish(item_id)
            case events.WordsReceived():
                self.speech.read(event)
            case events.CallerSpeechStarted():
                return self._on_speech_started(event, now)
            case events.CallerSpeechStopped():
                return self._on_speech_stopped(event, now)
            case events.ResponseStarted(response_id):
                return self._on_response_started(response_id, now)
            case events.ResponseEnded():
                return [*self.speech.read_last(event), *self._on_response_ended(event, now)]
            case _:
                return self._on_transcript(event)
        return []

    def _on_transcript(self, event: events.TranscriptEvent) -> list[BridgeCommand]:
        match event:
            case events.CallerAudioCommitted(item_id):
                self._turns.caller_committed(item_id)
            case events.CallerTranscriptReceived(item_id, text, index):
                self._turns.caller_words(item_id, text, index)
            case events.CallerTranscribed(item_id, text, usage):
                self.usage += usage
                return [*self._turns.caller_said(item_id, text)]
            case events.TranscriptFinished():
                return self.speech.read_whole(event)
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

    def cut_in(self, request: Respond, now: float) -> list[BridgeCommand]:
        """Let the model speak at once, whatever it is saying."""
        return [*self.interrupt(now), *self._responses.ask_first(request)]

    def mute(self, now: float) -> list[BridgeCommand]:
        """The agent goes on listening and says nothing; what it is asked to say waits."""
        self._responses.muted = True
        return self.interrupt(now)

    def unmute(self) -> list[BridgeCommand]:
        return [*self._responses.unmute()]

    def hush(self, now: float) -> list[BridgeCommand]:
        """Nobody is there to talk with: hear nothing, and let nothing more be said."""
        self.is_deaf = True
        self.caller_is_speaking = False
        self._responses.forget()
        self._reply_due = None if self._responses.idle else now + REPLY_PATIENCE
        return self.mute(now)

    def cut_off_speech(self) -> bool:
        """The call is over; whether the caller was in the middle of a turn."""
        was_speaking, self.caller_is_speaking = self.caller_is_speaking, False
        return was_speaking

    def close(self, now: float) -> list[BridgeCommand]:
        """The call is over: whatever is open ends with what was heard of it so far."""
        self._turns.is_closing = True
        commands = self.speech.close(now)
        if entry := self._keypad.take_unfinished():
            commands += self._record_entry(entry)
        return [*commands, *self._turns.close(now)]

    def _on_entry(self, entry: str, now: float) -> list[BridgeCommand]:
        self.expect_reply(now)
        text = AddText(Role.USER, keypad.told(entry))
        return [*self._record_entry(entry), text, *self.ask(Respond())]

    def _record_entry(self, entry: str) -> list[BridgeCommand]:
        text = keypad.recorded(entry, self.config.record_dtmf)
        return [*self._turns.caller_said(KEYPAD_TURN, text)]

    def _on_speech_started(
        self, event: events.CallerSpeechStarted, now: float
    ) -> list[BridgeCommand]:
        if self.is_deaf:
            return []
        self.caller_is_speaking = True
        self.last_sign_of_caller_at = now
        self._turns.caller_started(event.item_id, now)
        guards = not (self.config.turn_detection.interrupt_response or self.is_quiet)
        counts = self._barge_in.speech_started(event.began_ms, now, guards)
        return self._give_way(now) if counts else []

    def _give_way(self, now: float) -> list[BridgeCommand]:
        self._responses.hold()
        self._reply_due = None
        self._wait = None
        return self._stop_speaking(now, cancel=not self.config.turn_detection.interrupt_response)

    def _on_speech_stopped(
        self, event: events.CallerSpeechStopped, now: float
    ) -> list[BridgeCommand]:
        if self.is_deaf:
            return []
        self.caller_is_speaking = False
        wait = Wait(now, self.config.turn_detection.seconds_to_be_sure)
        self._turns.caller_stopped(event.item_id, wait.ended)
        commands: list[BridgeCommand] = []
        if self._barge_in.speech_stopped(event.ended_ms):
            commands += self._give_way(now)
        if self._barge_in.was_interruption or self.is_quiet:
            self._wait = wait
            self.expect_reply(now)
        if not self.config.turn_detection.create_response:
            commands += self._responses.answer()
        return commands

    def _on_response_started(self, response_id: str, now: float) -> list[BridgeCommand]:
        self._responses.started(response_id)
        self.expect_reply(now)
        if self._wait:
            self._wait.response_started(now)
        if not self._responses.muted:
            return []
        self.speech.stopped.add(response_id)
        return [CancelResponse(response_id)]

    def _on_audio(self, event: events.AudioReceived, now: float) -> list[BridgeCommand]:
        if event.response_id in self.speech.stopped:
            return self.speech.drop(event)
        if self._reply_due is not None:
            self.expect_reply(now)
        if self.speech.hear(event, now):
            self.last_spoken_response = event.response_id
            if self._wait:
                self._wait.model_spoke(event.item_id, now)
        return []

    def _on_response_ended(self, event: events.ResponseEnded, now: float) -> list[BridgeCommand]:
        self.usage += event.usage
        self.speech.finish_response(event.response_id)
        if event.response_id == self._responses.active:
            self._reply_due = None
        if event.status == "failed":
            return self._on_response_failed(event, now)
        self._retried = False
        commands: list[BridgeCommand] = [*self._responses.ended(event.response_id)]
        if commands:
            self.expect_reply(now)
        if event.status == "incomplete":
            commands.append(Log("warning", "model response incomplete", event.detail))
        return commands

    def _on_response_failed(self, event: events.ResponseEnded, now: float) -> list[BridgeCommand]:
        """A failed response is silence for a caller who waits: once it is worth another try."""
        failed = Log("warning", "model response failed", event.detail)
        if event.response_id in self.speech.stopped:
            return [failed, *self._responses.ended(event.response_id)]
        if self._retried or any(code in event.detail for code in FATAL_CODES):
            return [FailCall("model_failed", event.detail)]
        self._retried = True
        self.expect_reply(now)
        return [failed, *self._responses.ask_again()]

    def _stop_speaking(self, now: float, cancel: bool) -> list[BridgeCommand]:
        """The model cancels by itself where its own detector heard the caller."""
        cancelled = []
        if (active := self._responses.active) and active not in self.speech.stopped:
            self.speech.stopped.add(active)
            cancelled = [CancelResponse(active)] if cancel else []
        return self.speech.stop(now, cancelled)
