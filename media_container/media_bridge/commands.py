"""What a bridge may ask for. The shell (`runtime/call_session.py`) carries commands out in their
order."""

from dataclasses import dataclass, field
from enum import StrEnum

from msgspec import Struct

from media_bridge.audio.codecs import Codec
from phonebridge.call.call import EndedBy
from phonebridge.call.steering import Update
from phonebridge.call.tools import HttpsFunction, Message
from phonebridge.call.turn import Turn


class ClipKind(StrEnum):
    FILLER = "filler"
    APOLOGY = "apology"


# Of the phone.


@dataclass(frozen=True, slots=True)
class PlayAudio:
    """20 ms to 30 s of the line's codec."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class MarkPlayback:
    """Have this name given back when everything sent before it has been played."""

    name: str


@dataclass(frozen=True, slots=True)
class ClearPlayback:
    """Drop what was sent and not played yet."""


# Of the model. Every request has an `event_id`, which an `error` of the server may name (OpenAI,
# "Realtime server events", `error`).

MAX_EVENT_ID_LENGTH = 512


def _event_id(kind: str, subject: str) -> str:
    return f"{kind}-{subject}"[:MAX_EVENT_ID_LENGTH]


@dataclass(frozen=True, slots=True)
class ConnectModel:
    """Open a new session in place of the one that was lost."""


@dataclass(frozen=True, slots=True)
class ConfigureModel:
    """Send the session's settings; `line` is the codec in which the caller will be heard."""

    line: Codec


@dataclass(frozen=True, slots=True)
class UpdateSession:
    """Change settings of a session that runs. What becomes of it comes back as an event."""

    update: Update


@dataclass(frozen=True, slots=True)
class CommitAudio:
    """Have what the model heard since the last turn transcribed, without waiting for silence."""

    @property
    def event_id(self) -> str:
        return _event_id("commit", "audio")


# No dataclass, as `events.CallerAudio`.
class AppendAudio(Struct, frozen=True, gc=False):
    """Caller audio in the model's format."""

    audio: bytes


@dataclass(frozen=True, slots=True)
class CreateResponse:
    """Let the model speak: these very words (`exact_text`), or as `instructions` tells it, or
    else in answer to what it has heard so far."""

    exact_text: str | None = None
    instructions: str | None = None
    allow_tools: bool = True
    """Whether it may call tools; never for very words."""
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
    """Put a text into the conversation, as if it had been said; nobody speaks because of it."""

    role: Role
    text: str

    @property
    def event_id(self) -> str:
        return _event_id("text", self.role)


@dataclass(frozen=True, slots=True)
class RecordClip:
    """Let the model say something beside the conversation, which the caller does not hear."""

    kind: ClipKind
    instructions: str

    @property
    def event_id(self) -> str:
        return f"clip-{self.kind}"


@dataclass(frozen=True, slots=True)
class SendToolOutput:
    """What came of a call of the model's; nobody speaks because of it."""

    call_id: str
    output: str

    @property
    def event_id(self) -> str:
        return output_event_id(self.call_id)


def output_event_id(call_id: str) -> str:
    return _event_id("output", call_id)


@dataclass(frozen=True, slots=True)
class DenyApproval:
    """Have a call of an MCP server not carried out."""

    request_id: str

    @property
    def event_id(self) -> str:
        return _event_id("approval", self.request_id)


@dataclass(frozen=True, slots=True)
class CancelResponse:
    """Stop generating that response, and no other that may have begun since."""

    response_id: str

    @property
    def event_id(self) -> str:
        return _event_id("cancel", self.response_id)


@dataclass(frozen=True, slots=True)
class TruncateItem:
    """Let the model know that the caller heard only the first `audio_end_ms` of an item."""

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
    """A turn that is on record, with better words."""

    turn: Turn


@dataclass(frozen=True, slots=True)
class RecordMessage:
    message: Message


@dataclass(frozen=True, slots=True)
class AddTimelineEntry:
    """An entry in the call's timeline; `what` is constant, what varies stands in `detail`."""

    what: str
    detail: str


@dataclass(frozen=True, slots=True)
class RunFunction:
    """Have it carried out; what comes of it is told by `FunctionReturned`."""

    call_id: str
    function: HttpsFunction
    arguments: str
    """A JSON object."""


@dataclass(frozen=True, slots=True)
class TransferCall:
    """Connect the caller with `to`, who is told the summary first, if there is one. What becomes
    of it comes back as an event."""

    to: str
    summary: str = ""
    from_: str = ""


@dataclass(frozen=True, slots=True)
class SendDtmf:
    """Press keys on our side of the line: `0-9 A-D * #`, and pauses: `w` half a second, `W` one."""

    digits: str
    duration_ms: int = 250


@dataclass(frozen=True, slots=True)
class RecordStart:
    """The media began on a stream that was there while the phone rang: somebody answered."""


@dataclass(frozen=True, slots=True)
class CacheGreeting:
    """What was said, and its sound in the model's format: calls to come may begin with it."""

    words: str
    sound: bytes


@dataclass(frozen=True, slots=True)
class KeepClip:
    """A clip that the model said, in the model's format: calls to come may play it."""

    kind: ClipKind
    words: str
    sound: bytes


@dataclass(frozen=True, slots=True)
class DisableClips:
    """Let no call of this process record clips any more."""

    reason: str


@dataclass(frozen=True, slots=True)
class FailCall:
    """End the call; it cannot be carried any further."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class EndCall:
    """Hang up, all being well."""

    by: EndedBy


@dataclass(frozen=True, slots=True)
class LeaveStream:
    """The stream is over: nothing is left to do here. `was_lost` when nobody said that it would
    end."""

    was_lost: bool


@dataclass(frozen=True, slots=True)
class Log:
    """`message` is constant; what varies stands in `detail`."""

    level: str
    message: str
    detail: str = ""


BackgroundCommand = (
    RecordTurn
    | ReviseTurn
    | RecordMessage
    | RecordStart
    | AddTimelineEntry
    | CacheGreeting
    | KeepClip
    | TransferCall
    | SendDtmf
    | EndCall
)
BridgeCommand = (
    PlayAudio
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
    | SendToolOutput
    | DenyApproval
    | CancelResponse
    | TruncateItem
    | DisableClips
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
    | SendToolOutput
    | DenyApproval
    | CancelResponse
    | TruncateItem
)
