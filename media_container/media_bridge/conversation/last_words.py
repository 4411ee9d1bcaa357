"""What is still awaited when a call is over: transcripts of what was said.

Transcripts are made beside the conversation and come late; the caller's last one often comes after
the caller hung up. The leg has ended by then, and only the model's session waits, for a while.
"""

from media_bridge import events
from media_bridge.commands import BridgeCommand, CancelResponse, CommitAudio
from media_bridge.conversation.conversation import Conversation
from media_bridge.speech.caller_audio import CallerAudioPath

TRANSCRIPT_TIMEOUT_SECONDS = 2.0
NOTHING_TO_COMMIT = "input_audio_buffer_commit_empty"


class LastWords:
    """Times are seconds of the bridge's clock; the call was over at `ended_at`."""

    def __init__(
        self, conversation: Conversation, caller_audio: CallerAudioPath, ended_at: float
    ) -> None:
        self._conversation = conversation
        self._caller_audio = caller_audio
        self.due_at = ended_at + TRANSCRIPT_TIMEOUT_SECONDS

    def are_awaited(self, now: float) -> bool:
        return now < self.due_at and self._conversation.turns.owes_words

    def commit_speech(self, now: float) -> list[BridgeCommand]:
        """No more sound follows, so no detector will see the end of what the caller says."""
        if not self._conversation.cut_off_speech():
            return []
        return [*self._caller_audio.flush(now), CommitAudio()]

    def cancel_unheard(self) -> list[BridgeCommand]:
        """A response of which nothing was heard, and of which nobody will hear anything."""
        active = self._conversation.generating
        unheard = active and not self._conversation.turns.has_turn_of(active)
        return [CancelResponse(active)] if active and unheard else []

    def give_up(self, now: float) -> list[BridgeCommand]:
        """No more words will come."""
        return [*self._conversation.turns.give_up(now)]

    def on_event(self, event: events.BridgeEvent, now: float) -> list[BridgeCommand]:
        """Only words matter now, and what they cost."""
        if isinstance(event, events.TranscriptEvent):
            return self._conversation.handle(event, now)
        match event:
            case events.CallerSpeechStarted(item_id):
                self._conversation.turns.caller_started(item_id, now)
                return [CommitAudio()]
            case events.CallerSpeechStopped(item_id):
                self._conversation.turns.caller_stopped(item_id, now)
            case events.ModelErrorReceived(code) if code == NOTHING_TO_COMMIT:
                self._conversation.turns.nothing_committed()
            case events.ResponseStarted(response_id):
                return [CancelResponse(response_id)]
            case events.ResponseEnded():
                return self._conversation.on_late_end(event)
        return []
