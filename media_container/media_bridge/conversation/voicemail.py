"""A machine answered: be silent until its greeting is over, say the message, hang up.

The model hears nothing of it: neither the greeting nor the beep is to be answered, or to cut the
message short.
"""

from media_bridge.commands import BridgeCommand, CreateResponse, EndCall
from media_bridge.conversation.conversation import Conversation
from media_bridge.conversation.response_queue import Purpose
from media_bridge.deadline import NEVER
from phonebridge.call.call import EndedBy
from phonebridge.call.config import CallConfig

GREETING_TIMEOUT_SECONDS = 30.0
"""Not every machine beeps, and not every beep is heard: then the message is said all the same."""
MESSAGE_TIMEOUT_SECONDS = 120.0
"""A thousand characters, the longest message, take some 70 s."""


class Voicemail:
    """Times are seconds of the bridge's clock."""

    def __init__(self, config: CallConfig) -> None:
        self.due_at = NEVER
        detection = config.machine_detection
        self._message = detection.message if detection else None
        self._reached = False
        self._waits_for_silence = False
        """It is time, but for the rest of what is being said."""

    def on_machine(
        self, greeting_over: bool, conversation: Conversation, now: float
    ) -> list[BridgeCommand]:
        """May be told any number of times."""
        if self._message is None:
            return []
        commands: list[BridgeCommand] = []
        if not self._reached:
            self._reached = True
            self.due_at = now + GREETING_TIMEOUT_SECONDS
            commands = conversation.silence(now)
        if greeting_over and self.due_at < NEVER:
            self.due_at = now
        return commands

    def check(self, conversation: Conversation, now: float) -> list[BridgeCommand]:
        """To be called whenever something has happened, and when `due_at` has come."""
        if self.due_at <= now:
            self.due_at = NEVER
            self._waits_for_silence = True
        if not (self._waits_for_silence and conversation.is_silent):
            return []
        self._waits_for_silence = False
        conversation.after_playback(EndCall(EndedBy.MESSAGE_LEFT), now, MESSAGE_TIMEOUT_SECONDS)
        message = conversation.request_response(
            CreateResponse(exact_text=self._message), Purpose.VOICEMAIL, now
        )
        return [*conversation.unmute(now), *message]
