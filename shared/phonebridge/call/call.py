"""A call: the head of its record. `events.py` lists what can happen to it, `commands.py` what it
may need, and `lifecycle.advance` is the only function that moves it.

Times are Unix milliseconds.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from phonebridge.call.machine_detection import Detection
from phonebridge.call.transfer import TransferAttempt

FOUND_ENDED = "found_ended"
"""Cause of a hangup that no webhook reported: the carrier refused a command because the leg is
over, or answered a question about it. Any `call.hangup` webhook overrides it."""
MAX_STREAMS = 5
"""A call gets so many streams that carry audio. As many may fail to open at its beginning."""
MAX_FAILURES = 8
"""So many streams in a row may fail to open once the call has carried audio."""
MAX_STREAM_NUMBER = MAX_STREAMS * MAX_FAILURES
FAREWELL = MAX_STREAM_NUMBER + 1
"""The number of the carrier's last announcement. Others have the number of a lost stream."""
CLOCK_SKEW_MS = 2_000
"""How far our clock and the carrier's may differ when their times are compared."""
MAX_CALL_ID_LENGTH = 64  # characters; ours are UUIDs, and DynamoDB refuses keys above 2 KB


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
    BROWSER = "browser"
    """Somebody talks in a browser. No carrier has a part in the call."""


class EndedBy(StrEnum):
    """Who on our side requested the end of a call."""

    API = "ended_by_api"
    IDLE = "idle"
    AGENT = "ended_by_agent"
    MAX_DURATION = "max_duration"
    MESSAGE_LEFT = "message_left"
    UNKNOWN_NUMBER = "unknown_number"
    SHUTDOWN = "shutdown"
    CALLER = "caller_hung_up"
    """The person in the browser has ended the call."""
    BROWSER_LOST = "browser_lost"
    """The browser has lost its socket, and has not come back in time."""
    BROWSER_ABSENT = "browser_never_connected"
    UNKNOWN = "unknown"
    """The leg outlived its media, and the reason of the end is unknown."""


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

    @property
    def is_of_model(self) -> bool:
        return blames_model(self.reason)


def blames_model(reason: str) -> bool:
    """Return whether the reason of a fault names the model's server as its cause."""
    return reason.startswith("model_")


@dataclass(frozen=True, slots=True)
class Hangup:
    """The end of the leg, as Telnyx reported it (`call.hangup`)."""

    cause: str
    source: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys that somebody wants to be pressed. A later request has a higher number."""

    number: int
    digits: str
    duration_ms: int
    request_id: str = ""
    """What the client calls its request, if it gave it a name."""
    settled: bool = False
    """Whether the carrier has pressed them, or has refused to."""


@dataclass(frozen=True, slots=True)
class AskedAt:
    """When the need for a command arose. Each field is about one thing that commands are sent to,
    and each of these things needs at most one command at a time; 0 where there was never a need."""

    leg_ms: int = 0
    stream_ms: int = 0
    target_ms: int = 0
    keys_ms: int = 0
    transfer_report_ms: int = 0
    machine_report_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """The head of a call's record. It is small enough that a transition costs one write unit."""

    call_id: str
    direction: Direction
    to: str
    from_: str
    created_at_ms: int
    placed_by: str = ""
    """The fingerprint of the API key that placed the call. Empty for inbound calls, and locally."""
    has_own_webhook: bool = False
    """Whether the settings name a server to notify of the end. So an end reads no settings."""
    changed_at_ms: int = 0
    """The time by our own clock. Other times may be the carrier's."""
    status: CallStatus = CallStatus.CREATED
    version: int = 0
    leg: Leg | None = None
    answered_at_ms: int | None = None
    is_answer_estimated: bool = False
    streaming_at_ms: int | None = None
    ended_at_ms: int | None = None
    outcome: Outcome | None = None
    reason: str | None = None
    fault: Fault | None = None
    hangup: Hangup | None = None
    end_requested_by: EndedBy | None = None
    end_requested_at_ms: int | None = None
    has_early_stream: bool = False
    """Whether the dial requested stream 1. That stream is a convenience: if it is lost before the
    media begin, another one replaces it."""
    stream_number: int = 0
    """The latest media stream that the call needs; each has a number, from 1 on."""
    attached_stream: int = 0
    """The latest stream that a media container has claimed."""
    attached_at_ms: int = 0
    """When it did, by its clock. So a claim whose answer got lost is known when it is repeated."""
    carried_streams: int = 0
    """How many streams a media container has claimed."""
    lost_stream: int = 0
    """The latest stream that never came to be."""
    left_stream: int = 0
    """The latest stream whose container has reported that its part is over."""
    closing_stream: int = 0
    """The latest stream that the carrier must close before it can open another one."""
    closed_stream: int = 0
    """The latest stream that the carrier has closed."""
    parked_stream: int = 0
    """The latest stream that was lost while no container could take the next one."""
    last_stream: int = 0
    """The latest stream that is not to be followed by another one."""
    announced_stream: int = 0
    """The latest lost stream after which the carrier was asked to speak to the caller."""
    spoken_stream: int = 0
    """The latest lost stream after which the carrier has finished speaking to the caller."""
    given_up_stream: int = 0
    """The latest lost stream after which the call is not continued."""
    transfer: TransferAttempt | None = None
    transferred_at_ms: int | None = None
    detection: Detection | None = None
    """What the carrier has found out about who answered."""
    keys: Keys | None = None
    owner_task: str | None = None
    asked_at: AskedAt = field(default_factory=AskedAt)

    @property
    def talk_ms(self) -> int | None:
        """The time from the answer to the end, or None until the end. It is zero without an
        answer."""
        if self.ended_at_ms is None:
            return None
        return max(0, self.ended_at_ms - (self.answered_at_ms or self.ended_at_ms))

    @property
    def is_browser_call(self) -> bool:
        return self.direction is Direction.BROWSER

    @property
    def has_container(self) -> bool:
        """Whether a container has the latest stream, as far as it has reported."""
        return self.owner_task is not None and self.left_stream < self.attached_stream

    @property
    def carries_early_stream(self) -> bool:
        """Whether the last attached stream is the one that the dial requested."""
        return self.has_early_stream and self.attached_stream == 1

    @property
    def has_lost_media(self) -> bool:
        """Whether the container has left the call, although there is no sign that the leg has
        ended."""
        has_left = self.left_stream == self.attached_stream == self.stream_number
        is_wanted = not (self.is_unwanted or self.transfer)  # its target may have the caller
        return self.status is CallStatus.STREAMING and has_left and is_wanted

    @property
    def is_parked(self) -> bool:
        """Whether the caller waits, without a stream, for a container that takes the call."""
        return self.parked_stream == self.lost_stream == self.stream_number != 0

    @property
    def is_given_up(self) -> bool:
        """Whether a parked call waits for nothing but a farewell."""
        return self.is_parked and self.parked_stream <= self.given_up_stream

    @property
    def has_last_stream(self) -> bool:
        """Whether the call is not to get another stream, because its container ends it."""
        return 0 < self.attached_stream <= self.last_stream

    @property
    def is_being_transferred(self) -> bool:
        """Whether the caller may be with the target of a transfer."""
        return self.transfer is not None and not self.transfer.end

    @property
    def is_unwanted(self) -> bool:
        """Whether the call is over for us, so that a leg of which we hear is to be hung up."""
        machine = self.detection is not None and self.detection.ends_call
        return self.status is CallStatus.ENDED or self.end_requested_by is not None or machine

    @property
    def may_be_up(self) -> bool:
        """Whether the carrier may still hold, and bill, a leg of this call."""
        return self.leg_may_be_up or self.target_may_be_up

    @property
    def leg_may_be_up(self) -> bool:
        if self.status is CallStatus.ENDED:
            return self.leg is not None and (self.hangup is None or self._was_answered_later)
        return True

    @property
    def target_may_be_up(self) -> bool:
        """Whether a transfer has left a leg of its target's with us."""
        if self.transferred_at_ms is not None or self.transfer is None:
            return False  # it is the caller's then, and the carrier ends both together
        return self.transfer.target_may_be_up

    @property
    def _was_answered_later(self) -> bool:
        """Whether a leg that was hung up before Telnyx knew it was answered after that."""
        assert self.hangup is not None, "asked only of a call that has one"
        answered_at_ms = self.answered_at_ms or 0
        return self.hangup.cause == FOUND_ENDED and answered_at_ms > self.hangup.at_ms
