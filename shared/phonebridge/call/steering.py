"""Messages to the container that carries a call. `storage/mailbox.py` delivers them."""

from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

from phonebridge.call.config import CallConfig, TurnDetection
from phonebridge.call.tools import Tools


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Stop the model's speech now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Say:
    """Let the agent say these very words, or what an instruction asks for."""

    words: str | None = None
    instruction: str | None = None
    interrupt: bool = False
    """True if the agent breaks off its present sentence. Otherwise that sentence comes first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """Change the settings. None leaves a setting as it is."""

    instructions: str | None = None
    voice: str | None = None
    turn_detection: TurnDetection | None = None
    tools: Tools | None = None

    @property
    def changes(self) -> dict[str, Any]:
        values = ((each.name, getattr(self, each.name)) for each in fields(self))
        return {name: value for name, value in values if value is not None}

    def apply_to(self, config: CallConfig) -> CallConfig:
        return replace(config, **self.changes)


class Side(StrEnum):
    AGENT = "agent"
    CALLER = "caller"


@dataclass(frozen=True, slots=True)
class Mute:
    """Mute or unmute one side."""

    side: Side
    muted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StartTransfer:
    """Connect the caller with a target, once all requested words have been played."""

    to: str
    from_: str = ""
    summary: str = ""
    """The words for the target before the connection."""
    words: str | None = None
    """The words for the caller before the transfer."""


@dataclass(frozen=True, slots=True)
class SayGoodbye:
    """End the call when these words have been played."""

    words: str


@dataclass(frozen=True, slots=True)
class TransferFinished:
    """The caller was connected with the target, or `failure` says why not."""

    failure: str | None


@dataclass(frozen=True, slots=True)
class MachineAnswered:
    """Leave a message, now or when its greeting is over."""

    greeting_over: bool


@dataclass(frozen=True, slots=True)
class Answered:
    """The callee answered, so the media should begin on the early stream."""


@dataclass(frozen=True, slots=True)
class EndCallNow:
    """The end of a browser call was requested. It has no carrier that could hang up."""


News = Answered | MachineAnswered | TransferFinished | EndCallNow
"""Messages about events elsewhere: webhooks, and requests to end browser calls."""
Steering = Interrupt | Say | Update | Mute | StartTransfer | SayGoodbye | News
