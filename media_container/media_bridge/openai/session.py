"""Converts a call's settings to a Realtime session, and checks whether the active session has them.

A refused `session.update` is discarded completely. The model would then continue with its default
instructions, voice and formats. So the agent does not speak before `session.updated` confirms the
settings.
"""

from dataclasses import dataclass
from typing import TypeVar

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from media_bridge.audio.codecs import Codec
from media_bridge.commands import CreateResponse
from media_bridge.openai import tools
from media_bridge.openai.realtime import (
    PCM_24K,
    PCMA,
    PCMU,
    Audio,
    AudioFormat,
    AudioInput,
    AudioOutput,
    CustomVoice,
    InputTranscription,
    NoiseReduction,
    Reasoning,
    Session,
    TurnDetectionSettings,
)
from phonebridge.call.config import CallConfig, TurnDetection, takes_reasoning
from phonebridge.settings import ModelAudio

CUSTOM_VOICE = "voice_"
"""The ids of custom voices begin with it."""
_G711 = {Codec.PCMU: PCMU, Codec.PCMA: PCMA}


@dataclass(frozen=True, slots=True)
class SessionContext:
    """The facts that a session depends on, besides the call's settings."""

    model: str
    audio: ModelAudio
    line: Codec
    """The codec of the caller's audio."""
    output_codec: Codec
    """The codec that we speak."""


def session_settings(config: CallConfig, context: SessionContext) -> Session:
    g711 = context.audio is ModelAudio.G711
    effort = config.reasoning_effort if takes_reasoning(context.model) else None
    return Session(
        type="realtime",
        instructions=config.instructions,
        output_modalities=("audio",),
        audio=Audio(
            input=AudioInput(
                format=_G711[context.line] if g711 else PCM_24K,
                turn_detection=_turn_detection(config.turn_detection),
                transcription=_transcription(config),
                noise_reduction=_noise_reduction(config),
            ),
            output=AudioOutput(
                format=_G711[context.output_codec] if g711 else PCM_24K,
                voice=_voice_setting(config.voice),
                speed=config.speed or UNSET,
            ),
        ),
        tools=tools.tool_definitions(config.tools),
        reasoning=Reasoning(effort) if effort else UNSET,
        max_output_tokens=config.max_output_tokens or UNSET,
    )


T = TypeVar("T", bound=Struct)


def changes_between(before: Session, after: Session) -> Session:
    """Return only the settings that changed, because others may be locked by now."""
    tools_gone = after.tools is UNSET and before.tools is not UNSET
    difference = _changed_fields(before, replace(after, tools=()) if tools_gone else after)
    return replace(difference, type=after.type)


def _changed_fields(before: T, after: T) -> T:
    difference: dict[str, object] = {}
    for name in after.__struct_fields__:
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            parts = isinstance(old, Audio | AudioInput | AudioOutput) and type(old) is type(new)
            difference[name] = _changed_fields(old, new) if parts else new
    return type(after)(**difference)


def response_instructions(config: CallConfig, request: CreateResponse) -> str | None:
    """Return the instructions of one response. They replace the session's, so they repeat them."""
    if request.exact_text:
        return (
            f"{config.instructions}\n\nSay exactly this now, and nothing else: {request.exact_text}"
        )
    if request.instructions:
        return f"{config.instructions}\n\n{request.instructions}"
    return None


def mismatch(requested: Session, in_force: Session) -> str | None:
    """Return the settings that differ from the request, in words, or None if none does. A field
    that the server omits is taken as agreed, because compatible servers echo less."""
    differences = [
        name
        for name, ours, theirs in _comparisons(requested, in_force)
        if UNSET not in (ours, theirs) and theirs is not None and ours != theirs
    ]
    return f"session.updated differs in {', '.join(differences)}" if differences else None


def _comparisons(requested: Session, in_force: Session) -> list[tuple[str, object, object]]:
    pairs: list[tuple[str, object, object]] = [
        ("instructions", requested.instructions, in_force.instructions),
        ("output_modalities", requested.output_modalities, in_force.output_modalities),
    ]
    for side in ("input", "output"):
        ours, theirs = _format(requested, side), _format(in_force, side)
        pairs.append((f"audio.{side}.format", ours.type, theirs.type))
        if ours.rate is not UNSET:  # G.711 has but one
            pairs.append((f"audio.{side}.format.rate", ours.rate, theirs.rate))
    pairs.append(("audio.output.voice", _voice(requested), _voice(in_force)))
    pairs.append(("audio.input.turn_detection.type", _vad(requested), _vad(in_force)))
    pairs.append(("tools", _tool_names(requested), _tool_names(in_force)))
    return pairs


def _tool_names(session: Session) -> set[object] | UnsetType:
    if isinstance(session.tools, UnsetType) or session.tools is None:
        return UNSET
    return {tool.server_label or tool.name for tool in session.tools}


def _format(session: Session, side: str) -> AudioFormat:
    half: AudioInput | AudioOutput | None = getattr(_audio(session), side) or None
    return half.format or AudioFormat() if half else AudioFormat()


def _voice(session: Session) -> str | UnsetType:
    output = _audio(session).output or AudioOutput()
    return output.voice if isinstance(output.voice, str) else UNSET


def _vad(session: Session) -> str | UnsetType:
    vad = (_audio(session).input or AudioInput()).turn_detection
    # Null is an answer here: without a detector no turn of the caller would ever end.
    if vad is None:
        return "none"
    return vad if vad is UNSET else vad.type


def _audio(session: Session) -> Audio:
    return session.audio or Audio()


def _transcription(config: CallConfig) -> InputTranscription:
    wanted = config.transcription
    # ISO 639-1, without the country that our callers may name.
    language = config.language.partition("-")[0].lower() if config.language else UNSET
    keywords = wanted.keywords or UNSET
    return InputTranscription(wanted.model, language, wanted.prompt or UNSET, keywords)


def _noise_reduction(config: CallConfig) -> NoiseReduction | None:
    if config.noise_reduction is None:
        return None
    strength = config.noise_reduction_strength
    return NoiseReduction(config.noise_reduction, UNSET if strength is None else strength)


def _voice_setting(voice: str) -> str | CustomVoice:
    return CustomVoice(voice) if voice.startswith(CUSTOM_VOICE) else voice


def _turn_detection(wanted: TurnDetection) -> TurnDetectionSettings:
    if wanted.type == "semantic_vad":
        return TurnDetectionSettings(
            type=wanted.type,
            eagerness=wanted.eagerness,
            create_response=wanted.create_response,
            interrupt_response=wanted.interrupt_response,
        )
    return TurnDetectionSettings(
        type=wanted.type,
        threshold=wanted.threshold,
        prefix_padding_ms=wanted.prefix_padding_ms,
        silence_duration_ms=wanted.silence_duration_ms,
        idle_timeout_ms=wanted.idle_timeout_ms or UNSET,
        create_response=wanted.create_response,
        interrupt_response=wanted.interrupt_response,
    )
