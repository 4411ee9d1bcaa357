"""The events that a bridge handles. It answers them with commands (`commands.py`)."""

from dataclasses import dataclass

from msgspec import Struct

from media_bridge.tool_events import ToolCall, ToolEvent
from phonebridge.call.call import EndedBy
from phonebridge.call.config import CallConfig
from phonebridge.call.steering import (
    Answered,
    EndCallNow,
    Interrupt,
    MachineAnswered,
    Mute,
    Say,
    SayGoodbye,
    StartTransfer,
    TransferFinished,
    Update,
)
from phonebridge.call.usage import Usage

# On the phone's side of the bridge (Telnyx, "Media Streaming over WebSockets").


@dataclass(frozen=True, slots=True)
class StreamStarted:
    call_control_id: str
    client_state: str | None
    encoding: str
    sample_rate_hz: int


# No dataclass: a frozen one takes five times as long to make, fifty times a second and call.
class CallerAudio(Struct, frozen=True, gc=False):
    """A frame in the line's codec. `chunk` is its number, if the carrier counts frames."""

    payload: bytes
    chunk: int | None


@dataclass(frozen=True, slots=True)
class MarkReturned:
    """The carrier has played or cleared everything that was sent before the mark."""

    name: str


@dataclass(frozen=True, slots=True)
class DigitPressed:
    digit: str


@dataclass(frozen=True, slots=True)
class StreamStopped:
    """The carrier ended the stream. A webhook has the reason."""


@dataclass(frozen=True, slots=True)
class StreamLost:
    """The media socket closed without a `stop` frame."""


@dataclass(frozen=True, slots=True)
class StreamErrorReceived:
    """The carrier did not understand one of our frames."""

    detail: str


@dataclass(frozen=True, slots=True)
class MalformedFrameReceived:
    """The carrier sent a frame that cannot be read. The call goes on without it."""

    detail: str


# On the model's side of the bridge.


@dataclass(frozen=True, slots=True)
class ModelConnected:
    """The server accepted the connection and waits for the session's settings."""


@dataclass(frozen=True, slots=True)
class ModelReady:
    """The session runs with exactly the settings that were requested."""


@dataclass(frozen=True, slots=True)
class ModelRefused:
    """The session does not run with the settings that were requested."""

    detail: str


@dataclass(frozen=True, slots=True)
class CallerSpeechStarted:
    item_id: str
    started_ms: float | None = None
    """It counts from the first sound that the model received."""


@dataclass(frozen=True, slots=True)
class CallerSpeechStopped:
    item_id: str
    ended_ms: float | None = None
    """It counts from the same moment as `started_ms`."""


@dataclass(frozen=True, slots=True)
class CallerAudioCommitted:
    """The server made an item of the caller's speech, and will transcribe it."""

    item_id: str


@dataclass(frozen=True, slots=True)
class CallerTranscriptReceived:
    """The model transcribed a part of what the caller said."""

    item_id: str
    text: str
    content_index: int = 0


@dataclass(frozen=True, slots=True)
class CallerTranscribed:
    """The transcript is complete. `text` is empty if there is none."""

    item_id: str
    text: str
    usage: Usage = Usage()


@dataclass(frozen=True, slots=True)
class ResponseStarted:
    response_id: str
    clip: str | None = None
    """The response records a clip of this kind (`RecordClip`). It is None for what the caller
    hears."""
    is_in_conversation: bool = True


@dataclass(frozen=True, slots=True)
class AudioReceived:
    """The model sent some audio of an item, in the model's format."""

    response_id: str
    item_id: str
    content_index: int
    audio: bytes


@dataclass(frozen=True, slots=True)
class AudioFinished:
    """The model has sent all audio of an item. Much of it may still have to be played."""

    item_id: str


@dataclass(frozen=True, slots=True)
class TranscriptReceived:
    """The model sent some words of an item."""

    response_id: str
    item_id: str
    text: str
    content_index: int = 0


@dataclass(frozen=True, slots=True)
class TranscriptFinished:
    """The model sent all words of an item, or of one part of it."""

    response_id: str
    item_id: str
    text: str
    content_index: int | None = None


@dataclass(frozen=True, slots=True)
class ResponseProgressed:
    """Any other event of a response came, so the model is alive. An event without a `response_id`
    belongs to the active response."""

    response_id: str | None


@dataclass(frozen=True, slots=True)
class ResponseEnded:
    """The model has generated a response to its end. `detail` explains a status other than
    `completed`."""

    response_id: str
    status: str
    detail: str
    usage: Usage
    calls: tuple[ToolCall, ...] = ()
    transcripts: tuple[TranscriptFinished, ...] = ()
    retry_after: float | None = None
    """The server wants us to wait for so many seconds before the next attempt."""


@dataclass(frozen=True, slots=True)
class ModelErrorReceived:
    """The model sent an `error` event. It is never fatal by itself."""

    code: str
    message: str
    event_id: str | None = None
    """It names the request that the server refused, if the server knows it."""
    retry_after: float | None = None
    """Seconds after which the server wants to be asked again, if it said so."""


@dataclass(frozen=True, slots=True)
class SettingsDiffer:
    """The server has changed settings of a confirmed session without being asked."""

    detail: str


@dataclass(frozen=True, slots=True)
class MalformedEventReceived:
    """The model sent an event that cannot be read. `event_type` is empty if it has no type."""

    event_type: str
    detail: str


@dataclass(frozen=True, slots=True)
class ModelClosed:
    """The session is over. A `code` of 1006 means that no close frame came (RFC 6455, 7.1.5)."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class ConnectFailed:
    """An attempt to open a session failed. `status` is the server's HTTP answer, if it gave one."""

    detail: str
    status: int | None = None
    retry_after: float | None = None
    """Seconds after which the server wants to be asked again, if it said so."""


@dataclass(frozen=True, slots=True)
class HangUpRequested:
    """The call has to end, at once or after a last sentence."""

    by: EndedBy
    exact_text: str | None = None
    instructions: str | None = None
    """The model chooses the last sentence itself, in the caller's language."""


@dataclass(frozen=True, slots=True)
class SettingsUpdated:
    """The model accepted an update. `config` holds all settings that are in force now."""

    config: CallConfig
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SettingsRefused:
    """The model refused an update, and goes on as before."""

    detail: str


@dataclass(frozen=True, slots=True)
class DigitsFailed:
    """The carrier did not send the digits."""

    reason: str


@dataclass(frozen=True, slots=True)
class MessageLost:
    """A message of the caller could not be stored."""

    reason: str


@dataclass(frozen=True, slots=True)
class CarrierSpoke:
    """The carrier has said its words, or could not."""


@dataclass(frozen=True, slots=True)
class ClaimLost:
    """Another task has this call now. The bridge says, writes and commands nothing more."""


@dataclass(frozen=True, slots=True)
class LeaveRequested:
    """The process ends, so our part of the call is over, whatever it still waits for."""


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """The time that `Bridge.next_deadline` named has come."""


StreamEvent = (
    StreamStarted
    | StreamStopped
    | StreamLost
    | StreamErrorReceived
    | MalformedFrameReceived
    | DigitPressed
)
SessionEvent = (
    ModelConnected
    | ModelReady
    | ModelRefused
    | SettingsDiffer
    | MalformedEventReceived
    | ModelErrorReceived
    | ModelClosed
    | ConnectFailed
)
TranscriptEvent = (
    CallerAudioCommitted
    | CallerTranscriptReceived
    | CallerTranscribed
    | TranscriptReceived
    | TranscriptFinished
)
ConversationEvent = (
    MarkReturned
    | CallerSpeechStarted
    | CallerSpeechStopped
    | ResponseStarted
    | AudioReceived
    | AudioFinished
    | ResponseProgressed
    | ResponseEnded
    | TranscriptEvent
)
PhoneEvent = CallerAudio | MarkReturned | StreamEvent
SettingsEvent = SettingsUpdated | SettingsRefused
ModelEvent = SessionEvent | ConversationEvent | ToolEvent | SettingsEvent
OutcomeEvent = SettingsEvent | TransferFinished | DigitsFailed | MessageLost
SteeringEvent = (
    Interrupt | Say | Mute | Update | StartTransfer | SayGoodbye | HangUpRequested | OutcomeEvent
)
OutsideEvent = (
    SteeringEvent
    | MachineAnswered
    | Answered
    | EndCallNow
    | LeaveRequested
    | ClaimLost
    | CarrierSpoke
)
"""The API, the carrier's webhooks and the process itself; the mailbox brings the types of
`phonebridge.call.steering` as they are."""
ControlEvent = MarkReturned | StreamEvent | ModelEvent | OutsideEvent | DeadlinePassed
"""These are all events except the caller's frames."""
BridgeEvent = CallerAudio | ControlEvent
