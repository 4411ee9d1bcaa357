"""The end of a call, after the bridge has done its part.

    stage        it waits for                                     at most
    -----        ------------                                     -------
    hung up      the carrier to end the stream                    5 s
    left         transcripts of what was said before the end      2 s after the call was over

A call that the carrier ends itself, or that fails, has the second stage only.
"""

from media_bridge import events
from media_bridge.commands import BridgeCommand, LeaveStream
from media_bridge.conversation.last_words import LastWords
from media_bridge.conversation.model_session import ModelSession
from media_bridge.deadline import NEVER
from phonebridge.call.steering import TransferFinished


class CallEnd:
    def __init__(self, words: LastWords, model: ModelSession, has_started: bool) -> None:
        self._words = words
        self._model = model
        self._has_started = has_started
        self._leave_at = NEVER
        self.is_over = False

    def next_deadline(self) -> float | None:
        if self.is_over:
            return None
        return self._words.due_at if self._leave_at == NEVER else self._leave_at

    def hang_up(self, leave_at: float, now: float) -> list[BridgeCommand]:
        """Wait for the carrier, and have the speech transcribed that the hangup cuts off."""
        self._leave_at = leave_at
        return self._words.commit_speech(now) if self._model.is_ready else []

    def leave(self, now: float) -> list[BridgeCommand]:
        """End our part, because the leg ends at once. The model's session lasts until it owes no
        more words."""
        self._leave_at = NEVER
        has_model = self._has_started and self._model.is_ready
        if not (has_model and self._words.are_awaited(now)):
            return self._finish(now)
        return [*self._words.commit_speech(now), *self._words.cancel_unheard()]

    def handle(self, event: events.BridgeEvent, now: float) -> list[BridgeCommand]:
        if self.is_over:
            return []
        if self._leave_at < NEVER:
            return self._wait_for_stream_end(event, now)
        commands = self._words.on_event(event, now)
        if isinstance(event, events.ModelClosed) or not self._words.are_awaited(now):
            commands += self._finish(now)
        return commands

    def _wait_for_stream_end(self, event: events.BridgeEvent, now: float) -> list[BridgeCommand]:
        match event:
            case events.StreamStopped() | events.StreamLost() | events.LeaveRequested():
                return [LeaveStream(was_lost=False)]
            case TransferFinished(failure=None):
                return [LeaveStream(was_lost=False)]
            case events.DeadlinePassed() if self._leave_at <= now:
                return [LeaveStream(was_lost=False)]
            case events.ModelClosed():
                self._model.is_ready = False
                return []
            case _:
                return self._words.on_event(event, now) if self._model.is_ready else []

    def _finish(self, now: float) -> list[BridgeCommand]:
        self.is_over = True
        return self._words.give_up(now) if self._has_started else []
