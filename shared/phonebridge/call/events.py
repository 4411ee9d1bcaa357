"""What can happen to a call (past tense). Times are Unix milliseconds."""

from dataclasses import dataclass

from phonebridge.call.call import Activity, EndedBy, Fault, Hangup, Leg
from phonebridge.call.machine_detection import AnsweringEvent, OnMachine
from phonebridge.call.transfer import TransferEvent


@dataclass(frozen=True, slots=True)
class CallRequested:
    """Somebody asked the API for an outbound call; `with_stream`: its media stream is to be there
    before the callee is; `on_machine`: the carrier is to find out who answers."""

    with_stream: bool = False
    on_machine: OnMachine | None = None


@dataclass(frozen=True, slots=True)
class CallArrived:
    """`call.initiated` of an inbound call."""

    leg: Leg


@dataclass(frozen=True, slots=True)
class CallTurnedAway:
    """`call.initiated` of an inbound call to a number that no agent answers."""

    leg: Leg


@dataclass(frozen=True, slots=True)
class DialAccepted:
    """The carrier took the dial command; webhooks may have come before it."""

    leg: Leg


@dataclass(frozen=True, slots=True)
class CallInitiated:
    """`call.initiated` of an outbound call."""

    leg: Leg


@dataclass(frozen=True, slots=True)
class CallAnswered:
    leg: Leg
    at_ms: int


@dataclass(frozen=True, slots=True)
class MediaAttached:
    """A media container claimed stream `stream_number` of the call."""

    stream_number: int
    task_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class MediaStarted:
    """The carrier's `start` on a stream that was attached while the phone rang: it was answered."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class MediaReported:
    """The container's figures, once its part of the call is over."""

    activity: Activity
    started: bool = True
    """Whether the media stream ever began."""


@dataclass(frozen=True, slots=True)
class DigitsRequested:
    """Somebody wants keys to be pressed on our side of the line."""

    digits: str
    duration_ms: int


@dataclass(frozen=True, slots=True)
class EndRequested:
    by: EndedBy


@dataclass(frozen=True, slots=True)
class CallFailed:
    """Something on our side that the call cannot survive. After its end it is no news."""

    fault: Fault


@dataclass(frozen=True, slots=True)
class StreamingFailed:
    """`streaming.failed`: the carrier could not open, or keep, the media stream."""

    fault: Fault


@dataclass(frozen=True, slots=True)
class FirstStreamFailed:
    """The first `streaming.failed` of a call: a second stream takes its place. Not so when that
    stream was attached after the answer, for then it had carried the call."""

    fault: Fault


@dataclass(frozen=True, slots=True)
class CallHungUp:
    """`call.hangup`, or the carrier's word that the call has already ended (90018)."""

    leg: Leg
    hangup: Hangup


@dataclass(frozen=True, slots=True)
class LegOutlivedCall:
    """Our part of the call was over a while ago, yet nothing tells that its leg is."""


MediaEvent = MediaAttached | MediaStarted | MediaReported | StreamingFailed | FirstStreamFailed
LegEvent = (
    CallRequested
    | CallArrived
    | CallTurnedAway
    | DialAccepted
    | CallInitiated
    | CallAnswered
    | DigitsRequested
    | EndRequested
    | CallFailed
    | CallHungUp
    | LegOutlivedCall
    | AnsweringEvent
    | MediaEvent
)
CallEvent = LegEvent | TransferEvent
