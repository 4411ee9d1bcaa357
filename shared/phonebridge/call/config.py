"""How the agent of one call behaves. Written once at create, read once by the media container."""

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
    """The model itself speaks up after so long a silence."""
    eagerness: str = "auto"
    create_response: bool = True
    """Whether the model answers by itself, or because the bridge asks it to."""
    interrupt_response: bool = False
    """Whether the model's server stops a response at any sound that it takes for speech. If false,
    the bridge decides (`barge_in.py`)."""

    @property
    def silence_seconds(self) -> float | None:
        """Return the silence that ends a turn. It is None for `semantic_vad`, whose delay varies
        and is not reported."""
        return self.silence_duration_ms / 1000 if self.type == "server_vad" else None


@dataclass(frozen=True, slots=True)
class Transcription:
    """How the caller's words are written down: by a model beside the one that speaks."""

    model: str = "gpt-transcribe"
    """The current one that may stand beside a conversation with voice-activity detection."""
    prompt: str | None = None
    keywords: tuple[str, ...] = ()


class StreamSetup(StrEnum):
    """When the media stream and the model's session are opened, and the greeting made."""

    ON_ANSWER = "on_answer"
    WITH_DIAL = "with_dial"
    """While the phone rings."""
    PREPARED = "prepared"
    """The greeting too: it is made while the phone rings, or kept from an earlier call."""

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
    """How the agent of one call behaves: written once at create, read once by the container."""

    agent: str | None = None
    """The profile that the rest was taken from, where the request did not say otherwise."""
    instructions: str = DEFAULT_INSTRUCTIONS
    model: str | None = None
    """Otherwise the container's."""
    voice: str = "marin"
    """A name, or the id of a custom voice."""
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
    """After this much silence, the agent asks whether the caller is there. None: never."""
    idle_prompts: int = 2
    """How often in a row, before the call is ended."""
    barge_in_min_ms: int = 0
    """Shorter speech of the caller does not stop the agent."""
    codec: str = "PCMU"
    """The codec that we send: PCMU, PCMA or L16. The caller's codec is announced when the media
    stream starts. L16 is requested for both directions."""
    machine_detection: MachineDetection | None = None
    record: bool = False
    record_dtmf: bool = True
    """Whether the digits that the caller presses stand on the record."""
    tools: Tools = field(default_factory=Tools)
    stream_setup: StreamSetup = StreamSetup.ON_ANSWER
    fallback: Fallback | None = None
    webhook_url: str | None = None
    """The receiver of the outcome webhook. None: the operator's default."""
    metadata: dict[str, str] = field(default_factory=dict)
    events: tuple[BrowserEvent, ...] = ()
    """What a browser is shown of its call."""

    def with_fallback(self, fallback: Fallback | None) -> "CallConfig":
        """The same, with the deployment's fallback if it has none of its own."""
        return replace(self, fallback=self.fallback or fallback)

    def limited_to(self, max_seconds: int) -> "CallConfig":
        """The same, for no longer than the operator allows."""
        return replace(self, max_duration_seconds=min(self.max_duration_seconds, max_seconds))
