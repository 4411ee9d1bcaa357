"""What the HTTP API may be asked for; `api_answers.py` holds what it says. Unknown fields are
refused by name: a misspelt one would otherwise be silently without effect."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from phonebridge.call import CallConfig, TurnDetection
from phonebridge.errors import RequestRefused, Unreadable

MAX_DURATION_SECONDS = 55 * 60

PhoneNumber = Annotated[
    str, Field(pattern=r"^\+[1-9][0-9]{1,14}$", description="E.164", examples=["+15550100"])
]
Voice = Literal[
    "alloy",
    "ash",
    "ballad",
    "cedar",
    "coral",
    "echo",
    "fable",
    "marin",
    "nova",
    "onyx",
    "sage",
    "shimmer",
    "verse",
]
# Voices of older documents that Realtime does not have.
_NEAREST_VOICE: Mapping[str, str] = {"fable": "ballad", "nova": "coral", "onyx": "ash"}


class InvalidField(RequestRefused):
    """A field that is well-formed, yet not what these settings allow."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ServerVad(_Request):
    """Turns end after a silence."""

    type: Literal["server_vad"]
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    prefix_padding_ms: Annotated[int, Field(ge=0, le=2000)] = 300
    silence_duration_ms: Annotated[int, Field(ge=100, le=5000)] = 500


class SemanticVad(_Request):
    """Turns end when what was said seems complete."""

    type: Literal["semantic_vad"]
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"


class CreateCall(_Request):
    to: PhoneNumber
    from_: Annotated[PhoneNumber | None, Field(alias="from")] = None
    instructions: Annotated[str | None, Field(min_length=1, max_length=32_768)] = None
    voice: Voice | None = None
    greeting: Annotated[str | None, Field(min_length=1, max_length=1000)] = None
    language: Annotated[
        str | None, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35)
    ] = None
    turn_detection: Annotated[ServerVad | SemanticVad | None, Field(discriminator="type")] = None
    temperature: Annotated[float | None, Field(ge=0, le=1)] = None
    max_duration_seconds: Annotated[int | None, Field(ge=30, le=MAX_DURATION_SECONDS)] = None
    idle_timeout_seconds: Annotated[int | None, Field(ge=5, le=30)] = None
    record: bool = False
    metadata: Annotated[
        dict[
            Annotated[str, Field(min_length=1, max_length=64)],
            Annotated[str, Field(max_length=512)],
        ],
        Field(max_length=16),
    ] = {}

    @field_validator("idle_timeout_seconds")
    @classmethod
    def _goes_with_server_vad(cls, seconds: int | None, info: ValidationInfo) -> int | None:
        if seconds is not None and isinstance(info.data.get("turn_detection"), SemanticVad):
            raise ValueError("goes with turn_detection of type server_vad only")
        return seconds

    @property
    def fingerprint(self) -> str:
        """The same for requests that ask for the same."""
        return sha256(self.model_dump_json().encode()).hexdigest()

    def caller(self, default: str) -> str:
        if not (self.from_ or default):
            raise InvalidField("from", "is required, since TELNYX_FROM_NUMBER is not set")
        return self.from_ or default

    def config(self, longest_seconds: int) -> CallConfig:
        if (self.max_duration_seconds or 0) > longest_seconds:
            raise InvalidField("max_duration_seconds", f"may be {longest_seconds} at most")
        given = self.model_dump(exclude_none=True, exclude={"to", "from_"})
        if self.voice:
            given["voice"] = _NEAREST_VOICE.get(self.voice, self.voice)
        if self.turn_detection:
            given["turn_detection"] = TurnDetection(**self.turn_detection.model_dump())
        given.setdefault(
            "max_duration_seconds", min(CallConfig().max_duration_seconds, longest_seconds)
        )
        return CallConfig(**given)

    @property
    def warnings(self) -> list[str]:
        """What was understood but is not passed on as it was asked for."""
        warnings = []
        if nearest := _NEAREST_VOICE.get(self.voice or ""):
            warnings.append(f"voice: {self.voice} is no Realtime voice; {nearest} speaks instead.")
        if self.temperature is not None:
            warnings.append("temperature: has no effect, the Realtime API no longer knows it.")
        return warnings


def read_json_object(text: str) -> dict[str, Any]:
    """Stricter than RFC 8259 asks for, where senders and readers are known to disagree: no NaN, no
    infinity, no name twice."""
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"The body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Unreadable("The body must be a JSON object.")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has the same name twice")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
