"""A call: the head of its record. What can happen to it is in `events.py`, what it may ask
for in `commands.py`; `lifecycle.advance` is the only function that moves it.

Times are Unix milliseconds.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from phonebridge.call.machine_detection import Detection
from phonebridge.call.transfer import TransferAttempt

FOUND_ENDED = "found_ended"
"""Cause of a hangup that we learn only from a refused command (90018, or a leg that Telnyx does not
know): any `call.hangup` webhook overrides it."""
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
    transfer: TransferAttempt | None = None
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
    def is_over_for_us(self) -> bool:
        """Whether only the carrier's word of its end can be missing: it has ended, or its container
        has reported. Not so where that may have been the first of two, or where the caller may be
        with the target of a transfer."""
        if self.status is not CallStatus.STREAMING:
            return self.status is CallStatus.ENDED
        is_alone = self.stream_number == 1 and self.transfer is None
        return is_alone and self.activity != Activity()

    @property
    def may_be_up(self) -> bool:
        """Whether the carrier may still hold, and bill, a leg of this call."""
        if self.status is CallStatus.ENDED:
            return self.leg is not None and (self.hangup is None or self._was_answered_later)
        return True

    @property
    def _was_answered_later(self) -> bool:
        """Whether a leg that was hung up before Telnyx knew it was answered after that."""
        assert self.hangup is not None, "asked only of a call that has one"
        answered_at_ms = self.answered_at_ms or 0
        return self.hangup.cause == FOUND_ENDED and answered_at_ms > self.hangup.at_ms
