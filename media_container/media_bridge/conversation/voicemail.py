"""Leaves a message when a machine answered: waits for the end of its greeting, speaks, and hangs
up. The model does not hear the machine. So it answers neither the greeting nor the beep, and they
do not interrupt the message.

The model does not hear the machine, so that neither the greeting nor the beep is answered or
interrupts the message.
"""

from media_bridge.commands import BridgeCommand, CreateResponse, EndCall
from media_bridge.conversation.conversation import Conversation
from media_bridge.conversation.response_queue import Purpose
from media_bridge.deadline import NEVER
from phonebridge.call.call import EndedBy
from phonebridge.call.config import CallConfig

GREETING_TIMEOUT_SECONDS = 30.0
"""The message is spoken after this time even if no beep was detected."""
MESSAGE_TIMEOUT_SECONDS = 120.0
"""A thousand characters, the longest message, take some 70 s."""


class Voicemail:
    def __init__(self, config: CallConfig) -> None:
        self.due_at = NEVER
        detection = config.machine_detection
        self._message = detection.message if detection else None
        self._reached = False
        self._waits_for_silence = False
        """The message is due when the agent has finished what it is saying."""

    def on_machine(
        self, greeting_over: bool, conversation: Conversation, now: float
    ) -> list[BridgeCommand]:
        """Note that a machine answered. This may be reported any number of times."""
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
