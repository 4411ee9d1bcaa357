"""What can happen to a call (past tense). Times are Unix milliseconds."""

from dataclasses import dataclass

from phonebridge.call.call import EndedBy, Fault, Hangup, Leg
from phonebridge.call.machine_detection import AnsweringEvent, OnMachine
from phonebridge.call.transfer import TransferEvent


@dataclass(frozen=True, slots=True)
class CallRequested:
    """Somebody asked the API for an outbound call; `with_stream`: its media stream is to be there
    before the callee is; `on_machine`: the carrier is to find out who answers."""

    with_stream: bool = False
    on_machine: OnMachine | None = None


@dataclass(frozen=True, slots=True)
class BrowserCallRequested:
    """Somebody asked the API for a call from a browser, which opens the first stream itself."""


@dataclass(frozen=True, slots=True)
class StreamRequested:
    """A browser wants to open another stream in place of the one that it has lost."""


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
    is_estimated: bool = False
    """No webhook reported the answer. The leg is alive, and was answered at this time at the
    earliest."""


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
    """The container's part in stream `stream_number` is over."""

    stream_number: int
    started: bool = True
    """Whether the media stream ever began."""


@dataclass(frozen=True, slots=True)
class DigitsRequested:
    """Somebody wants keys to be pressed on our side of the line. The same keys again, while nothing
    is known of the first request, are a repetition of it; so are those with the same name."""

    digits: str
    duration_ms: int
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class DigitsSettled:
    """The carrier has pressed the keys of this request, or will not."""

    number: int


@dataclass(frozen=True, slots=True)
class EndRequested:
    """Somebody on our side wants the call to end."""

    by: EndedBy
    at_ms: int


@dataclass(frozen=True, slots=True)
class CallFailed:
    """Something on our side that the call cannot survive. After its end it is no news."""

    fault: Fault


@dataclass(frozen=True, slots=True)
class StreamingFailed:
    """`streaming.failed`: the carrier could not open, or keep, this media stream. It is a fault of
    the call only if none has carried audio, and no further one may be tried."""

    fault: Fault
    stream_number: int = 1


@dataclass(frozen=True, slots=True)
class StreamingLost:
    """`streaming.failed` of a stream that another one can replace. `lifecycle.advance`
    distinguishes the two cases."""

    fault: Fault
    stream_number: int = 1


@dataclass(frozen=True, slots=True)
class StreamingStopped:
    """`streaming.stopped`: the carrier has closed this media stream, for whatever reason."""

    stream_number: int = 1


@dataclass(frozen=True, slots=True)
class NextStreamRequested:
    """Somebody on our side wants another stream instead of stream `stream_number`, which the
    carrier may still hold open."""

    stream_number: int
    has_room: bool = True
    """Whether a container can take the next stream. Without one, the caller waits for it."""


@dataclass(frozen=True, slots=True)
class LastStreamEnding:
    """The container of this stream lets the carrier stop it and speak to the caller. The call ends
    then, so no other stream may follow."""

    stream_number: int


@dataclass(frozen=True, slots=True)
class StreamClosed:
    """The carrier has carried out `streaming_stop` for this stream, or had nothing to stop."""

    stream_number: int


@dataclass(frozen=True, slots=True)
class CallerInformed:
    """The carrier was asked to speak to the caller after the loss of this stream. It is not asked
    again, whether it accepted or refused."""

    stream_number: int


@dataclass(frozen=True, slots=True)
class AnnouncementEnded:
    """`call.speak.ended`: the carrier has finished speaking to the caller."""

    number: int | None = None
    """The number of the announcement. None if another program has replaced `client_state`."""


@dataclass(frozen=True, slots=True)
class StreamsGivenUp:
    """No container has taken the call after the loss of this stream, nor has the fallback. The
    caller hears a farewell, and the call ends."""

    stream_number: int


@dataclass(frozen=True, slots=True)
class CallHungUp:
    """`call.hangup`, or the carrier's answer that the call is over (`FOUND_ENDED`)."""

    leg: Leg
    hangup: Hangup


@dataclass(frozen=True, slots=True)
class BrowserLeft:
    """A browser call ends: its end was requested, and no container carries it. `lifecycle.advance`
    replaces the later of these two events by this one."""

    event: EndRequested | MediaReported


BrowserEvent = BrowserCallRequested | StreamRequested | BrowserLeft
StreamEvent = (
    StreamingLost
    | StreamingStopped
    | NextStreamRequested
    | LastStreamEnding
    | StreamClosed
    | CallerInformed
    | AnnouncementEnded
    | StreamsGivenUp
)
MediaEvent = MediaAttached | MediaStarted | MediaReported | StreamingFailed | StreamEvent
LegEvent = (
    CallRequested
    | CallArrived
    | CallTurnedAway
    | DialAccepted
    | CallInitiated
    | CallAnswered
    | DigitsRequested
    | DigitsSettled
    | EndRequested
    | CallFailed
    | CallHungUp
    | AnsweringEvent
    | MediaEvent
)
CallEvent = LegEvent | TransferEvent | BrowserEvent
