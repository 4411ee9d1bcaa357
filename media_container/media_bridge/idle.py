"""A caller who says nothing: asked whether somebody is there, and at last said goodbye to.

By our own clock, from the moment at which the caller has heard everything, so it is the same with
every server and every detector; OpenAI's `idle_timeout_ms` goes with `server_vad` alone.
"""

from media_bridge.commands import BridgeCommand, EndCall, Respond
from media_bridge.conversation import Conversation
from media_bridge.events import EndAsked
from media_bridge.responses import Purpose
from media_bridge.steering import steered
from phonebridge.call import EndedBy
from phonebridge.call_config import CallConfig

PROMPT = Respond(
    guidance="The caller has been silent for a while. Ask briefly whether they are still there."
)
GOODBYE = EndAsked(
    EndedBy.IDLE,
    guidance="The caller is still silent. Say in one short sentence that you are hanging up now, "
    "and goodbye.",
)
END = EndCall(EndedBy.IDLE)


class IdleCaller:
    """Times are seconds of the bridge's clock."""

    def __init__(self, config: CallConfig) -> None:
        self.due_at: float | None = None
        self._timeout = config.idle_timeout_seconds
        self._prompts = config.idle_prompts
        self._prompted = 0
        self._last_sign_at: float | None = None

    def watch(self, talk: Conversation, now: float) -> list[BridgeCommand]:
        """To be called whenever something has happened, and when `due_at` has come."""
        if self._timeout is None:
            return []
        if talk.last_sign_of_caller_at != self._last_sign_at:
            self._last_sign_at = talk.last_sign_of_caller_at
            self._prompted = 0
            talk.withdraw(END)
        if not talk.waits_for_caller:
            self.due_at = None
        elif self.due_at is None:
            self.due_at = now + self._timeout
        elif self.due_at <= now:
            self.due_at = None
            return self._speak_up(talk, now)
        return []

    def _speak_up(self, talk: Conversation, now: float) -> list[BridgeCommand]:
        self._prompted += 1
        if self._prompted <= self._prompts:
            return talk.ask(PROMPT, Purpose.NOTICE, now)
        return steered(GOODBYE, talk, now)
