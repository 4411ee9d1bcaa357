"""The calls of one response of the model, until all of them have an output."""

from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from media_bridge import tool_events
from media_bridge.commands import BridgeCommand, EndCall, TransferCall
from media_bridge.deadline import NEVER
from phonebridge.errors import ModelError

_Arguments = TypeVar("_Arguments")


class ToolRefused(ModelError):
    """A call that cannot be executed. The model receives the reason."""


@dataclass(frozen=True, slots=True)
class OpenCall:
    name: str
    since: float
    filler: str | None = None
    given_up: float = NEVER


@dataclass(frozen=True, slots=True)
class FinalAction:
    """A call that ends the agent's part, once the rest of its round is done."""

    call: tool_events.FunctionCalled
    command: EndCall | TransferCall


@dataclass(slots=True)
class ToolBatch:
    """One response answers all calls of a response."""

    has_spoken: bool
    """The response has spoken as well."""
    open: dict[str, OpenCall] = field(default_factory=dict)
    final_action: FinalAction | None = None
    has_failed: bool = False
    wants_words: bool = False
    filler_due: float = NEVER

    @property
    def due_at(self) -> float:
        return min(self.filler_due, *(call.given_up for call in self.open.values()), NEVER)

    @property
    def filler(self) -> str | None:
        return next((call.filler for call in self.open.values() if call.filler), None)

    def finish_with(
        self, command: EndCall | TransferCall, call: tool_events.FunctionCalled
    ) -> list[BridgeCommand]:
        """Do this when the rest of the batch is done. There is one such action in a batch."""
        if self.final_action:
            raise ToolRefused(f"{self.final_action.call.name} was called before it.")
        self.final_action = FinalAction(call, command)
        return []


def read_arguments(arguments: str, kind: type[_Arguments]) -> _Arguments:
    try:
        return msgspec.json.decode(arguments, type=kind)
    except (ValueError, RecursionError) as error:
        raise ToolRefused(f"The arguments are not as declared: {error}.") from error


def error_output(message: str) -> str:
    """Return the output of a failed call, so that the model can speak about it."""
    return msgspec.json.encode({"error": message}).decode()
