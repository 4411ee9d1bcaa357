"""Limits the duration of a call. The caller is warned, and hears a goodbye."""

from media_bridge.commands import BridgeCommand, CreateResponse
from media_bridge.conversation.conversation import Conversation
from media_bridge.conversation.response_queue import Purpose
from media_bridge.conversation.steering import apply_event
from media_bridge.deadline import NEVER
from media_bridge.events import HangUpRequested
from phonebridge.call.call import EndedBy
from phonebridge.call.config import CallConfig

WARNING_SECONDS = 30
"""How long before the end the warning comes, unless the call may last less than twice as long."""
WARNING = CreateResponse(
    instructions="This call must end in half a minute. Tell the caller so, in one short sentence."
)
GOODBYE = HangUpRequested(
    EndedBy.MAX_DURATION,
    instructions="This call has reached its longest duration. Say in one short sentence that it "
    "has to end now, and goodbye.",
)


class TimeLimit:
    def __init__(self, config: CallConfig) -> None:
        self.due_at = NEVER
        self._duration = config.max_duration_seconds
        self._ends_at = 0.0

    def begin(self, now: float) -> None:
        self._ends_at = now + self._duration
        is_short = self._duration < 2 * WARNING_SECONDS
        self.due_at = self._ends_at if is_short else self._ends_at - WARNING_SECONDS

    def check(self, conversation: Conversation, now: float) -> list[BridgeCommand]:
        if now < self.due_at:
            return []
        if self.due_at < self._ends_at:
            self.due_at = self._ends_at
            return conversation.request_response(WARNING, Purpose.NOTICE, now)
        self.due_at = NEVER
        return apply_event(GOODBYE, conversation, now)
