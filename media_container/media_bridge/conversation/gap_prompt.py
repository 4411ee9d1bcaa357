"""Asks the caller once to continue, if both sides are silent after a new media stream.

What the caller said in the gap is lost, so the caller may wait for an answer that never comes.
"""

from media_bridge.commands import BridgeCommand, CreateResponse
from media_bridge.conversation.conversation import Conversation
from media_bridge.conversation.response_queue import Purpose
from media_bridge.deadline import NEVER

SILENCE_SECONDS = 5.5
"""The agent replies at once if the record shows that a reply is due. This silence means that the
last words before the loss may not be on record."""
PROMPT = CreateResponse(
    instructions="The line was interrupted for a moment, and words of the caller may be lost. In "
    "one short sentence, say that you are there and ask the caller to go on or to repeat."
)


class GapPrompt:
    def __init__(self, *, is_wanted: bool) -> None:
        self.due_at = NEVER
        self._is_wanted = is_wanted

    def begin(self, now: float) -> None:
        if self._is_wanted:
            self.due_at = now + SILENCE_SECONDS

    def check(self, conversation: Conversation, now: float) -> list[BridgeCommand]:
        """Return the prompt when it is due. It is dropped once somebody speaks."""
        if self.due_at == NEVER:
            return []
        if not conversation.waits_for_caller or conversation.last_sign_of_caller_at is not None:
            self.due_at = NEVER
        elif self.due_at <= now:
            self.due_at = NEVER
            return conversation.request_response(PROMPT, Purpose.NOTICE, now)
        return []
