"""The settings of the agent in one call. They are written once at create, and read once by the
media container."""

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum

from phonebridge.call.machine_detection import MachineDetection
from phonebridge.call.tools import Tools


@dataclass(frozen=True, slots=True)
class TurnDetection:
    """The model's voice-activity detector; `eagerness` belongs to `semantic_vad`, the rest to
    `server_vad`. Always sent in full: documents and wire disagree on the defaults
    (OpenAI, "Voice activity detection (VAD)")."""

    type: str = "server_vad"
    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500
    idle_timeout_ms: int | None = None
    """After so long a silence, the model speaks by itself."""
    eagerness: str = "auto"
    create_response: bool = True
    """True if the model answers by itself. Otherwise the bridge requests each answer."""
    interrupt_response: bool = False
    """True if the model's server stops a response at any sound that it takes for speech. Otherwise
    the bridge decides (`barge_in.py`)."""

    @property
    def silence_seconds(self) -> float | None:
        """Return the silence that ends a turn. It is None for `semantic_vad`, whose delay varies
        and is not reported."""
        return self.silence_duration_ms / 1000 if self.type == "server_vad" else None


@dataclass(frozen=True, slots=True)
class Transcription:
    """How the caller's words are transcribed, by a separate model."""

    model: str = "gpt-transcribe"
    """The current model for conversations with voice-activity detection."""
    prompt: str | None = None
    keywords: tuple[str, ...] = ()


class StreamSetup(StrEnum):
    """When the media stream and the model's session are opened, and the greeting is generated."""

    ON_ANSWER = "on_answer"
    WITH_DIAL = "with_dial"
    """The stream and the session are opened while the phone rings."""
    PREPARED = "prepared"
    """The greeting is also generated while the phone rings, or taken from an earlier call."""

    @property
    def begins_with_dial(self) -> bool:
        return self is not StreamSetup.ON_ANSWER


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """What happens to a caller when no model can carry the call on."""

    say: str | None = None
    """The words that the caller hears instead of the apology."""
    transfer_to: str | None = None
    """The number or SIP address that the caller is connected with afterwards."""


# Those of which it is known; of any other name the user knows better.
_TAKES_NO_REASONING = re.compile(r"gpt-(4o|audio|realtime(?!-2(?!\d)))")


def takes_reasoning(model: str) -> bool:
    """Return whether the model accepts `reasoning.effort`. A model without reasoning would reject
    the whole `session.update`."""
    return not _TAKES_NO_REASONING.match(model)


class BrowserEvent(StrEnum):
    """What the media socket of a browser call reports besides the audio."""

    TRANSCRIPT = "transcript"
    STATE = "state"
    LATENCY = "latency"
    TOOL = "tool"


DEFAULT_INSTRUCTIONS = (
    "You are a helpful assistant on the phone. Speak naturally, in short sentences, "
    "and ask when something is unclear."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallConfig:
    """The settings of the agent in one call."""

    agent: str | None = None
    """The agent whose settings apply where the request did not say otherwise."""
    instructions: str = DEFAULT_INSTRUCTIONS
    model: str | None = None
    """None means the model of the container."""
    voice: str = "marin"
    """The name of a voice, or the id of a custom voice."""
    speed: float | None = None
    greeting: str | None = None
    language: str | None = None
    temperature: float | None = None
    turn_detection: TurnDetection = field(default_factory=TurnDetection)
    noise_reduction: str | None = "near_field"
    noise_reduction_strength: float | None = None
    transcription: Transcription = field(default_factory=Transcription)
    reasoning_effort: str | None = None
    max_output_tokens: int | None = None
    max_duration_seconds: int = 1800
    idle_timeout_seconds: int | None = None
    """The agent asks whether the caller is there after this much silence. None means never."""
    idle_prompts: int = 2
    """How often the agent asks in a row before it ends the call."""
    barge_in_min_ms: int = 0
    """Shorter speech of the caller does not stop the agent."""
    codec: str = "PCMU"
    """The codec that we send: PCMU, PCMA or L16. The caller's codec is announced when the media
    stream starts. L16 is requested for both directions."""
    machine_detection: MachineDetection | None = None
    record: bool = False
    record_dtmf: bool = True
    """Whether the record shows the digits that the caller presses."""
    tools: Tools = field(default_factory=Tools)
    stream_setup: StreamSetup = StreamSetup.ON_ANSWER
    fallback: Fallback | None = None
    webhook_url: str | None = None
    """The receiver of the outcome webhook. None: the operator's default."""
    metadata: dict[str, str] = field(default_factory=dict)
    events: tuple[BrowserEvent, ...] = ()
    """The events of the call that a browser is shown."""

    def with_fallback(self, fallback: Fallback | None) -> "CallConfig":
        """The same, with the deployment's fallback if it has none of its own."""
        return replace(self, fallback=self.fallback or fallback)

    def limited_to(self, max_seconds: int) -> "CallConfig":
        """Return the settings with a duration that the operator allows."""
        return replace(self, max_duration_seconds=min(self.max_duration_seconds, max_seconds))
