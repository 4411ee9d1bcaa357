"""The commands of a bridge. The shell (`runtime/call_session.py`) executes them in their order."""

from dataclasses import dataclass, field
from enum import StrEnum

from msgspec import Struct

from media_bridge.audio.codecs import Codec
from phonebridge.call.call import EndedBy
from phonebridge.call.config import CallConfig
from phonebridge.call.resume import Resume
from phonebridge.call.steering import Update
from phonebridge.call.tools import HttpsFunction, Message
from phonebridge.call.turn import Speaker, Turn


class ClipKind(StrEnum):
    FILLER = "filler"
    APOLOGY = "apology"


# Of the phone.


@dataclass(frozen=True, slots=True)
class PlayAudio:
    """`payload` is 20 ms to 30 s of sound in the codec that we speak."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class MarkPlayback:
    """Let the carrier return this name when it has played everything that was sent before."""

    name: str


@dataclass(frozen=True, slots=True)
class ClearPlayback:
    """Let the carrier drop the sound that it has not played yet."""


# Of a browser, which is shown its call.


class CallState(StrEnum):
    CONNECTING = "connecting"
    LISTENING = "listening"
    THINKING = "thinking"
    SPEAKING = "speaking"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class ShowState:
    state: CallState
    reason: str = ""
    """Why the call ended."""


@dataclass(frozen=True, slots=True)
class ShowTranscript:
    """The words of a turn so far, or all of them. `item_id` is the same for all frames of one
    turn."""

    speaker: Speaker
    item_id: str
    text: str
    is_final: bool = False
    unheard: str = ""


@dataclass(frozen=True, slots=True)
class ShowLatency:
    """How long the caller waited for an answer."""

    milliseconds: int


@dataclass(frozen=True, slots=True)
class ShowTool:
    """The model calls a tool. `output` is None while the tool runs."""

    call_id: str
    name: str
    arguments: str
    output: str | None = None


BrowserCommand = ShowState | ShowTranscript | ShowLatency | ShowTool


# Of the model. Every request has an `event_id`, which an `error` of the server may name (OpenAI,
# "Realtime server events", `error`).

MAX_EVENT_ID_LENGTH = 512


def _event_id(kind: str, subject: str) -> str:
    return f"{kind}-{subject}"[:MAX_EVENT_ID_LENGTH]


@dataclass(frozen=True, slots=True)
class ConnectModel:
    """Open a new session with these settings in place of the one that was lost. What the old one
    still sends counts no more."""

    config: CallConfig


@dataclass(frozen=True, slots=True)
class ConfigureModel:
    """Send the session's settings. `line` is the codec of the caller's audio."""

    line: Codec


@dataclass(frozen=True, slots=True)
class UpdateSession:
    """Change the settings of a running session. An event reports the outcome."""

    update: Update


@dataclass(frozen=True, slots=True)
class CommitAudio:
    """Let the model transcribe the audio since the last turn, without waiting for silence."""

    @property
    def event_id(self) -> str:
        return _event_id("commit", "audio")


# No dataclass, as `events.CallerAudio`.
class AppendAudio(Struct, frozen=True, gc=False):
    """Send the caller's audio to the model, in the model's format."""

    audio: bytes


@dataclass(frozen=True, slots=True)
class CreateResponse:
    """Let the model say `exact_text`, follow `instructions`, or reply to the conversation so
    far."""

    exact_text: str | None = None
    instructions: str | None = None
    allow_tools: bool = True
    """The model may call tools, unless it has an `exact_text` to say."""
    event_id: str = field(default="", compare=False)
    """The response queue numbers its requests with it (`conversation/response_queue.py`)."""

    @property
    def has_words(self) -> bool:
        return bool(self.exact_text or self.instructions)


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class AddMessage:
    """Add a text to the conversation. The model does not answer it by itself."""

    role: Role
    text: str

    @property
    def event_id(self) -> str:
        return _event_id("text", self.role)


@dataclass(frozen=True, slots=True)
class RecordClip:
    """Let the model say something outside of the conversation, which the caller does not hear."""

    kind: ClipKind
    instructions: str

    @property
    def event_id(self) -> str:
        return f"clip-{self.kind}"


@dataclass(frozen=True, slots=True)
class SendToolOutput:
    """Send the output of a tool call. The model does not answer it by itself."""

    call_id: str
    output: str

    @property
    def event_id(self) -> str:
        return output_event_id(self.call_id)


def output_event_id(call_id: str) -> str:
    return _event_id("output", call_id)


@dataclass(frozen=True, slots=True)
class AddToolCall:
    """Add a tool call that the model made in an earlier session. Its output follows."""

    call_id: str
    name: str
    arguments: str

    @property
    def event_id(self) -> str:
        return _event_id("call", self.call_id)


@dataclass(frozen=True, slots=True)
class RestoreHistory:
    """Add everything that was said and done so far to the conversation of a new session."""

    items: tuple[AddMessage | AddToolCall | SendToolOutput, ...]


@dataclass(frozen=True, slots=True)
class DenyApproval:
    """Refuse to approve a call of an MCP server."""

    request_id: str

    @property
    def event_id(self) -> str:
        return _event_id("approval", self.request_id)


@dataclass(frozen=True, slots=True)
class CancelResponse:
    """Stop generating this response, and no later one."""

    response_id: str

    @property
    def event_id(self) -> str:
        return _event_id("cancel", self.response_id)


@dataclass(frozen=True, slots=True)
class TruncateItem:
    """Inform the model that only the first `audio_end_ms` of an item were played."""

    item_id: str
    content_index: int
    audio_end_ms: int

    @property
    def event_id(self) -> str:
        return _event_id("truncate", self.item_id)


# Of the rest of the house.


@dataclass(frozen=True, slots=True)
class RecordTurn:
    turn: Turn


@dataclass(frozen=True, slots=True)
class ReviseTurn:
    """Replace the words of a turn that is on record."""

    turn: Turn


@dataclass(frozen=True, slots=True)
class RecordMessage:
    message: Message


@dataclass(frozen=True, slots=True)
class SaveResume:
    """Store what the call needs, beyond its turns, to go on with on another media stream."""

    resume: Resume


@dataclass(frozen=True, slots=True)
class SaveSettings:
    """Store the settings of the call, which an update has changed, for the streams to come."""

    config: CallConfig


@dataclass(frozen=True, slots=True)
class AddTimelineEntry:
    """Add an entry to the call's timeline. `what` is constant, and `detail` varies."""

    what: str
    detail: str


@dataclass(frozen=True, slots=True)
class RunFunction:
    """Call the function of a user's server. `FunctionReturned` reports the output."""

    call_id: str
    function: HttpsFunction
    arguments: str
    """A JSON object."""


@dataclass(frozen=True, slots=True)
class TransferCall:
    """Connect the caller with `to`, who first hears the summary, if there is one. An event reports
    the outcome."""

    to: str
    summary: str = ""
    from_: str = ""


@dataclass(frozen=True, slots=True)
class SpeakByCarrier:
    """Let the carrier speak to the caller instead of us. `CarrierSpoke` follows."""

    words: str


@dataclass(frozen=True, slots=True)
class SendDtmf:
    """Send DTMF digits: `0-9 A-D * #`, and pauses of half a second (`w`) or one second (`W`)."""

    digits: str
    duration_ms: int = 250


@dataclass(frozen=True, slots=True)
class RecordStart:
    """Record that the media began on a stream that was opened while the phone rang."""


@dataclass(frozen=True, slots=True)
class CacheGreeting:
    """Store the greeting in the model's format, so that later calls can begin with it."""

    words: str
    sound: bytes


@dataclass(frozen=True, slots=True)
class KeepClip:
    """Store a clip in the model's format, so that later calls can play it."""

    kind: ClipKind
    words: str
    sound: bytes


@dataclass(frozen=True, slots=True)
class DisableClips:
    """Stop recording clips in all calls of this process."""

    reason: str


@dataclass(frozen=True, slots=True)
class CountReconnect:
    """Measure how long the call was without a model, and why."""

    reason: str
    gap_ms: int


@dataclass(frozen=True, slots=True)
class FailCall:
    """End a call that has failed."""

    reason: str
    detail: str
    seconds_ago: float = field(default=0.0, compare=False)
    """How long ago it failed. The apology has been played since."""


@dataclass(frozen=True, slots=True)
class EndCall:
    """Hang up."""

    by: EndedBy


@dataclass(frozen=True, slots=True)
class LeaveStream:
    """Close the stream, which is over. It was lost if the carrier did not announce the end."""

    was_lost: bool


@dataclass(frozen=True, slots=True)
class Log:
    """Write a log entry. `message` is constant, and `detail` varies."""

    level: str
    message: str
    detail: str = ""


BackgroundCommand = (
    RecordTurn
    | ReviseTurn
    | RecordMessage
    | SaveResume
    | SaveSettings
    | RecordStart
    | AddTimelineEntry
    | CacheGreeting
    | KeepClip
    | TransferCall
    | SendDtmf
    | EndCall
)
BridgeCommand = (
    BrowserCommand
    | PlayAudio
    | MarkPlayback
    | ClearPlayback
    | ConnectModel
    | ConfigureModel
    | UpdateSession
    | CommitAudio
    | AppendAudio
    | CreateResponse
    | AddMessage
    | RecordClip
    | AddToolCall
    | SendToolOutput
    | DenyApproval
    | CancelResponse
    | TruncateItem
    | DisableClips
    | CountReconnect
    | RestoreHistory
    | SpeakByCarrier
    | RunFunction
    | FailCall
    | LeaveStream
    | Log
    | BackgroundCommand
)


ModelCommand = (
    ConfigureModel
    | UpdateSession
    | CommitAudio
    | AppendAudio
    | CreateResponse
    | AddMessage
    | RecordClip
    | AddToolCall
    | SendToolOutput
    | DenyApproval
    | CancelResponse
    | TruncateItem
)
