"""What can happen to a bridge. The counterpart to events are commands (`commands.py`)."""

from dataclasses import dataclass

from msgspec import Struct

from media_bridge.tool_events import ToolCall, ToolEvent
from phonebridge.call.call import EndedBy
from phonebridge.call.config import CallConfig
from phonebridge.call.steering import (
    Answered,
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
    """One frame of the line's own codec; `chunk` counts frames, where the carrier tells it."""

    payload: bytes
    chunk: int | None


@dataclass(frozen=True, slots=True)
class MarkReturned:
    """What was sent before that mark has been played, or cleared."""

    name: str


@dataclass(frozen=True, slots=True)
class DigitPressed:
    digit: str


@dataclass(frozen=True, slots=True)
class StreamStopped:
    """The carrier ended the stream: the call is over or will be told so by a webhook."""


@dataclass(frozen=True, slots=True)
class StreamLost:
    """The media socket closed without a word."""


@dataclass(frozen=True, slots=True)
class StreamErrorReceived:
    """The carrier's `error` frame: it did not understand something of ours."""

    detail: str


@dataclass(frozen=True, slots=True)
class MalformedFrameReceived:
    """A frame that is no media frame; the call goes on without it."""

    detail: str


# On the model's side of the bridge.


@dataclass(frozen=True, slots=True)
class ModelConnected:
    """The model's server is there and waits for the session's settings."""


@dataclass(frozen=True, slots=True)
class ModelReady:
    """The session runs with exactly the settings that were asked for."""


@dataclass(frozen=True, slots=True)
class ModelRefused:
    """The session does not run as asked: speaking now would be with somebody else's settings."""

    detail: str


@dataclass(frozen=True, slots=True)
class CallerSpeechStarted:
    item_id: str
    started_ms: float | None = None
    """After the first sound that the model got."""


@dataclass(frozen=True, slots=True)
class CallerSpeechStopped:
    item_id: str
    ended_ms: float | None = None
    """By the same clock as `began_ms`."""


@dataclass(frozen=True, slots=True)
class CallerAudioCommitted:
    """What the caller said is an item now, and will be transcribed."""

    item_id: str


@dataclass(frozen=True, slots=True)
class CallerTranscriptReceived:
    """A piece of the transcript of a turn, which is still being made."""

    item_id: str
    text: str
    content_index: int = 0


@dataclass(frozen=True, slots=True)
class CallerTranscribed:
    """The transcript is complete. An empty `text` says that none was made."""

    item_id: str
    text: str
    usage: Usage = Usage()


@dataclass(frozen=True, slots=True)
class ResponseStarted:
    response_id: str
    clip: str | None = None
    """The kind of clip that was asked for (`RecordClip`); None for what the caller shall hear."""
    is_in_conversation: bool = True


@dataclass(frozen=True, slots=True)
class AudioReceived:
    """A piece of an item's audio in the model's format, of any size."""

    response_id: str
    item_id: str
    content_index: int
    audio: bytes


@dataclass(frozen=True, slots=True)
class AudioFinished:
    """No more audio of that item will come; much of it may still have to be played."""

    item_id: str


@dataclass(frozen=True, slots=True)
class TranscriptReceived:
    """A piece of an item's words."""

    response_id: str
    item_id: str
    text: str
    content_index: int = 0


@dataclass(frozen=True, slots=True)
class TranscriptFinished:
    """All words of an item, or of that part of it."""

    response_id: str
    item_id: str
    text: str
    content_index: int | None = None


@dataclass(frozen=True, slots=True)
class ResponseProgressed:
    """Any other event of a response: the model is alive. None where the event names no response;
    it belongs to the active one then, because there is only one."""

    response_id: str | None


@dataclass(frozen=True, slots=True)
class ResponseEnded:
    """Generation is over, not playback. `detail` says why, where the status is not `completed`."""

    response_id: str
    status: str
    detail: str
    usage: Usage
    calls: tuple[ToolCall, ...] = ()
    transcripts: tuple[TranscriptFinished, ...] = ()
    retry_after: float | None = None
    """Seconds after which the server wants to be asked again, if it said so."""


@dataclass(frozen=True, slots=True)
class ModelErrorReceived:
    """The model's `error` event: data, never fatal by itself."""

    code: str
    message: str
    event_id: str | None = None
    """Names the request that is refused, if the server knows it."""
    retry_after: float | None = None
    """Seconds after which the server wants to be asked again, if it said so."""


@dataclass(frozen=True, slots=True)
class SettingsDiffer:
    """The server runs a confirmed session with other settings now, and nobody asked for them."""

    detail: str


@dataclass(frozen=True, slots=True)
class MalformedEventReceived:
    """The model sent an event that is of no use; `event_type` is empty for what is no event."""

    event_type: str
    detail: str


@dataclass(frozen=True, slots=True)
class ModelClosed:
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class HangUpRequested:
    """The call has to end: at once, or when the caller has heard a last sentence."""

    by: EndedBy
    exact_text: str | None = None
    instructions: str | None = None
    """For a sentence of the model's own, in the caller's language."""


@dataclass(frozen=True, slots=True)
class SettingsUpdated:
    """The model goes on with an update; `config` is all that is in force."""

    config: CallConfig
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SettingsRefused:
    """The model would not have an update, and goes on as before."""

    detail: str


@dataclass(frozen=True, slots=True)
class DigitsFailed:
    """The carrier did not press the keys."""

    reason: str


@dataclass(frozen=True, slots=True)
class MessageLost:
    """What the caller wanted to be passed on is not on record."""

    reason: str


@dataclass(frozen=True, slots=True)
class LeaveRequested:
    """The process ends, so our part of the call is over, whatever it still waits for."""


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """`Bridge.next_deadline` has come."""


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
OutsideEvent = SteeringEvent | MachineAnswered | Answered | LeaveRequested
"""The API, the carrier's webhooks and the process itself; the mailbox brings the types of
`phonebridge.call.steering` as they are."""
ControlEvent = MarkReturned | StreamEvent | ModelEvent | OutsideEvent | DeadlinePassed
"""All but the frames."""
BridgeEvent = CallerAudio | ControlEvent
