"""Settings of a Realtime session: defaults as seen on the wire, and partial updates.

An update names only what changes. The types refuse what the real server refuses.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, cast

from msgspec import UNSET, Meta, Struct, UnsetType, structs

VOICES = Literal[
    "alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar"
]
Modality = Literal["audio", "text"]
REASONING_MODEL_PREFIX = "gpt-realtime-2"

StructT = TypeVar("StructT", bound=Struct)


class Settings(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A partial update. Omitted fields keep their value; null clears them."""


class Pcm(Settings, tag_field="type", tag="audio/pcm", omit_defaults=False):
    rate: Annotated[int, Meta(ge=24000, le=24000)] = 24000


class Pcmu(Settings, tag_field="type", tag="audio/pcmu"):
    pass


class Pcma(Settings, tag_field="type", tag="audio/pcma"):
    pass


AudioFormat = Pcm | Pcmu | Pcma


class ServerVadSettings(Settings, tag_field="type", tag="server_vad"):
    threshold: Annotated[float, Meta(ge=0, le=1)] | None | UnsetType = UNSET
    prefix_padding_ms: Annotated[int, Meta(ge=0)] | None | UnsetType = UNSET
    silence_duration_ms: Annotated[int, Meta(ge=0)] | None | UnsetType = UNSET
    idle_timeout_ms: Annotated[int, Meta(ge=5000, le=30000)] | None | UnsetType = UNSET
    create_response: bool | None | UnsetType = UNSET
    interrupt_response: bool | None | UnsetType = UNSET


class SemanticVadSettings(Settings, tag_field="type", tag="semantic_vad"):
    eagerness: Literal["low", "medium", "high", "auto"] | None | UnsetType = UNSET
    create_response: bool | None | UnsetType = UNSET
    interrupt_response: bool | None | UnsetType = UNSET


class NoiseReductionSettings(Settings):
    type: Literal["near_field", "far_field"]
    strength: float | UnsetType = UNSET


class AudioTranscription(Settings):
    model: str
    language: str | None | UnsetType = UNSET
    languages: list[str] | None | UnsetType = UNSET
    prompt: str | None | UnsetType = UNSET
    keywords: list[str] | None | UnsetType = UNSET
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None | UnsetType = UNSET


class AudioInputSettings(Settings):
    format: AudioFormat | None | UnsetType = UNSET
    transcription: AudioTranscription | None | UnsetType = UNSET
    noise_reduction: NoiseReductionSettings | None | UnsetType = UNSET
    turn_detection: ServerVadSettings | SemanticVadSettings | None | UnsetType = UNSET


class CustomVoiceSettings(Settings):
    id: str


class AudioOutputSettings(Settings):
    format: AudioFormat | None | UnsetType = UNSET
    voice: VOICES | CustomVoiceSettings | None | UnsetType = UNSET
    speed: Annotated[float, Meta(ge=0.25, le=1.5)] | None | UnsetType = UNSET


class AudioSettings(Settings):
    input: AudioInputSettings | UnsetType = UNSET
    output: AudioOutputSettings | UnsetType = UNSET


# The real server refuses a tool in Chat Completions' nesting because its name is missing, not
# because of the unknown field "function". So unknown fields are accepted here.
class FunctionTool(
    Settings, tag_field="type", tag="function", forbid_unknown_fields=False, kw_only=True
):
    name: str
    description: str | UnsetType = UNSET
    parameters: dict[str, Any] | UnsetType = UNSET


class McpTool(Settings, tag_field="type", tag="mcp", forbid_unknown_fields=False):
    server_label: str
    server_url: str | UnsetType = UNSET


class ToolChoiceFunction(Settings, tag_field="type", tag="function"):
    name: str


class ToolChoiceMcp(Settings, tag_field="type", tag="mcp"):
    server_label: str
    name: str | UnsetType = UNSET


Tool = FunctionTool | McpTool
ToolChoice = Literal["auto", "none", "required"] | ToolChoiceFunction | ToolChoiceMcp
MaxOutputTokens = Annotated[int, Meta(ge=1, le=4096)] | Literal["inf"]


class ReasoningSettings(Settings):
    effort: Literal["minimal", "low", "medium", "high", "xhigh"] | None | UnsetType = UNSET


class RetentionRatio(Settings, tag_field="type", tag="retention_ratio"):
    retention_ratio: Annotated[float, Meta(ge=0, le=1)]
    token_limits: dict[str, int] | UnsetType = UNSET


class Tracing(Settings):
    workflow_name: str | UnsetType = UNSET
    group_id: str | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET


class Prompt(Settings):
    id: str
    version: str | None | UnsetType = UNSET
    variables: dict[str, Any] | None | UnsetType = UNSET


class SessionSettings(Settings, kw_only=True, omit_defaults=False):
    type: Literal["realtime"]
    model: str | None | UnsetType = UNSET
    output_modalities: list[Modality] | None | UnsetType = UNSET
    instructions: str | None | UnsetType = UNSET
    tools: list[Tool] | None | UnsetType = UNSET
    tool_choice: ToolChoice | None | UnsetType = UNSET
    parallel_tool_calls: bool | None | UnsetType = UNSET
    max_output_tokens: MaxOutputTokens | None | UnsetType = UNSET
    tracing: Literal["auto"] | Tracing | None | UnsetType = UNSET
    truncation: Literal["auto", "disabled"] | RetentionRatio | None | UnsetType = UNSET
    prompt: Prompt | None | UnsetType = UNSET
    include: list[Literal["item.input_audio_transcription.logprobs"]] | None | UnsetType = UNSET
    reasoning: ReasoningSettings | None | UnsetType = UNSET
    audio: AudioSettings | UnsetType = UNSET


SERVER_VAD = ServerVadSettings(0.5, 300, 200, None, True, True)
SEMANTIC_VAD = SemanticVadSettings("auto", True, True)
DEFAULTS = SessionSettings(
    type="realtime",
    output_modalities=["audio"],
    instructions="You are a helpful, witty and friendly voice assistant.",
    tools=[],
    tool_choice="auto",
    max_output_tokens="inf",
    tracing=None,
    truncation="auto",
    prompt=None,
    include=None,
    audio=AudioSettings(
        input=AudioInputSettings(
            format=Pcm(), transcription=None, noise_reduction=None, turn_detection=SERVER_VAD
        ),
        output=AudioOutputSettings(format=Pcm(), voice="alloy", speed=1.0),
    ),
)
# turn_detection has a default, and null still turns it off.
NULLABLE = frozenset({"turn_detection"})
COMPLETED_BY: Mapping[type[Struct], Struct] = {
    ServerVadSettings: SERVER_VAD,
    SemanticVadSettings: SEMANTIC_VAD,
}


def merge(old: StructT, new: StructT, default: StructT) -> StructT:
    changes = {
        name: _merge_value(getattr(old, name), value, getattr(default, name), name)
        for name, value in structs.asdict(new).items()
        if value is not UNSET
    }
    return structs.replace(old, **changes)


def _merge_value(old: object, new: object, default: object, name: str) -> object:
    if new is None:
        return None if name in NULLABLE else default
    if not isinstance(new, Struct):
        return new
    base = old if isinstance(old, type(new)) else COMPLETED_BY.get(type(new), new)
    fallback = default if isinstance(default, type(new)) else base
    return merge(base, new, fallback)


class ActiveSettings:
    """Settings in force. Every field is set, and the rest of the simulator reads these."""

    def __init__(self, settings: SessionSettings) -> None:
        self.settings = settings

    def merge(self, update: SessionSettings) -> "ActiveSettings":
        return ActiveSettings(merge(self.settings, update, DEFAULTS))

    @property
    def _audio(self) -> AudioSettings:
        return cast(AudioSettings, self.settings.audio)

    @property
    def input(self) -> AudioInputSettings:
        return cast(AudioInputSettings, self._audio.input)

    @property
    def output(self) -> AudioOutputSettings:
        return cast(AudioOutputSettings, self._audio.output)

    @property
    def input_format(self) -> AudioFormat:
        return cast(AudioFormat, self.input.format)

    @property
    def output_format(self) -> AudioFormat:
        return cast(AudioFormat, self.output.format)

    @property
    def voice(self) -> str:
        voice = self.output.voice
        return voice.id if isinstance(voice, CustomVoiceSettings) else str(voice)

    @property
    def turn_detection(self) -> ServerVadSettings | SemanticVadSettings | None:
        return cast(ServerVadSettings | SemanticVadSettings | None, self.input.turn_detection)

    @property
    def tool_names(self) -> set[str]:
        return {tool.name for tool in self.settings.tools or () if isinstance(tool, FunctionTool)}


def default_formats(settings: ActiveSettings) -> ActiveSettings:
    pcm = AudioSettings(
        input=AudioInputSettings(format=Pcm()), output=AudioOutputSettings(format=Pcm())
    )
    return settings.merge(SessionSettings(type="realtime", audio=pcm))
