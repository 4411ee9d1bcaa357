"""How a call's model speaks, hears and thinks, as the HTTP API takes it. What the model would
not take is refused here, for with it all settings of the session would be lost."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from fields import Form, NotBlank, StrictRequest
from phonebridge.call_config import Transcription, TurnDetection

_VOICES = ("alloy", "ash", "ballad", "cedar", "coral", "echo", "marin", "sage", "shimmer", "verse")
# Voices of older documents that Realtime does not have.
NEAREST_VOICE: Mapping[str, str] = {"fable": "ballad", "nova": "coral", "onyx": "ash"}
# OpenAI, "Deprecations".
_LAST_DAYS = (
    (re.compile(r"gpt-realtime(-mini)?(-20\d\d-\d\d-\d\d)?"), "2027-01-20"),
    (re.compile(r"whisper-1|gpt-4o(-mini)?-transcribe(-.+)?"), "2027-02-26"),
)
_NO_PROMPT = re.compile(r"gpt-realtime-whisper")
_NO_KEYWORDS = re.compile(r"whisper-1|gpt-4o.*|gpt-realtime-whisper")

ModelName = Annotated[
    str,
    Form(
        r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}$",
        "must be 1 to 100 of letters, digits and . _ : / -, the first a letter or digit",
    ),
]
Voice = Annotated[
    str,
    Form(
        rf"^({'|'.join((*_VOICES, *NEAREST_VOICE))}|voice_[A-Za-z0-9_-]{{1,64}})$",
        f"must be one of {', '.join(_VOICES)}, or the id of a custom voice, such as voice_1234",
    ),
    Field(
        description="A voice of the Realtime API, or the id of a custom one.",
        examples=["marin", "voice_1234"],
    ),
]
Effort = Literal["minimal", "low", "medium", "high", "xhigh"]

_CreateResponse = Annotated[
    bool, Field(description="false: the bridge asks for each answer, the model gives none itself.")
]
_InterruptResponse = Annotated[
    bool, Field(description="true: the model stops at whatever it takes for speech.")
]


class ServerVad(StrictRequest):
    """Turns end after a silence."""

    type: Literal["server_vad"]
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    prefix_padding_ms: Annotated[int, Field(ge=0, le=2000)] = 300
    silence_duration_ms: Annotated[int, Field(ge=100, le=5000)] = 500
    idle_timeout_ms: Annotated[
        int | None,
        Field(ge=5000, le=30_000, description="The model itself speaks after so long a silence."),
    ] = None
    create_response: _CreateResponse = True
    interrupt_response: _InterruptResponse = False

    def asked(self) -> TurnDetection:
        return TurnDetection(**self.model_dump())


class SemanticVad(StrictRequest):
    """Turns end when what was said seems complete."""

    type: Literal["semantic_vad"]
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: _CreateResponse = True
    interrupt_response: _InterruptResponse = False

    def asked(self) -> TurnDetection:
        return TurnDetection(**self.model_dump())


Detection = Annotated[ServerVad | SemanticVad, Field(discriminator="type")]


class TranscriptionSettings(StrictRequest):
    """How the caller's words are written down."""

    model: ModelName = Transcription().model
    prompt: Annotated[str, Field(min_length=1, max_length=1000), NotBlank] | None = None
    keywords: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=100), NotBlank]] | None,
        Field(max_length=100),
    ] = None

    @field_validator("prompt")
    @classmethod
    def _model_takes_prompt(cls, prompt: str | None, info: ValidationInfo) -> str | None:
        if prompt is not None and _NO_PROMPT.fullmatch(info.data.get("model", "")):
            raise ValueError(f"{info.data['model']} takes none")
        return prompt

    @field_validator("keywords")
    @classmethod
    def _model_takes_keywords(
        cls, keywords: list[str] | None, info: ValidationInfo
    ) -> list[str] | None:
        if keywords and _NO_KEYWORDS.fullmatch(info.data.get("model", "")):
            raise ValueError(f"{info.data['model']} takes none")
        return keywords

    def asked(self) -> Transcription:
        return Transcription(self.model, self.prompt, tuple(self.keywords or ()))


def warnings_of(voice: str | None, models: Mapping[str, str | None]) -> list[str]:
    """`models` by the field that names them."""
    nearest = NEAREST_VOICE.get(voice or "")
    return [
        *([f"voice: {voice} is no Realtime voice; {nearest} speaks instead."] if nearest else ()),
        *(
            f"{field}: {model} is shut down on {day}."
            for field, model in models.items()
            for name, day in _LAST_DAYS
            if model and name.fullmatch(model)
        ),
    ]
