"""A call: what it is, what can happen to it (past tense) and what it may ask for (imperative).

Times are Unix milliseconds. `lifecycle.advance` is the only function that moves a call.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from phonebridge.answering import AnsweringEvent, Detection, OnMachine
from phonebridge.transfer import ReportTransfer, Transfer, TransferCommand, TransferEvent

LONGEST_CALL_ID = 64  # characters; ours are UUIDs, and DynamoDB refuses keys above 2 KB


class CallStatus(StrEnum):
    CREATED = "created"
    DIALING = "dialing"
    INCOMING = "incoming"
    ANSWERED = "answered"
    STREAMING = "streaming"
    TRANSFERRED = "transferred"
    ENDED = "ended"


class Outcome(StrEnum):
    COMPLETED = "completed"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    REJECTED = "rejected"
    VOICEMAIL = "voicemail"
    CANCELED = "canceled"
    FAILED = "failed"


class Direction(StrEnum):
    INBOUND = "inbound"
    OUTBOUND = "outbound"


class EndedBy(StrEnum):
    """Who on our side asked for the end of a call."""

    API = "ended_by_api"
    IDLE = "idle"
    AGENT = "ended_by_agent"
    MAX_DURATION = "max_duration"
    MESSAGE_LEFT = "message_left"
    UNKNOWN_NUMBER = "unknown_number"
    SHUTDOWN = "shutdown"


@dataclass(frozen=True, slots=True)
class Leg:
    """Telnyx's names for a call; `call_control_id` is the one that commands take."""

    call_control_id: str
    call_leg_id: str = ""
    call_session_id: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a call failed: a code for programs, a detail for people."""

    reason: str
    detail: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Hangup:
    """The end of the leg, as Telnyx told it (`call.hangup`)."""

    cause: str
    source: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class EarlyStream:
    """The media stream that was asked for with the dial. A convenience, never the call's fault:
    one of `streaming_start` can take its place once the call is answered."""

    left: bool = False
    """The container's part of it was over before the media began."""


@dataclass(frozen=True, slots=True)
class Activity:
    """What the media plane counted over a call."""

    turns: int = 0
    interruptions: int = 0
    frames_in: int = 0
    frames_out: int = 0
    frames_lost: int = 0
    first_audio_ms: int | None = None
    turn_latency_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """The head of a call's record: small enough that a transition costs one write unit."""

    call_id: str
    direction: Direction
    to: str
    from_: str
    created_at_ms: int
    changed_at_ms: int = 0
    """By our own clock, while other times may be the carrier's."""
    status: CallStatus = CallStatus.CREATED
    version: int = 0
    leg: Leg | None = None
    answered_at_ms: int | None = None
    streaming_at_ms: int | None = None
    ended_at_ms: int | None = None
    outcome: Outcome | None = None
    reason: str | None = None
    fault: Fault | None = None
    hangup: Hangup | None = None
    end_requested_by: EndedBy | None = None
    stream_number: int = 0
    attached_stream: int = 0
    early_stream: EarlyStream | None = None
    """None when the dial asked for no stream."""
    stream_fault: Fault | None = None
    """Why the first stream could not be opened; a second one took its place."""
    transfer: Transfer | None = None
    transferred_at_ms: int | None = None
    detection: Detection | None = None
    """Where the carrier was asked to find out who answers, or told so unasked."""
    owner_task: str | None = None
    activity: Activity = field(default_factory=Activity)

    @property
    def talk_ms(self) -> int | None:
        """From answer to end; None until the end. Without an answer nobody talked."""
        if self.ended_at_ms is None:
            return None
        return max(0, self.ended_at_ms - (self.answered_at_ms or self.ended_at_ms))

    @property
    def carries_early_stream(self) -> bool:
        """Whether the stream that was attached last is the one that the dial asked for."""
        return self.early_stream is not None and self.attached_stream == 1

    @property
    def may_be_up(self) -> bool:
        """Whether the carrier may still hold, and bill, a leg of this call."""
        if self.status is CallStatus.ENDED:
            return self.leg is not None and self.hangup is None
        return True


@dataclass(frozen=True, slots=True)
class Latency:
    """From the caller's last word to the first sound of the answer that leaves for them: how long
    each in turn took (`media_bridge/latency.py`)."""

    response_ms: int
    """From the detector's word until the response began that speaks; a tool's time is in it."""
    model_ms: int
    """From there until its first sound came."""
    bridge_ms: int
    """From there until it left."""
    detector_ms: int | None = None
    """Until the detector was sure; None where that is not known and counted."""

    @property
    def total_ms(self) -> int:
        return (self.detector_ms or 0) + self.response_ms + self.model_ms + self.bridge_ms


class Speaker(StrEnum):
    CALLER = "caller"
    AGENT = "agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one side said without a break; times count from the start of the media stream. Of a turn
    that was interrupted, `text` is what was heard and `unheard` the words that were cut off."""

    number: int
    who: Speaker
    text: str
    started_ms: int
    ended_ms: int
    interrupted: bool = False
    unheard: str = ""
    latency: Latency | None = None
    """Of the first that answers the caller."""

    @property
    def latency_ms(self) -> int | None:
        return self.latency.total_ms if self.latency else None


# What can happen to a call.


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
    """The call ended a while ago, yet nothing tells that its leg did."""


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


# What a call may ask of the carrier.


@dataclass(frozen=True, slots=True)
class Dial:
    """Ring the callee, and open this media stream meanwhile."""

    stream_number: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Take an inbound call."""


@dataclass(frozen=True, slots=True)
class Reject:
    """Refuse an inbound call without taking it."""


@dataclass(frozen=True, slots=True)
class StartStreaming:
    """Open media stream `stream_number` towards the media container."""

    stream_number: int


@dataclass(frozen=True, slots=True)
class StopStreaming:
    """Close the media stream; the call goes on without us."""


@dataclass(frozen=True, slots=True)
class SendDigits:
    """Press keys: `0-9 A-D * #`, a pause of half a second (`w`) or of a whole one (`W`)."""

    digits: str
    duration_ms: int


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the leg."""


@dataclass(frozen=True, slots=True)
class ReportMachine:
    """Let the container that carries the call know that a machine answered it."""


@dataclass(frozen=True, slots=True)
class ReportAnswer:
    """Tell the container, which has had the stream since the phone rang, that `start` is due."""


CarrierCommand = (
    Dial | Answer | Reject | StartStreaming | StopStreaming | SendDigits | TransferCommand | HangUp
)
Report = ReportTransfer | ReportMachine | ReportAnswer
CallCommand = CarrierCommand | Report
