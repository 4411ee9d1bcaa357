"""The wire format of OpenAI Realtime (GA): the events that a phone bridge sends and understands.

Sources: OpenAI API reference, "Realtime client events" and "Realtime server events". What is not
needed here becomes `UnknownEvent`, as does what a later version adds.
"""

import binascii
from contextlib import suppress
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from media_bridge.openai import tolerant
from media_bridge.openai.tolerant import Text
from media_bridge.openai.tools import (
    ApprovalItem,
    FunctionCallItem,
    FunctionOutputItem,
    Tool,
    ToolEvent,
)
from media_bridge.openai.transcripts import TranscriptEvent
from phonebridge.errors import ModelError


class MalformedEvent(ModelError):
    """The server sent no event, or an event without a field that its type requires."""

    def __init__(self, message: str, event_type: str = "") -> None:
        super().__init__(message)
        self.event_type = event_type


# Parts of a session. A server that does not know a setting returns null for it.


class AudioFormat(Struct, frozen=True):
    type: str | None | UnsetType = UNSET
    rate: int | None | UnsetType = UNSET


class TurnDetectionSettings(Struct, frozen=True):
    type: str
    threshold: float | None | UnsetType = UNSET
    prefix_padding_ms: int | None | UnsetType = UNSET
    silence_duration_ms: int | None | UnsetType = UNSET
    idle_timeout_ms: int | None | UnsetType = UNSET
    eagerness: str | None | UnsetType = UNSET
    create_response: bool | None | UnsetType = UNSET
    interrupt_response: bool | None | UnsetType = UNSET


class InputTranscription(Struct, frozen=True):
    model: str | None | UnsetType = UNSET
    language: str | None | UnsetType = UNSET
    prompt: str | None | UnsetType = UNSET
    keywords: tuple[str, ...] | None | UnsetType = UNSET


class NoiseReduction(Struct, frozen=True):
    type: str | None
    strength: float | None | UnsetType = UNSET


class AudioInput(Struct, frozen=True):
    format: AudioFormat | None | UnsetType = UNSET
    turn_detection: TurnDetectionSettings | None | UnsetType = UNSET
    transcription: InputTranscription | None | UnsetType = UNSET
    noise_reduction: NoiseReduction | None | UnsetType = UNSET


class CustomVoice(Struct, frozen=True):
    id: str


class AudioOutput(Struct, frozen=True):
    format: AudioFormat | None | UnsetType = UNSET
    voice: str | CustomVoice | None | UnsetType = UNSET
    speed: float | None | UnsetType = UNSET


class Audio(Struct, frozen=True):
    input: AudioInput | None | UnsetType = UNSET
    output: AudioOutput | None | UnsetType = UNSET


class Reasoning(Struct, frozen=True):
    effort: str | None | UnsetType = UNSET


class Session(Struct, frozen=True):
    type: str | None | UnsetType = UNSET
    instructions: str | None | UnsetType = UNSET
    output_modalities: tuple[str, ...] | None | UnsetType = UNSET
    audio: Audio | None | UnsetType = UNSET
    tools: tuple[Tool, ...] | None | UnsetType = UNSET
    reasoning: Reasoning | None | UnsetType = UNSET
    max_output_tokens: int | str | None | UnsetType = UNSET


# Client events.


class SessionUpdate(
    Struct, frozen=True, omit_defaults=True, tag="session.update", tag_field="type"
):
    session: Session
    event_id: str | None = None


class ItemTruncate(Struct, frozen=True, tag="conversation.item.truncate", tag_field="type"):
    item_id: str
    content_index: int
    audio_end_ms: int
    event_id: str


class ContentPart(Struct, frozen=True):
    type: str
    text: str


class MessageItem(Struct, frozen=True, tag="message", tag_field="type"):
    role: str
    content: tuple[ContentPart, ...]


class ItemCreate(Struct, frozen=True, tag="conversation.item.create", tag_field="type"):
    item: MessageItem | FunctionCallItem | FunctionOutputItem | ApprovalItem
    event_id: str


class ResponseSettings(Struct, frozen=True, omit_defaults=True):
    instructions: str | None = None
    tool_choice: str | None = None
    conversation: str | None = None
    input: tuple[str, ...] | None = None
    """An empty list leaves out the conversation. None includes it."""
    metadata: dict[str, str] | None = None


class ResponseCreate(
    Struct, frozen=True, omit_defaults=True, tag="response.create", tag_field="type"
):
    response: ResponseSettings | None = None
    event_id: str | None = None


class ResponseCancel(Struct, frozen=True, tag="response.cancel", tag_field="type"):
    response_id: str
    event_id: str


class AudioCommit(Struct, frozen=True, tag="input_audio_buffer.commit", tag_field="type"):
    """Lets the server make an item of the audio since the last one. The model does not answer
    it."""

    event_id: str


ClientEvent = (
    SessionUpdate | ItemCreate | ItemTruncate | ResponseCreate | ResponseCancel | AudioCommit
)


def message(role: str, text: str) -> MessageItem:
    """Return the item of a message. The assistant's texts are output, and all others are input."""
    kind = "output_text" if role == "assistant" else "input_text"
    return MessageItem(role, (ContentPart(kind, text),))


def encode(event: ClientEvent) -> bytes:
    return msgspec.json.encode(event)


def encode_append(audio: bytes) -> bytes:
    """Encode `input_audio_buffer.append`. It is sent fifty times a second, and base64 needs no
    escapes."""
    payload = binascii.b2a_base64(audio, newline=False)
    return b'{"type":"input_audio_buffer.append","event_id":"append","audio":"%b"}' % payload


# Server events.


class ErrorDetail(Struct, frozen=True):
    type: str | None = None
    code: str | None = None
    message: str | None = None
    param: str | None = None
    event_id: str | None = None
    """The id of the client's event that is at fault, if it had one."""
    retry_after: Any = None
    retry_after_ms: Any = None


class TextTokens(Struct, frozen=True):
    text_tokens: int | None = None
    audio_tokens: int | None = None


class InputTokens(TextTokens, frozen=True):
    cached_tokens: int | None = None
    cached_tokens_details: TextTokens | None = None


class ResponseUsage(Struct, frozen=True):
    input_token_details: InputTokens | None = None
    output_token_details: TextTokens | None = None


class Response(Struct, frozen=True):
    """Raw fields are read separately, so that an odd count does not void the end of a response."""

    id: str = ""
    status: str | None = None
    status_details: msgspec.Raw = msgspec.Raw(b"null")
    usage: msgspec.Raw = msgspec.Raw(b"null")
    output: msgspec.Raw = msgspec.Raw(b"[]")
    metadata: msgspec.Raw = msgspec.Raw(b"null")
    conversation_id: msgspec.Raw = msgspec.Raw(b"null")


class _ServerEvent(Struct, frozen=True, gc=False, tag_field="type"):
    """A field is required if the event is useless without it. Ids are not required, because there
    is one response and one turn at a time (`protocol.py`)."""


class SessionCreated(_ServerEvent, frozen=True, tag="session.created"):
    pass


class SessionUpdated(_ServerEvent, frozen=True, tag="session.updated"):
    session: Session = Session()


class ServerError(_ServerEvent, frozen=True, tag="error"):
    error: ErrorDetail = ErrorDetail()


class SpeechStarted(_ServerEvent, frozen=True, tag="input_audio_buffer.speech_started"):
    item_id: str = ""
    audio_start_ms: float | None = None
    """The prefix padding included."""


class SpeechStopped(_ServerEvent, frozen=True, tag="input_audio_buffer.speech_stopped"):
    item_id: str = ""
    audio_end_ms: float | None = None
    """The silence included that made the detector sure."""


class ResponseCreated(_ServerEvent, frozen=True, tag="response.created"):
    response: Response = Response()


class ResponseDone(_ServerEvent, frozen=True, tag="response.done"):
    response: Response = Response()


class OutputAudioDelta(_ServerEvent, frozen=True, tag="response.output_audio.delta"):
    delta: bytes
    response_id: str = ""
    item_id: str = ""
    content_index: int = 0


class OutputAudioDone(_ServerEvent, frozen=True, tag="response.output_audio.done"):
    response_id: str = ""
    item_id: str = ""


class UnknownEvent(Struct, frozen=True):
    type: Annotated[str, Meta(max_length=128)]
    response_id: Any = None

    @property
    def is_of_response(self) -> bool:
        """Some events of a response, such as `response.mcp_call.in_progress`, do not name it."""
        return self.type.startswith("response.") or isinstance(self.response_id, str)


ServerEvent = (
    SessionCreated
    | SessionUpdated
    | ServerError
    | SpeechStarted
    | SpeechStopped
    | ResponseCreated
    | ResponseDone
    | OutputAudioDelta
    | OutputAudioDone
    | TranscriptEvent
    | ToolEvent
)

_known: msgspec.json.Decoder[ServerEvent] = msgspec.json.Decoder(ServerEvent)
_unknown = msgspec.json.Decoder(UnknownEvent)
_TYPES = frozenset(kind.__struct_config__.tag for kind in ServerEvent.__args__)

PCM_24K = AudioFormat("audio/pcm", 24000)
PCMU = AudioFormat("audio/pcmu")
PCMA = AudioFormat("audio/pcma")


def decode(text: Text) -> ServerEvent | UnknownEvent:
    """Decode a server event. Raises `MalformedEvent` for one that is not quite as documented: see
    `repair`."""
    try:
        return _known.decode(text)
    except (ValueError, RecursionError) as error:
        with suppress(ValueError, RecursionError):
            unknown = _unknown.decode(text)
            if unknown.type not in _TYPES:
                return unknown
        raise MalformedEvent(f"The model sent a malformed event: {error}") from error


def repair(text: Text) -> tuple[ServerEvent | UnknownEvent, list[str]]:
    """Read an event without its unreadable fields. The result names them. Raises `MalformedEvent`
    for what is no event, or lacks a required field."""
    try:
        fields = tolerant.loads(text)
        unknown = msgspec.convert(fields, UnknownEvent)
    except (ValueError, RecursionError) as error:
        raise MalformedEvent(f"The model sent what is no event: {error}") from error
    if unknown.type not in _TYPES:
        return unknown, []
    try:
        return tolerant.repair(fields, _known)
    except (ValueError, RecursionError) as error:
        detail = f"The model sent a malformed {unknown.type}: {error}"
        raise MalformedEvent(detail, unknown.type) from error
