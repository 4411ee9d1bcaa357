"""A call's settings as a Realtime session, and whether the session in force is the one asked for.

A refused `session.update` is discarded whole: the model would then talk on with its default
instructions, voice and formats. So nobody speaks before `session.updated` agrees.
"""

from msgspec import UNSET, UnsetType

from media_bridge.audio import Codec
from media_bridge.commands import Respond
from media_bridge.openai import tools
from media_bridge.openai.realtime import (
    PCM_24K,
    PCMA,
    PCMU,
    Audio,
    AudioFormat,
    AudioInput,
    AudioOutput,
    NoiseReduction,
    Session,
    Transcription,
    TurnDetectionSettings,
)
from phonebridge.call_config import CallConfig, TurnDetection
from phonebridge.settings import ModelAudio

TRANSCRIPTION_MODEL = "gpt-transcribe"
"""The current one that may stand beside a conversation with voice-activity detection."""

_G711 = {Codec.PCMU: PCMU, Codec.PCMA: PCMA}


def requested(config: CallConfig, line: Codec, spoken: Codec, audio: ModelAudio) -> Session:
    """`line` is the codec in which the caller comes, `spoken` the one in which we answer."""
    g711 = audio is ModelAudio.G711
    return Session(
        type="realtime",
        instructions=config.instructions,
        output_modalities=("audio",),
        audio=Audio(
            input=AudioInput(
                format=_G711[line] if g711 else PCM_24K,
                turn_detection=_turn_detection(config.turn_detection),
                transcription=Transcription(TRANSCRIPTION_MODEL, config.language or UNSET),
                noise_reduction=NoiseReduction("near_field"),
            ),
            output=AudioOutput(format=_G711[spoken] if g711 else PCM_24K, voice=config.voice),
        ),
        tools=tools.declared(config.tools),
    )


def told(config: CallConfig, request: Respond) -> str | None:
    """Instructions of one response. They replace the session's, so they repeat them."""
    if request.saying:
        return f"{config.instructions}\n\nSay exactly this now, and nothing else: {request.saying}"
    if request.guidance:
        return f"{config.instructions}\n\n{request.guidance}"
    return None


def disagreement(asked: Session, in_force: Session) -> str | None:
    """What the server runs otherwise than asked, in words; None when nothing is. A field that the
    server leaves out of its answer is taken as agreed: compatible servers echo less."""
    differences = [
        name
        for name, ours, theirs in _compared(asked, in_force)
        if not isinstance(theirs, UnsetType) and theirs is not None and ours != theirs
    ]
    return f"session.updated differs in {', '.join(differences)}" if differences else None


def _compared(asked: Session, in_force: Session) -> list[tuple[str, object, object]]:
    pairs: list[tuple[str, object, object]] = [
        ("instructions", asked.instructions, in_force.instructions),
        ("output_modalities", asked.output_modalities, in_force.output_modalities),
    ]
    for side in ("input", "output"):
        ours, theirs = _format(asked, side), _format(in_force, side)
        pairs.append((f"audio.{side}.format", ours.type, theirs.type))
        if ours.rate is not UNSET:  # G.711 has but one
            pairs.append((f"audio.{side}.format.rate", ours.rate, theirs.rate))
    pairs.append(("audio.output.voice", _voice(asked), _voice(in_force)))
    pairs.append(("audio.input.turn_detection.type", _vad(asked), _vad(in_force)))
    pairs.append(("tools", _tool_names(asked), _tool_names(in_force)))
    return pairs


def _tool_names(session: Session) -> set[object] | UnsetType:
    if isinstance(session.tools, UnsetType) or session.tools is None:
        return UNSET
    return {tool.server_label or tool.name for tool in session.tools}


def _format(session: Session, side: str) -> AudioFormat:
    half: AudioInput | AudioOutput | UnsetType = (
        UNSET if session.audio is UNSET else getattr(session.audio, side)
    )
    return AudioFormat() if half is UNSET or half.format is UNSET else half.format


def _voice(session: Session) -> str | UnsetType:
    if session.audio is UNSET or session.audio.output is UNSET:
        return UNSET
    voice = session.audio.output.voice
    return voice if isinstance(voice, str) else UNSET


def _vad(session: Session) -> str | UnsetType:
    if session.audio is UNSET or session.audio.input is UNSET:
        return UNSET
    vad = session.audio.input.turn_detection
    # Null is an answer here: without a detector no turn of the caller would ever end.
    if vad is None:
        return "none"
    return vad if vad is UNSET else vad.type


def _turn_detection(wanted: TurnDetection) -> TurnDetectionSettings:
    if wanted.type == "semantic_vad":
        return TurnDetectionSettings(
            type=wanted.type,
            eagerness=wanted.eagerness,
            create_response=True,
            interrupt_response=True,
        )
    return TurnDetectionSettings(
        type=wanted.type,
        threshold=wanted.threshold,
        prefix_padding_ms=wanted.prefix_padding_ms,
        silence_duration_ms=wanted.silence_duration_ms,
        create_response=True,
        interrupt_response=True,
    )
