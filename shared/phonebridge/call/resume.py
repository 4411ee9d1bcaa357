"""The state that a new session of the model needs to continue a conversation, beyond its turns."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PastToolCall:
    """A tool call of the conversation. `output` is None while the tool runs."""

    call_id: str
    name: str
    arguments: str
    """A JSON object, as the model sent it."""
    output: str | None
    after_turn: int
    """The call came after the turn with this number. It is 0 before the first turn."""


@dataclass(frozen=True, slots=True)
class Resume:
    tool_calls: tuple[PastToolCall, ...] = ()
    cut_off_words: str = ""
    """The played part of an unfinished reply. It is empty if no reply was cut."""
    is_reply_owed: bool = False
    """The caller waits for a reply of the agent."""
    is_muted: bool = False
    is_caller_muted: bool = False
