"""How a call's model speaks, listens and thinks. The model's server discards all settings of a
session if one is invalid, so they are validated here."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from control_plane.api.requests.fields import NotBlank, Pattern, StrictModel
from phonebridge.call.config import Transcription, TurnDetection

_VOICES = ("alloy", "ash", "ballad", "cedar", "coral", "echo", "marin", "sage", "shimmer", "verse")
# Voices of older documents that Realtime does not have.
NEAREST_VOICE: Mapping[str, str] = {"fable": "ballad", "nova": "coral", "onyx": "ash"}
_NO_PROMPT = re.compile(r"gpt-realtime-whisper")
_NO_KEYWORDS = re.compile(r"whisper-1|gpt-4o.*|gpt-realtime-whisper")

ModelName = Annotated[
    str,
    Pattern(
        r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}$",
        "must be 1 to 100 of letters, digits and . _ : / -, the first a letter or digit",
    ),
]
Voice = Annotated[
    str,
    Pattern(
        rf"^({'|'.join((*_VOICES, *NEAREST_VOICE))}|voice_[A-Za-z0-9_-]{{1,64}})$",
        f"must be one of {', '.join(_VOICES)}, or the id of a custom voice, such as voice_1234",
        _VOICES,
    ),
    Field(examples=["marin", "voice_1234"]),
]
Effort = Literal["minimal", "low", "medium", "high", "xhigh"]

_CreateResponse = Annotated[
    bool,
    Field(
        description=(
            "Whether the model's server replies to each turn by itself. If false, "
            "Phonebridge requests each reply."
        )
    ),
]
_InterruptResponse = Annotated[
    bool,
    Field(
        description=(
            "Whether the model's server stops its response at any sound that it takes for "
            "speech. If false, Phonebridge decides."
        )
    ),
]


class ServerVad(StrictModel):
    """A turn of the caller ends after a silence."""

    type: Annotated[Literal["server_vad"], Field(description="The kind of detector.")]
    threshold: Annotated[
        float, Field(ge=0, le=1, description="How loud speech must be, from 0 to 1.")
    ] = 0.5
    prefix_padding_ms: Annotated[
        int,
        Field(
            ge=0,
            le=2000,
            description=("How much audio before the start of the speech is included."),
        ),
    ] = 300
    silence_duration_ms: Annotated[
        int, Field(ge=100, le=5000, description="Silence that ends a turn.")
    ] = 500
    idle_timeout_ms: Annotated[
        int | None,
        Field(
            ge=5000,
            le=30_000,
            description=(
                "The model's server starts a response after this much silence. Null: "
                "never. Not together with `idle_timeout_seconds`."
            ),
        ),
    ] = None
    create_response: _CreateResponse = True
    interrupt_response: _InterruptResponse = False

    def to_domain(self) -> TurnDetection:
        return TurnDetection(**self.model_dump())


class SemanticVad(StrictModel):
    """A turn of the caller ends when the sentence seems complete."""

    type: Annotated[Literal["semantic_vad"], Field(description="The kind of detector.")]
    eagerness: Annotated[
        Literal["low", "medium", "high", "auto"],
        Field(description="How soon the model replies. `low` waits longest."),
    ] = "auto"
    create_response: _CreateResponse = True
    interrupt_response: _InterruptResponse = False

    def to_domain(self) -> TurnDetection:
        return TurnDetection(**self.model_dump())


Detection = Annotated[ServerVad | SemanticVad, Field(discriminator="type")]


def detection_of(detection: TurnDetection) -> ServerVad | SemanticVad:
    kind = ServerVad if detection.type == "server_vad" else SemanticVad
    return kind.model_construct(**{name: getattr(detection, name) for name in kind.model_fields})


class TranscriptionSettings(StrictModel):
    """How the caller's words are transcribed."""

    model: Annotated[
        ModelName,
        Field(
            description=("The transcription model, which is separate from the model that speaks.")
        ),
    ] = Transcription().model
    prompt: Annotated[
        Annotated[str, Field(min_length=1, max_length=1000), NotBlank] | None,
        Field(
            description=("Hints for the transcription model. `gpt-realtime-whisper` accepts none.")
        ),
    ] = None
    keywords: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=100), NotBlank]] | None,
        Field(
            max_length=100,
            description=(
                "Expected words. Only `gpt-transcribe` and `gpt-live-transcribe` accept them."
            ),
        ),
    ] = None

    @field_validator("prompt")
    @classmethod
    def _model_takes_prompt(cls, prompt: str | None, info: ValidationInfo) -> str | None:
        if prompt is not None and _NO_PROMPT.fullmatch(info.data.get("model", "")):
            raise ValueError(f"{info.data['model']} takes no prompt")
        return prompt

    @field_validator("keywords")
    @classmethod
    def _model_takes_keywords(
        cls, keywords: list[str] | None, info: ValidationInfo
    ) -> list[str] | None:
        if keywords and _NO_KEYWORDS.fullmatch(info.data.get("model", "")):
            raise ValueError(f"{info.data['model']} takes no keywords")
        return keywords

    def to_domain(self) -> Transcription:
        return Transcription(self.model, self.prompt, tuple(self.keywords or ()))

    @staticmethod
    def of(transcription: Transcription) -> "TranscriptionSettings":
        return TranscriptionSettings.model_construct(
            model=transcription.model,
            prompt=transcription.prompt,
            keywords=list(transcription.keywords),
        )
