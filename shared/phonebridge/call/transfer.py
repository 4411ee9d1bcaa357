"""Transfers of the caller to a target.

Blind: Telnyx rings the target and connects the two (`transfer`). Warm: the target is dialled on a
separate leg (`dial`), hears a summary (`speak`), and then both legs are connected (`bridge`). An
attempt is a set of facts that only grow. `next_step` derives the next command from them.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferAttempt:
    """The latest attempt. After a failed one, another may follow."""

    number: int
    to: str
    from_: str = ""
    summary: str = ""
    """The summary for the target. If it is empty, the transfer is blind."""
    target: str = ""
    """The `call_control_id` of the target's leg, once it is known."""
    answered: bool = False
    speaking: bool = False
    briefed: bool = False
    target_ended: bool = False
    end: str = ""
    """Why the target's leg ended, or never began. Before the connection, this is a failure."""

    @property
    def is_warm(self) -> bool:
        return bool(self.summary)

    def is_repeated_by(self, request: "TransferRequested") -> bool:
        """Whether the request is the one that began this attempt, of which nothing is known yet."""
        asked = (request.to, request.from_, request.summary)
        return not self.target and asked == (self.to, self.from_, self.summary)

    @property
    def target_may_be_up(self) -> bool:
        """Whether the target's leg may need a hangup. Telnyx takes care of the target of a blind
        transfer."""
        return self.is_warm and bool(self.target) and not self.target_ended


# What can happen to a transfer.


@dataclass(frozen=True, slots=True)
class TransferRequested:
    to: str
    from_: str = ""
    summary: str = ""


@dataclass(frozen=True, slots=True)
class TransferRefused:
    """The carrier refused one of the commands of the transfer."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class TargetInitiated:
    """`call.initiated` of the target's leg, or the answer to its dial."""

    number: int
    target: str


@dataclass(frozen=True, slots=True)
class TargetAnswered:
    """The target of a warm transfer answered. The target of a blind one is connected by its
    answer."""

    number: int
    target: str


@dataclass(frozen=True, slots=True)
class BriefingStarted:
    """`call.speak.started`: the target hears the summary."""

    number: int


@dataclass(frozen=True, slots=True)
class TargetBriefed:
    """`call.speak.ended`: the summary was played to the target."""

    number: int


@dataclass(frozen=True, slots=True)
class TargetHungUp:
    number: int
    cause: str


@dataclass(frozen=True, slots=True)
class CallTransferred:
    """The two are connected (`call.bridged`): our part of the call is over."""

    at_ms: int


AttemptEvent = (
    TransferRequested
    | TransferRefused
    | TargetInitiated
    | TargetAnswered
    | BriefingStarted
    | TargetBriefed
    | TargetHungUp
)
TransferEvent = AttemptEvent | CallTransferred


def apply_event(known: TransferAttempt | None, event: AttemptEvent) -> TransferAttempt | None:
    """Apply an event to the attempt. Events of earlier attempts change nothing."""
    if isinstance(event, TransferRequested):
        number = known.number + 1 if known else 1
        return TransferAttempt(number=number, to=event.to, from_=event.from_, summary=event.summary)
    if known is None or event.number != known.number:
        return known
    match event:
        case TransferRefused(_, reason):
            return replace(known, end=_first_end(known, reason))
        case TargetHungUp(_, reason):
            return replace(known, end=_first_end(known, reason), target_ended=True)
        case TargetInitiated(_, target):
            return replace(known, target=target or known.target)
        case TargetAnswered(_, target):
            return replace(known, target=target or known.target, answered=True)
        case BriefingStarted():
            return replace(known, speaking=True)
        case TargetBriefed():
            return replace(known, briefed=True)


def _first_end(known: TransferAttempt, reason: str) -> str:
    """Return the same reason, whatever the order of two reports."""
    return min(filter(None, (known.end, reason)))


# What a transfer may ask of the carrier.


@dataclass(frozen=True, slots=True)
class TransferLeg:
    """Ring the target and connect it with the caller."""


@dataclass(frozen=True, slots=True)
class DialTarget:
    """Ring the target on a leg of its own."""


@dataclass(frozen=True, slots=True)
class SpeakSummary:
    """Let the carrier's voice read the summary to the target."""


@dataclass(frozen=True, slots=True)
class BridgeLegs:
    """Connect caller and target."""


@dataclass(frozen=True, slots=True)
class HangUpTarget:
    """End the target's leg; the caller's stays."""


@dataclass(frozen=True, slots=True)
class ReportTransfer:
    """Report the outcome of a transfer to the container that carries the call."""


TransferCommand = TransferLeg | DialTarget | SpeakSummary | BridgeLegs | HangUpTarget


def next_step(known: TransferAttempt) -> TransferCommand | None:
    """Return the next step of the attempt, while the caller is still ours and nothing confirms the
    step."""
    if known.end:
        return HangUpTarget() if known.target_may_be_up else None
    if known.briefed:
        return BridgeLegs()
    if known.answered:
        return None if known.speaking else SpeakSummary()
    if known.target:
        return None
    return DialTarget() if known.is_warm else TransferLeg()
