"""How an agent may be told to behave over the HTTP API. Unknown fields are refused by name: a
misspelt one would otherwise be silently without effect."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from directory import Agent
from fields import Form, InvalidField, NotBlank, StrictRequest
from model_settings import (
    NEAREST_VOICE,
    Detection,
    Effort,
    ModelName,
    TranscriptionSettings,
    Voice,
    warnings_of,
)
from phonebridge.answering import MachineDetection, Method, OnMachine
from phonebridge.call_config import CallConfig, StreamSetup, takes_reasoning
from phonebridge.settings import ModelAudio
from tool_settings import MOST_TOOLS, Tool, Url, declared, distinct, tool_warnings

MAX_DURATION_SECONDS = 55 * 60


def carried(config: CallConfig, model_audio: ModelAudio) -> CallConfig:
    """The same, if this deployment can carry it."""
    if config.codec == "L16" and model_audio is ModelAudio.G711:
        raise InvalidField("codec", "L16 needs a deployment with MODEL_AUDIO=pcm24k")
    return config


Instructions = Annotated[str, Field(min_length=1, max_length=32_768), NotBlank]
Words = Annotated[str, Field(min_length=1, max_length=1000), NotBlank]
"""That are spoken."""
Language = Annotated[
    str,
    Form(r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,4}$", "must be a language tag, such as de or en-US"),
]


class MachineSettings(StrictRequest):
    """What to do when a machine answers; `message` is what `leave_message` says."""

    mode: Literal["hang_up", "leave_message", "continue"]
    message: Annotated[Words | None, Field(validate_default=True)] = None
    method: Literal["premium", "standard"] = "premium"

    @field_validator("message")
    @classmethod
    def _goes_with_its_mode(cls, message: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("mode") == "leave_message" and message is None:
            raise ValueError("is what a call with mode leave_message needs")
        if info.data.get("mode") != "leave_message" and message is not None:
            raise ValueError("goes with mode leave_message only")
        return message

    def asked(self) -> MachineDetection:
        return MachineDetection(OnMachine(self.mode), self.message, Method(self.method))


ToolList = Annotated[list[Tool], Field(max_length=MOST_TOOLS)]


class AgentSettings(StrictRequest):
    """Every field may be left out: what is not said here is said elsewhere or by default."""

    instructions: Instructions | None = None
    model: ModelName | None = None
    voice: Voice | None = None
    speed: Annotated[float | None, Field(ge=0.25, le=1.5)] = None
    greeting: Words | None = None
    language: Language | None = None
    turn_detection: Detection | None = None
    noise_reduction: Literal["near_field", "far_field", "off"] | None = None
    noise_reduction_strength: Annotated[float | None, Field(ge=0, le=1)] = None
    transcription: TranscriptionSettings | None = None
    reasoning_effort: Effort | None = None
    max_output_tokens: Annotated[int | None, Field(ge=1, le=4096)] = None
    temperature: Annotated[float | None, Field(ge=0, le=1)] = None
    max_duration_seconds: Annotated[int | None, Field(ge=30, le=MAX_DURATION_SECONDS)] = None
    idle_timeout_seconds: Annotated[int | None, Field(ge=3, le=120)] = None
    idle_prompts: Annotated[int | None, Field(ge=0, le=5)] = None
    barge_in_min_ms: Annotated[int | None, Field(ge=0, le=2000)] = None
    codec: Literal["PCMU", "PCMA", "L16"] | None = None
    machine_detection: MachineSettings | None = None
    record: bool | None = None
    record_dtmf: bool | None = None
    stream_setup: Literal["on_answer", "with_dial", "prepared"] | None = None
    webhook_url: Annotated[
        Url | None, Field(description="Is sent the whole record when the call has ended")
    ] = None
    tools: ToolList | None = None

    _distinct = field_validator("tools")(distinct)

    def config(self, longest_seconds: int, agent: Agent | None = None) -> CallConfig:
        """What is told here wins over the agent's."""
        if (self.max_duration_seconds or 0) > longest_seconds:
            raise InvalidField("max_duration_seconds", f"may be {longest_seconds} at most")
        given = self.given()
        config = agent.config(**given) if agent else CallConfig(**given)
        if config.model and config.reasoning_effort and not takes_reasoning(config.model):
            raise InvalidField("reasoning_effort", f"{config.model} takes none")
        if config.idle_timeout_seconds and config.turn_detection.idle_timeout_ms:
            # Both would ask the caller. One of the two may be the agent's.
            problem = "not together with turn_detection.idle_timeout_ms"
            raise InvalidField("idle_timeout_seconds", problem)
        if config.stream_setup is StreamSetup.PREPARED and config.turn_detection.idle_timeout_ms:
            # The greeting is made while the phone rings: the model would wait for an answer to it.
            instead = "idle_timeout_seconds counts from what was heard"
            raise InvalidField("turn_detection.idle_timeout_ms", f"not if prepared; {instead}")
        return config.at_most(longest_seconds)

    def given(self) -> dict[str, Any]:
        """The fields of a `CallConfig` that were told."""
        given = self.model_dump(exclude_none=True, include=set(AgentSettings.model_fields))
        if self.voice:
            given["voice"] = NEAREST_VOICE.get(self.voice, self.voice)
        if self.tools is not None:
            given["tools"] = declared(self.tools)
        if self.stream_setup:
            given["stream_setup"] = StreamSetup(self.stream_setup)
        if self.turn_detection:
            given["turn_detection"] = self.turn_detection.asked()
        if self.transcription:
            given["transcription"] = self.transcription.asked()
        if self.noise_reduction == "off":
            given["noise_reduction"] = None
        if self.machine_detection:
            given["machine_detection"] = self.machine_detection.asked()
        return given

    @property
    def warnings(self) -> list[str]:
        """What was understood but is not passed on as it was asked for."""
        transcription = self.transcription.model if self.transcription else None
        models = {"model": self.model, "transcription.model": transcription}
        warnings = warnings_of(self.voice, models)
        if self.temperature is not None:
            warnings.append("temperature: has no effect, the Realtime API no longer knows it.")
        if self.webhook_url and not self.webhook_url.startswith("https:"):
            warnings.append(
                "webhook_url: is not https; it is called only where TOOL_HOSTS_ALLOWED names it."
            )
        return warnings + tool_warnings(self.tools or [])
