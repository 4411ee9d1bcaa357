"""How an agent behaves, in requests and responses of the HTTP API. Calls and named agents share
these fields."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from control_plane.agent_directory import Agent
from control_plane.api.requests.declared_tools import declarations_of, to_domain
from control_plane.api.requests.fields import (
    IN_PATH,
    READ_ONLY,
    ChangedAt,
    InvalidField,
    NotBlank,
    Pattern,
    StrictModel,
    Target,
)
from control_plane.api.requests.model_settings import (
    NEAREST_VOICE,
    Detection,
    Effort,
    ModelName,
    TranscriptionSettings,
    Voice,
    detection_of,
)
from control_plane.api.requests.server_fields import Url
from control_plane.api.requests.tool_settings import MAX_TOOLS, Tool, check_distinct
from phonebridge.call.config import CallConfig, Fallback, StreamSetup, takes_reasoning
from phonebridge.call.machine_detection import MachineDetection, Method, OnMachine

MAX_DURATION_SECONDS = 55 * 60

Instructions = Annotated[str, Field(min_length=1, max_length=32_768), NotBlank]
Words = Annotated[str, Field(min_length=1, max_length=1000), NotBlank]
"""A text that is spoken."""
Language = Annotated[
    str,
    Pattern(
        r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,4}$", "must be a language tag, such as de or en-US"
    ),
    Field(examples=["en-US"]),
]
ToolList = Annotated[list[Tool], Field(max_length=MAX_TOOLS)]
AGENT_NAME = Pattern(r"^[a-z0-9-]{1,64}$", "must be 1 to 64 of a-z, 0-9 and -")
AgentName = Annotated[
    str,
    AGENT_NAME,
    Field(description="The name of an agent.", examples=["reception"]),
]


class MachineSettings(StrictModel):
    """What to do when a machine answers instead of a person."""

    mode: Annotated[
        Literal["hang_up", "leave_message", "continue"],
        Field(description="End the call, leave `message` after the beep, or continue as usual."),
    ]
    message: Annotated[
        Words | None,
        Field(
            validate_default=True,
            description="The words to leave. Required with `leave_message`, refused otherwise.",
        ),
    ] = None
    method: Annotated[
        Literal["premium", "standard"],
        Field(description="Telnyx's detection: `premium` understands speech and costs more."),
    ] = "premium"

    @field_validator("message")
    @classmethod
    def _goes_with_its_mode(cls, message: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("mode") == "leave_message" and message is None:
            raise ValueError("is required with mode `leave_message`")
        if info.data.get("mode") != "leave_message" and message is not None:
            raise ValueError("goes with mode `leave_message` only")
        return message

    def to_domain(self) -> MachineDetection:
        return MachineDetection(OnMachine(self.mode), self.message, Method(self.method))

    @staticmethod
    def of(detection: MachineDetection) -> "MachineSettings":
        return MachineSettings.model_construct(
            mode=detection.mode.value, message=detection.message, method=detection.method.value
        )


class FallbackSettings(StrictModel):
    """What happens to a caller when no model can carry the call on. Set at least one field."""

    say: Annotated[
        Words | None,
        Field(description="The words that the caller hears. By default an apology."),
    ] = None
    transfer_to: Annotated[
        Target | None,
        Field(
            validate_default=True,
            description="Whom the caller is connected with afterwards: a number or a SIP address. "
            "Without it the call ends.",
        ),
    ] = None

    @field_validator("transfer_to")
    @classmethod
    def _is_not_empty(cls, target: str | None, info: ValidationInfo) -> str | None:
        if target is None and info.data.get("say") is None:
            raise ValueError("is required without `say`")
        return target

    def to_domain(self) -> Fallback:
        return Fallback(say=self.say, transfer_to=self.transfer_to)

    @staticmethod
    def of(fallback: Fallback) -> "FallbackSettings":
        return FallbackSettings.model_construct(say=fallback.say, transfer_to=fallback.transfer_to)


class AgentSettings(StrictModel):
    """How an agent behaves. An omitted or null field is taken from the call's agent, or else has
    its default."""

    instructions: Annotated[
        Instructions | None, Field(description="The agent's role and task (system prompt).")
    ] = None
    model: Annotated[
        ModelName | None,
        Field(description="The speech-to-speech model. Default: OPENAI_MODEL of the deployment."),
    ] = None
    voice: Annotated[
        Voice | None,
        Field(description="A voice of the Realtime API, or the id of a custom voice."),
    ] = None
    speed: Annotated[
        float | None, Field(ge=0.25, le=1.5, description="How fast the agent speaks; 1 is normal.")
    ] = None
    greeting: Annotated[
        Words | None,
        Field(description="The exact first words. If omitted, the model chooses them."),
    ] = None
    language: Annotated[
        Language | None, Field(description="The language of the call, as a BCP 47 tag.")
    ] = None
    turn_detection: Annotated[
        Detection | None, Field(description="How the end of the caller's turn is detected.")
    ] = None
    noise_reduction: Annotated[
        Literal["near_field", "far_field", "off"] | None,
        Field(description="Applied to the caller's audio before the model hears it."),
    ] = None
    noise_reduction_strength: Annotated[
        float | None,
        Field(ge=0, le=1, description=("Strength of the noise reduction, from 0 to 1.")),
    ] = None
    transcription: Annotated[
        TranscriptionSettings | None,
        Field(description="How the caller's words are transcribed."),
    ] = None
    reasoning_effort: Annotated[
        Effort | None,
        Field(description="How much the model reasons. Refused for models without reasoning."),
    ] = None
    max_output_tokens: Annotated[
        int | None,
        Field(
            ge=1, le=4096, description=("Maximum length of one response. Longer speech is cut off.")
        ),
    ] = None
    temperature: Annotated[
        float | None,
        Field(ge=0, le=1, description="Has no effect: the Realtime API has no temperature."),
    ] = None
    max_duration_seconds: Annotated[
        int | None,
        Field(
            ge=30,
            le=MAX_DURATION_SECONDS,
            description=(
                "The call is ended after this time. Maximum: MAX_CALL_MINUTES of the deployment."
            ),
        ),
    ] = None
    idle_timeout_seconds: Annotated[
        int | None,
        Field(
            ge=3,
            le=120,
            description=(
                "After this much silence, the agent asks whether the caller is there. Null: never."
            ),
        ),
    ] = None
    idle_prompts: Annotated[
        int | None,
        Field(
            ge=0, le=5, description=("How often the agent asks in a row before the call is ended.")
        ),
    ] = None
    barge_in_min_ms: Annotated[
        int | None,
        Field(ge=0, le=2000, description="Shorter speech of the caller does not stop the agent."),
    ] = None
    codec: Annotated[
        Literal["PCMU", "PCMA", "L16"] | None,
        Field(
            description=(
                "The codec of the audio that Phonebridge sends. `L16` needs MODEL_AUDIO=pcm24k."
            )
        ),
    ] = None
    machine_detection: Annotated[
        MachineSettings | None,
        Field(description="Whether to detect answering machines, and what to do about them."),
    ] = None
    record: Annotated[bool | None, Field(description="Whether the carrier records both sides.")] = (
        None
    )
    record_dtmf: Annotated[
        bool | None,
        Field(description="Whether keys that the caller presses appear in the record."),
    ] = None
    stream_setup: Annotated[
        Literal["on_answer", "with_dial", "prepared"] | None,
        Field(
            description=(
                "When the media stream is opened: at the answer, or while the phone "
                "rings. `prepared` also prepares the greeting during that time."
            )
        ),
    ] = None
    fallback: Annotated[
        FallbackSettings | None,
        Field(
            description="What happens to the caller when no model can carry the call on. By "
            "default FALLBACK_SAY and FALLBACK_TRANSFER_TO of the deployment."
        ),
    ] = None
    webhook_url: Annotated[
        Url | None,
        Field(
            description=(
                "Receives the whole record when the call has ended. Default: "
                "OUTCOME_WEBHOOK_URL of the deployment."
            )
        ),
    ] = None
    tools: Annotated[ToolList | None, Field(description="The tools that the agent may use.")] = None

    _distinct = field_validator("tools")(check_distinct)

    @classmethod
    def of(cls, config: CallConfig) -> "AgentSettings":
        return AgentSettings.model_construct(**_settings_of(config))

    def config(self, max_seconds: int, agent: Agent | None = None) -> CallConfig:
        """Return the settings of a call. Fields set here override the agent's."""
        if (self.max_duration_seconds or 0) > max_seconds:
            raise InvalidField("max_duration_seconds", f"must be at most {max_seconds}")
        given = self.overrides()
        config = agent.config(**given) if agent else CallConfig(**given)
        if config.model and config.reasoning_effort and not takes_reasoning(config.model):
            raise InvalidField("reasoning_effort", f"{config.model} takes none")
        if config.idle_timeout_seconds and config.turn_detection.idle_timeout_ms:
            # Both would ask the caller. One of the two may be the agent's.
            problem = "must not be set together with turn_detection.idle_timeout_ms"
            raise InvalidField("idle_timeout_seconds", problem)
        if config.stream_setup is StreamSetup.PREPARED and config.turn_detection.idle_timeout_ms:
            # The greeting is made while the phone rings: the model would wait for an answer to it.
            problem = "must not be set with stream_setup `prepared`; set idle_timeout_seconds"
            raise InvalidField("turn_detection.idle_timeout_ms", problem)
        return config.limited_to(max_seconds)

    def overrides(self) -> dict[str, Any]:
        """Return the `CallConfig` fields that are set here."""
        given = self.model_dump(exclude_none=True, include=set(AgentSettings.model_fields))
        if self.voice:
            given["voice"] = NEAREST_VOICE.get(self.voice, self.voice)
        if self.tools is not None:
            given["tools"] = to_domain(self.tools)
        if self.stream_setup:
            given["stream_setup"] = StreamSetup(self.stream_setup)
        if self.turn_detection:
            given["turn_detection"] = self.turn_detection.to_domain()
        if self.transcription:
            given["transcription"] = self.transcription.to_domain()
        if self.noise_reduction == "off":
            given["noise_reduction"] = None
        if self.machine_detection:
            given["machine_detection"] = self.machine_detection.to_domain()
        if self.fallback:
            given["fallback"] = self.fallback.to_domain()
        return given


class NamedAgent(AgentSettings):
    """A named agent. The response of GET can be sent back with PUT."""

    name: Annotated[AgentName | None, IN_PATH] = None
    changed_at: ChangedAt = None
    warnings: Annotated[
        list[str] | None,
        Field(
            description="Settings that have no effect or may not work. Ignored in requests.",
            json_schema_extra=READ_ONLY,
        ),
    ] = None


def _settings_of(config: CallConfig) -> dict[str, Any]:
    plain = {name: getattr(config, name) for name in AgentSettings.model_fields}
    machine = config.machine_detection
    return plain | {
        "turn_detection": detection_of(config.turn_detection),
        "transcription": TranscriptionSettings.of(config.transcription),
        "noise_reduction": config.noise_reduction or "off",
        "machine_detection": MachineSettings.of(machine) if machine else None,
        "fallback": FallbackSettings.of(config.fallback) if config.fallback else None,
        "stream_setup": config.stream_setup.value,
        "tools": declarations_of(config.tools),
    }
