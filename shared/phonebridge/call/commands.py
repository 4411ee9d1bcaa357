"""What a call may need: commands to the carrier, and reports to its container (imperative)."""

from dataclasses import dataclass

from phonebridge.call.transfer import ReportTransfer, TransferCommand


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
    """Close media stream `stream_number`. The leg stays."""

    stream_number: int


@dataclass(frozen=True, slots=True)
class InformCaller:
    """Let the carrier's voice speak to the caller, because stream `stream_number` was lost and no
    container can take the next one. `FAREWELL` is the number of the last words of all."""

    stream_number: int
    is_goodbye: bool = False
    """No stream will follow. The call ends, unless its fallback has a number."""
    is_retry: bool = False
    """Another stream is tried after these words."""


@dataclass(frozen=True, slots=True)
class SendDigits:
    """Press keys: `0-9 A-D * #`, a pause of half a second (`w`) or of a whole one (`W`)."""

    digits: str
    duration_ms: int
    number: int = 1


@dataclass(frozen=True, slots=True)
class SpeakToCaller:
    """Let the carrier's voice speak to the caller. The media stream has to be stopped before."""

    text: str


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the leg."""


@dataclass(frozen=True, slots=True)
class ReportMachine:
    """Let the container that carries the call know that a machine answered it."""


@dataclass(frozen=True, slots=True)
class ReportAnswer:
    """Report the answer to the container. It has had the stream since the phone rang, and now
    expects `start`."""


@dataclass(frozen=True, slots=True)
class ReportEnd:
    """Let the container of a browser call end it, because no carrier does."""


CarrierCommand = (
    Dial
    | Answer
    | Reject
    | StartStreaming
    | StopStreaming
    | InformCaller
    | SendDigits
    | SpeakToCaller
    | TransferCommand
    | HangUp
)
Report = ReportTransfer | ReportMachine | ReportAnswer | ReportEnd
CallCommand = CarrierCommand | Report
