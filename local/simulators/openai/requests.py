"""Client events of the Realtime API, and the wording of refusals. wire.py has the server events."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from simulators.openai.settings import (
    REASONING_MODEL_PREFIX,
    VOICES,
    ActiveSettings,
    AudioFormat,
    AudioInputSettings,
    AudioSettings,
    AudioTranscription,
    CustomVoiceSettings,
    MaxOutputTokens,
    Modality,
    Prompt,
    ReasoningSettings,
    SessionSettings,
    Settings,
    Tool,
    ToolChoice,
)
from simulators.openai.wire import Item

MAX_APPEND_BYTES = 15 * 1024 * 1024
TRANSCRIPTION_FIELDS = {
    "keywords": re.compile(r"gpt-(live-)?transcribe"),
    "languages": re.compile(r"gpt-(live-)?transcribe"),
    "delay": re.compile(r"gpt-realtime-whisper"),
    "prompt": re.compile(r"(?!gpt-realtime-whisper).*"),
}


@dataclass
class Refusal(Exception):
    """The request changes nothing and is answered by an error event."""

    code: str | None
    message: str
    param: str | None = None
    type: str = "invalid_request_error"


class ClientEvent(Struct, tag_field="type", kw_only=True, forbid_unknown_fields=True):
    event_id: Annotated[str, Meta(max_length=512)] | None = None


class SessionUpdateEvent(ClientEvent, tag="session.update"):
    session: SessionSettings


class AppendEvent(ClientEvent, tag="input_audio_buffer.append"):
    audio: bytes


class CommitEvent(ClientEvent, tag="input_audio_buffer.commit"):
    pass


class ClearEvent(ClientEvent, tag="input_audio_buffer.clear"):
    pass


class ItemCreateEvent(ClientEvent, tag="conversation.item.create", kw_only=True):
    item: Item
    previous_item_id: str | None = None


class ItemTruncateEvent(ClientEvent, tag="conversation.item.truncate"):
    item_id: str
    content_index: int
    audio_end_ms: Annotated[int, Meta(ge=0)]


class ItemDeleteEvent(ClientEvent, tag="conversation.item.delete"):
    item_id: str


class ItemRetrieveEvent(ClientEvent, tag="conversation.item.retrieve"):
    item_id: str


class RequestedOutput(Settings):
    format: AudioFormat | None = None
    voice: VOICES | CustomVoiceSettings | None = None


class RequestedAudio(Settings):
    output: RequestedOutput | None = None


class ResponseRequest(Settings):
    """Settings of one response. Omitted fields are those of the session."""

    conversation: Literal["auto", "none"] | None = None
    instructions: str | None = None
    output_modalities: list[Modality] | None = None
    max_output_tokens: MaxOutputTokens | None = None
    metadata: Annotated[dict[str, str], Meta(max_length=16)] | None = None
    audio: RequestedAudio | None = None
    # Accepted but not used: the simulated model answers by its scenario.
    input: list[Any] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning: ReasoningSettings | None = None
    prompt: Prompt | None = None


class ResponseCreateEvent(ClientEvent, tag="response.create", kw_only=True):
    response: ResponseRequest | None = None


class ResponseCancelEvent(ClientEvent, tag="response.cancel", kw_only=True):
    response_id: str | None = None


Request = (
    SessionUpdateEvent
    | AppendEvent
    | CommitEvent
    | ClearEvent
    | ItemCreateEvent
    | ItemTruncateEvent
    | ItemDeleteEvent
    | ItemRetrieveEvent
    | ResponseCreateEvent
    | ResponseCancelEvent
)
# The list that the real server gives for an unknown type.
KNOWN_TYPES = (
    "session.update",
    "session.close",
    "session.input_audio_buffer.append",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "conversation.item.create",
    "conversation.item.truncate",
    "conversation.item.delete",
    "conversation.item.retrieve",
    "response.create",
    "response.cancel",
)


def parse(frame: str | bytes) -> dict[str, Any]:
    if isinstance(frame, bytes):
        raise Refusal("invalid_event", "Invalid event: binary messages are not supported.")
    try:
        return msgspec.json.decode(frame, type=dict[str, Any])
    except msgspec.DecodeError as error:
        message = f"Invalid event: failed to parse JSON value. {error}"
        raise Refusal("invalid_json", message) from None


def understand(frame: dict[str, Any]) -> Request:
    try:
        request: Request = msgspec.convert(frame, Request)
    except msgspec.ValidationError as error:
        raise refusal_of(str(error)) from None
    if isinstance(request, AppendEvent) and len(request.audio) > MAX_APPEND_BYTES:
        message = f"Invalid 'audio': expected at most {MAX_APPEND_BYTES} bytes."
        raise Refusal("string_above_max_length", message, "audio")
    return request


def check_update(update: SessionSettings, active: ActiveSettings, has_spoken: bool) -> None:
    """Check the rules of session.update that types cannot express."""
    check_modalities(update.output_modalities, "session.output_modalities")
    model = str(active.settings.model)
    if update.model and update.model != model:
        raise Refusal("invalid_value", "The model of a session cannot change.", "session.model")
    if update.reasoning and not model.startswith(REASONING_MODEL_PREFIX):
        message = f"Model '{model}' does not support reasoning."
        raise Refusal("invalid_value", message, "session.reasoning")
    check_transcription(update)
    if has_spoken and active.merge(update).voice != active.voice:
        message = "Cannot update a conversation's voice if assistant audio is present."
        raise Refusal("cannot_update_voice", message)


def check_transcription(update: SessionSettings) -> None:
    """Check the transcription settings. Each model accepts only some fields (API reference,
    `audio.input.transcription`)."""
    audio_input = update.audio.input if isinstance(update.audio, AudioSettings) else None
    wanted = audio_input.transcription if isinstance(audio_input, AudioInputSettings) else None
    if not isinstance(wanted, AudioTranscription):
        return
    for field, models in TRANSCRIPTION_FIELDS.items():
        if getattr(wanted, field) and not models.fullmatch(wanted.model):
            message = f"Transcription model '{wanted.model}' does not support '{field}'."
            param = f"session.audio.input.transcription.{field}"
            raise Refusal("invalid_value", message, param)


def check_modalities(modalities: object, param: str) -> None:
    if isinstance(modalities, list) and modalities not in (["audio"], ["text"]):
        message = (
            f"Invalid modalities: {modalities}. Supported combinations are: ['text'] and ['audio']."
        )
        raise Refusal("invalid_value", message, param)


@dataclass(frozen=True, slots=True)
class Wording:
    finding: re.Pattern[str]
    """Matches the wording of msgspec."""
    code: str
    message: str
    """The wording of the real server."""


WORDINGS = tuple(
    Wording(re.compile(finding), code, message)
    for finding, code, message in (
        (r"contains unknown field", "unknown_parameter", "Unknown parameter: '{param}'."),
        (
            r"missing required field",
            "missing_required_parameter",
            "Missing required parameter: '{param}'.",
        ),
        (
            r"Expected `int` >= (?P<limit>\S+)",
            "integer_below_min_value",
            "Invalid '{param}': integer below minimum value. Expected a value >= {limit}.",
        ),
        (
            r"Expected `int` <= (?P<limit>\S+)",
            "integer_above_max_value",
            "Invalid '{param}': integer above maximum value. Expected a value <= {limit}.",
        ),
        (
            r"Expected `float` >= (?P<limit>\S+)",
            "decimal_below_min_value",
            "Invalid '{param}': decimal below minimum value. Expected a value >= {limit}.",
        ),
        (
            r"Expected `float` <= (?P<limit>\S+)",
            "decimal_above_max_value",
            "Invalid '{param}': decimal above maximum value. Expected a value <= {limit}.",
        ),
        (
            r"Expected `str` of length <= (?P<limit>\d+)",
            "string_above_max_length",
            "Invalid '{param}': string too long. Expected at most {limit} characters.",
        ),
        (
            r"Invalid base64",
            "invalid_value",
            "Invalid '{param}'. Expected base64-encoded audio bytes.",
        ),
        (r"Invalid (?:enum )?value (?P<value>.+)", "invalid_value", "Invalid value: {value}."),
        (r"(?P<expected>.+)", "invalid_type", "Invalid type for '{param}': {expected}."),
    )
)
FIELD = re.compile(r"field `(?P<field>\w+)`")


def refusal_of(finding: str) -> Refusal:
    what, _, where = finding.partition(" - at ")
    path = where.strip("`").removeprefix("$").removeprefix(".")
    if field := FIELD.search(what):
        path = f"{path}.{field['field']}".removeprefix(".")
    if path == "type" and what.startswith("Invalid value"):
        what = f"{what}. Supported values are: {', '.join(map(repr, KNOWN_TYPES))}"
    wording, match = next((w, m) for w in WORDINGS if (m := w.finding.search(what)))
    message = wording.message.format(param=path, **match.groupdict())
    return Refusal(wording.code, message, path or None)
