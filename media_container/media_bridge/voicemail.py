"""A machine answered: be silent until its greeting is over, say the message, hang up.

The model hears nothing of it: neither the greeting nor the beep is to be answered, or to cut the
message short.
"""

from media_bridge.commands import BridgeCommand, EndCall, Respond
from media_bridge.conversation import Conversation
from media_bridge.responses import Purpose
from phonebridge.call import EndedBy
from phonebridge.call_config import CallConfig

GREETING_PATIENCE = 30.0
"""Not every machine beeps, and not every beep is heard: then the message is said all the same."""
MESSAGE_PATIENCE = 120.0
"""A thousand characters, the longest message, take some 70 s."""


class Voicemail:
    """Times are seconds of the bridge's clock."""

    def __init__(self, config: CallConfig) -> None:
        self.due_at: float | None = None
        detection = config.machine_detection
        self._message = detection.message if detection else None
        self._reached = False
        self._waits_for_silence = False
        """It is time, but for the rest of what is being said."""

    def answered(self, greeting_over: bool, talk: Conversation, now: float) -> list[BridgeCommand]:
        """May be told any number of times."""
        if self._message is None:
            return []
        commands: list[BridgeCommand] = []
        if not self._reached:
            self._reached = True
            self.due_at = now + GREETING_PATIENCE
            commands = talk.hush(now)
        if greeting_over and self.due_at is not None:
            self.due_at = now
        return commands

    def watch(self, talk: Conversation, now: float) -> list[BridgeCommand]:
        """To be called whenever something has happened, and when `due_at` has come."""
        if self.due_at is not None and self.due_at <= now:
            self.due_at = None
            self._waits_for_silence = True
        if not (self._waits_for_silence and talk.is_silent):
            return []
        self._waits_for_silence = False
        talk.once_quiet(EndCall(EndedBy.MESSAGE_LEFT), now, MESSAGE_PATIENCE)
        message = talk.ask(Respond(saying=self._message), Purpose.VOICEMAIL, now)
        return [*talk.reply.unmute(now), *message]
