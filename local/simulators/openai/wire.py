"""Server events of the Realtime API, and the items in them, field by field as in the GA version.
requests.py has the client events."""

import random
import string
from typing import Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType, field, structs

from simulators.openai.settings import AudioFormat, SessionSettings

BASE62 = string.digits + string.ascii_letters
Status = Literal["in_progress", "completed", "incomplete", "cancelled", "failed"]


def new_id(prefix: str) -> str:
    return f"{prefix}_{''.join(random.choices(BASE62, k=21))}"


def padding() -> str:
    """Return a value for `obfuscation`. It was seen on the wire in each text delta, but is in no
    published type."""
    return "".join(random.choices(BASE62, k=random.randint(11, 14)))


class Content(Struct, omit_defaults=True):
    type: Literal["input_text", "input_audio", "input_image", "output_text", "output_audio"]
    text: str | UnsetType = UNSET
    audio: str | UnsetType = UNSET
    transcript: str | None | UnsetType = UNSET
    image_url: str | UnsetType = UNSET
    detail: str | UnsetType = UNSET


class _Item(Struct, tag_field="type", kw_only=True, omit_defaults=True):
    id: str = ""
    object: Literal["realtime.item"] | UnsetType = UNSET
    status: Status | UnsetType = UNSET


class ConversationMessage(_Item, tag="message", kw_only=True):
    role: Literal["system", "user", "assistant"]
    content: list[Content]
    phase: Literal["commentary", "final_answer"] | UnsetType = UNSET


class FunctionCall(_Item, tag="function_call", kw_only=True):
    name: str
    arguments: str
    call_id: str = ""


class FunctionCallOutput(_Item, tag="function_call_output", kw_only=True):
    call_id: str
    output: str


Item = ConversationMessage | FunctionCall | FunctionCallOutput


class ErrorPayload(Struct):
    type: str
    code: str | None
    message: str
    param: str | None = None
    event_id: str | None = None


class TranscriptionError(Struct):
    type: str
    code: str
    message: str
    param: str | None = None


class ResponseError(Struct):
    type: str
    code: str
    message: str


class StatusDetails(Struct, omit_defaults=True):
    type: Status
    reason: str | UnsetType = UNSET
    error: ResponseError | UnsetType = UNSET


class CachedTokens(Struct):
    text_tokens: int
    audio_tokens: int
    image_tokens: int = 0


class InputTokenDetails(Struct):
    text_tokens: int
    audio_tokens: int
    cached_tokens: int
    cached_tokens_details: CachedTokens
    image_tokens: int = 0


class OutputTokenDetails(Struct):
    text_tokens: int
    audio_tokens: int


class RealtimeUsage(Struct):
    total_tokens: int
    input_tokens: int
    output_tokens: int
    input_token_details: InputTokenDetails
    output_token_details: OutputTokenDetails


class ResponseAudioOutput(Struct):
    format: AudioFormat
    voice: str


class ResponseAudio(Struct):
    output: ResponseAudioOutput


class RealtimeResponse(Struct, kw_only=True):
    object: Literal["realtime.response"] = "realtime.response"
    id: str
    status: Status = "in_progress"
    status_details: StatusDetails | None = None
    output: list[Item] = field(default_factory=list)
    conversation_id: str | None
    output_modalities: list[Literal["audio", "text"]]
    max_output_tokens: int | Literal["inf"]
    audio: ResponseAudio
    usage: RealtimeUsage | None = None
    metadata: dict[str, str] | None


class ServerEvent(Struct, tag_field="type", kw_only=True):
    event_id: str = field(default_factory=lambda: new_id("event"))


def session_state(session_id: str, expires_at: int, settings: SessionSettings) -> msgspec.Raw:
    """Return the session as the server reports it: the settings in force, and fields that cannot be
    changed."""
    state = {"object": "realtime.session", "id": session_id, "expires_at": expires_at}
    reported = structs.replace(settings, parallel_tool_calls=UNSET)  # not in the published type
    return msgspec.Raw(msgspec.json.encode(msgspec.to_builtins(reported) | state))


class SessionCreatedEvent(ServerEvent, tag="session.created"):
    session: msgspec.Raw


class SessionUpdatedEvent(ServerEvent, tag="session.updated"):
    session: msgspec.Raw


class SpeechStartedEvent(ServerEvent, tag="input_audio_buffer.speech_started"):
    audio_start_ms: int
    item_id: str


class SpeechStoppedEvent(ServerEvent, tag="input_audio_buffer.speech_stopped"):
    audio_end_ms: int
    item_id: str


class TimeoutTriggeredEvent(ServerEvent, tag="input_audio_buffer.timeout_triggered"):
    audio_start_ms: int
    audio_end_ms: int
    item_id: str


class CommittedEvent(ServerEvent, tag="input_audio_buffer.committed"):
    previous_item_id: str | None
    item_id: str


class ClearedEvent(ServerEvent, tag="input_audio_buffer.cleared"):
    pass


class ItemAddedEvent(ServerEvent, tag="conversation.item.added"):
    previous_item_id: str | None
    item: Item


class ItemDoneEvent(ServerEvent, tag="conversation.item.done"):
    previous_item_id: str | None
    item: Item


class ItemTruncatedEvent(ServerEvent, tag="conversation.item.truncated"):
    item_id: str
    content_index: int
    audio_end_ms: int


class ItemDeletedEvent(ServerEvent, tag="conversation.item.deleted"):
    item_id: str


class ItemRetrievedEvent(ServerEvent, tag="conversation.item.retrieved"):
    item: Item


class TranscriptionInputTokens(Struct):
    text_tokens: int
    audio_tokens: int


class TranscriptionTokenUsage(Struct):
    type: Literal["tokens"]
    total_tokens: int
    input_tokens: int
    input_token_details: TranscriptionInputTokens
    output_tokens: int


class TranscriptionDeltaEvent(ServerEvent, tag="conversation.item.input_audio_transcription.delta"):
    item_id: str
    content_index: int
    delta: str
    obfuscation: str


class TranscriptionCompletedEvent(
    ServerEvent, tag="conversation.item.input_audio_transcription.completed"
):
    item_id: str
    content_index: int
    transcript: str
    usage: TranscriptionTokenUsage


class TranscriptionFailedEvent(
    ServerEvent, tag="conversation.item.input_audio_transcription.failed"
):
    item_id: str
    content_index: int
    error: TranscriptionError


class ResponseCreatedEvent(ServerEvent, tag="response.created"):
    response: RealtimeResponse


class ResponseDoneEvent(ServerEvent, tag="response.done"):
    response: RealtimeResponse


class OutputItemAddedEvent(ServerEvent, tag="response.output_item.added"):
    response_id: str
    output_index: int
    item: Item


class OutputItemDoneEvent(ServerEvent, tag="response.output_item.done"):
    response_id: str
    output_index: int
    item: Item


class _PartEvent(ServerEvent):
    response_id: str
    item_id: str
    output_index: int
    content_index: int


class ResponseContentPart(Struct, omit_defaults=True):
    type: Literal["audio", "text"]
    transcript: str | UnsetType = UNSET
    text: str | UnsetType = UNSET


class ContentPartAdded(_PartEvent, tag="response.content_part.added"):
    part: ResponseContentPart


class ContentPartDone(_PartEvent, tag="response.content_part.done"):
    part: ResponseContentPart


class AudioDelta(_PartEvent, tag="response.output_audio.delta"):
    delta: str


class AudioDone(_PartEvent, tag="response.output_audio.done"):
    pass


class AudioTranscriptDelta(_PartEvent, tag="response.output_audio_transcript.delta"):
    delta: str
    obfuscation: str


class AudioTranscriptDone(_PartEvent, tag="response.output_audio_transcript.done"):
    transcript: str


class TextDelta(_PartEvent, tag="response.output_text.delta"):
    delta: str
    obfuscation: str


class TextDone(_PartEvent, tag="response.output_text.done"):
    text: str


class _ArgumentsEvent(ServerEvent):
    response_id: str
    item_id: str
    output_index: int
    call_id: str


class ArgumentsDelta(_ArgumentsEvent, tag="response.function_call_arguments.delta"):
    delta: str
    obfuscation: str


class ArgumentsDone(_ArgumentsEvent, tag="response.function_call_arguments.done"):
    name: str
    arguments: str


class RateLimit(Struct):
    name: Literal["tokens"]
    limit: int
    remaining: int
    reset_seconds: float


class RateLimitsUpdated(ServerEvent, tag="rate_limits.updated"):
    rate_limits: list[RateLimit]


class ErrorEvent(ServerEvent, tag="error"):
    error: ErrorPayload


class UndocumentedEvent(ServerEvent, tag="response.output_mood.delta"):
    """An event of an undocumented type. Clients must ignore it, because later versions will send
    new types."""

    response_id: str
    mood: str = "cheerful"
