"""What the container that carries a call may be told; `storage/mailbox.py` takes it there."""

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
    """Whether the agent breaks off what it is saying; else that comes first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """Go on with other settings; None leaves one as it is."""

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
    """Let one side be heard by the other no more, or again."""

    side: Side
    muted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StartTransfer:
    """Connect the caller with somebody else, once all that was asked for has been said."""

    to: str
    from_: str = ""
    summary: str = ""
    """What the target is told first."""
    words: str | None = None
    """What the caller is told first."""


@dataclass(frozen=True, slots=True)
class SayGoodbye:
    """End the call when the caller has heard these words."""

    words: str


@dataclass(frozen=True, slots=True)
class TransferFinished:
    """The caller was connected with the target, or why not."""

    failure: str | None


@dataclass(frozen=True, slots=True)
class MachineAnswered:
    """Leave a message, now or when its greeting is over."""

    greeting_over: bool


@dataclass(frozen=True, slots=True)
class Answered:
    """Somebody picked up: the media should begin on the stream that was there meanwhile."""


@dataclass(frozen=True, slots=True)
class EndCallNow:
    """The end of a browser call was asked for. It has no carrier that could hang up."""


News = Answered | MachineAnswered | TransferFinished | EndCallNow
"""What became of the call elsewhere."""
Steering = Interrupt | Say | Update | Mute | StartTransfer | SayGoodbye | News
