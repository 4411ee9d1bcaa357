"""Prompts a silent caller, then ends the call.

The time counts by our own clock, from the moment at which everything has been played. So it is the
same with every server and detector. OpenAI's `idle_timeout_ms` works with `server_vad` only.
"""

from media_bridge.commands import BridgeCommand, CreateResponse, EndCall
from media_bridge.conversation.conversation import Conversation
from media_bridge.conversation.response_queue import Purpose
from media_bridge.conversation.steering import apply_event
from media_bridge.deadline import NEVER
from media_bridge.events import HangUpRequested
from phonebridge.call.call import EndedBy
from phonebridge.call.config import CallConfig

PROMPT = CreateResponse(
    instructions="The caller has been silent for a while. Ask briefly whether they are still there."
)
GOODBYE = HangUpRequested(
    EndedBy.IDLE,
    instructions="The caller is still silent. Say in one short sentence that you are hanging up "
    "now, and goodbye.",
)
END = EndCall(EndedBy.IDLE)


class IdleCaller:
    def __init__(self, config: CallConfig) -> None:
        self.due_at = NEVER
        self._timeout = config.idle_timeout_seconds
        self._prompts = config.idle_prompts
        self._prompted = 0
        self._last_sign_at: float | None = None

    def check(self, conversation: Conversation, now: float) -> list[BridgeCommand]:
        if self._timeout is None:
            return []
        if conversation.last_sign_of_caller_at != self._last_sign_at:
            self._last_sign_at = conversation.last_sign_of_caller_at
            self._prompted = 0
            conversation.withdraw(END)
        if not conversation.waits_for_caller:
            self.due_at = NEVER
        elif self.due_at == NEVER:
            self.due_at = now + self._timeout
        elif self.due_at <= now:
            self.due_at = NEVER
            return self._prompt(conversation, now)
        return []

    def _prompt(self, conversation: Conversation, now: float) -> list[BridgeCommand]:
        self._prompted += 1
        if self._prompted <= self._prompts:
            return conversation.request_response(PROMPT, Purpose.NOTICE, now)
        return apply_event(GOODBYE, conversation, now)
