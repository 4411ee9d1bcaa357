"""Asks the caller once to continue, if both sides are silent after a new media stream.

What the caller said in the gap is lost, and so are turns that were not on record yet. So the caller
may wait for an answer that never comes. If the record shows that a reply is due, the agent replies
at once, and nothing is asked.
"""

from media_bridge.commands import BridgeCommand, CreateResponse
from media_bridge.conversation.conversation import Conversation
from media_bridge.conversation.response_queue import Purpose
from media_bridge.deadline import NEVER

SILENCE_SECONDS = 1.5
"""People take up a pause after less than a second, so this silence means that they wait."""
PROMPT = CreateResponse(
    instructions="The line was interrupted for a moment, and words of the caller may be lost. In "
    "one short sentence, say that you are there and ask the caller to go on or to repeat."
)


class GapPrompt:
    def __init__(self, *, is_wanted: bool) -> None:
        self.due_at = NEVER
        self._is_wanted = is_wanted

    def check(self, conversation: Conversation, now: float) -> list[BridgeCommand]:
        """Return the prompt when it is due. It is dropped once somebody has spoken."""
        if not self._is_wanted:
            return []
        has_caller_spoken = conversation.last_sign_of_caller_at is not None
        if conversation.has_spoken or has_caller_spoken:
            self._is_wanted = False
        waits = self._is_wanted and conversation.waits_for_caller
        if not waits:
            self.due_at = NEVER
        elif self.due_at == NEVER:
            self.due_at = now + SILENCE_SECONDS
        elif self.due_at <= now:
            self.due_at, self._is_wanted = NEVER, False
            return conversation.request_response(PROMPT, Purpose.NOTICE, now)
        return []
