"""Who answered an outbound call, as the carrier detected it, and what a machine means for the call
(Telnyx, "Answering Machine Detection"). Facts only grow, because the webhooks come in any order.
The end of a machine's greeting may be the only report of a machine."""

from dataclasses import dataclass, replace
from enum import StrEnum


class AnsweredBy(StrEnum):
    """Who answered the call. If the carrier reports more than one result, the one that is listed
    later counts."""

    UNSURE = "not_sure"
    HUMAN = "human"
    MACHINE = "machine"
    FAX = "fax"


class OnMachine(StrEnum):
    """What is done when no human answered."""

    HANG_UP = "hang_up"
    LEAVE_MESSAGE = "leave_message"
    CONTINUE = "continue"


class Method(StrEnum):
    """Premium understands speech and costs more; standard judges by its length and pauses."""

    PREMIUM = "premium"
    STANDARD = "standard"


@dataclass(frozen=True, slots=True)
class MachineDetection:
    """The requested detection."""

    mode: OnMachine
    message: str | None = None
    """The words to leave."""
    method: Method = Method.PREMIUM


@dataclass(frozen=True, slots=True)
class Detection:
    """What was found out."""

    on_machine: OnMachine = OnMachine.CONTINUE
    answered_by: AnsweredBy | None = None
    greeting_over: bool = False

    @property
    def ends_call(self) -> bool:
        match self.answered_by, self.on_machine:
            case ((AnsweredBy.MACHINE | AnsweredBy.FAX), OnMachine.HANG_UP):
                return True
            case AnsweredBy.FAX, OnMachine.LEAVE_MESSAGE:
                return True
            case _:
                return False

    @property
    def takes_message(self) -> bool:
        return self.answered_by is AnsweredBy.MACHINE and self.on_machine is OnMachine.LEAVE_MESSAGE


@dataclass(frozen=True, slots=True)
class DetectionEnded:
    """The carrier knows who answered."""

    answered_by: AnsweredBy


@dataclass(frozen=True, slots=True)
class GreetingEnded:
    """A machine has said its greeting: what is said now is recorded."""


AnsweringEvent = DetectionEnded | GreetingEnded


def apply_event(known: Detection | None, event: AnsweringEvent) -> Detection:
    known = known or Detection()
    match event:
        case DetectionEnded(answered_by):
            return replace(known, answered_by=_surest(known.answered_by, answered_by))
        case GreetingEnded():
            answered_by = _surest(known.answered_by, AnsweredBy.MACHINE)
            return replace(known, answered_by=answered_by, greeting_over=True)


def _surest(known: AnsweredBy | None, new: AnsweredBy) -> AnsweredBy:
    return max(known or new, new, key=list(AnsweredBy).index)
