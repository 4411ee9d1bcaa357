"""Waits for the transcripts that are still missing when a call is over.

Transcripts arrive late, and the caller's last one often arrives after they hung up. The leg has
ended by then, so only the model's session waits.
"""

from media_bridge import events
from media_bridge.commands import BridgeCommand, CancelResponse, CommitAudio
from media_bridge.conversation.conversation import Conversation
from media_bridge.speech.caller_audio import DETECTION_SECONDS, CallerAudioPath

TRANSCRIPT_TIMEOUT_SECONDS = 2.0
NOTHING_TO_COMMIT = "input_audio_buffer_commit_empty"


class LastWords:
    """Waits after the end of a call, which was over at `ended_at`."""

    def __init__(
        self, conversation: Conversation, caller_audio: CallerAudioPath, ended_at: float
    ) -> None:
        self._conversation = conversation
        self._caller_audio = caller_audio
        self._ended_at = ended_at
        # The model's detector may not have noticed yet that the caller spoke.
        is_known = conversation.caller_is_speaking
        self._may_have_spoken = not is_known and caller_audio.was_loud(DETECTION_SECONDS)

    @property
    def due_at(self) -> float:
        owes_words = self._conversation.turns.owes_words
        return self._ended_at + (TRANSCRIPT_TIMEOUT_SECONDS if owes_words else DETECTION_SECONDS)

    def are_awaited(self, now: float) -> bool:
        is_expected = self._conversation.turns.owes_words or self._may_have_spoken
        return now < self.due_at and is_expected

    def commit_speech(self, now: float) -> list[BridgeCommand]:
        """Commit the caller's speech, because no detector will see its end without more sound."""
        if not self._conversation.cut_off_speech():
            return []
        return [*self._caller_audio.flush(now), CommitAudio()]

    def cancel_unheard(self) -> list[BridgeCommand]:
        """Cancel a response that has not been and will not be played."""
        active = self._conversation.generating
        unheard = active and not self._conversation.turns.has_turn_of(active)
        return [CancelResponse(active)] if active and unheard else []

    def give_up(self, now: float) -> list[BridgeCommand]:
        """Give up, because no more words will come."""
        return [*self._conversation.turns.give_up(now)]

    def on_event(self, event: events.BridgeEvent, now: float) -> list[BridgeCommand]:
        """Take words and their cost from an event, and ignore the rest."""
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
