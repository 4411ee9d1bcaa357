"""Bridges and messages for playbooks."""

from dataclasses import replace

from media_bridge.audio.codecs import Codec
from media_bridge.bridge import Bridge
from media_bridge.commands import (
    CancelResponse,
    ConfigureModel,
    CreateResponse,
    PlayAudio,
    RecordTurn,
    ReviseTurn,
)
from media_bridge.conversation.greeting import CachedGreeting
from media_bridge.conversation.talk import NO_CLIPS
from media_bridge.events import (
    AudioReceived,
    CallerAudio,
    ModelConnected,
    ModelReady,
    ResponseEnded,
    ResponseStarted,
    StreamStarted,
    TranscriptReceived,
)
from media_bridge.speech.clips import SpeechClips
from phonebridge.call.config import CallConfig, StreamSetup
from phonebridge.call.steering import Interrupt, Say
from phonebridge.call.turn import Latency, Speaker, Turn
from phonebridge.call.usage import Usage
from phonebridge.settings import ModelAudio
from tests.support.calls import LEG, outbound_call
from tests.support.playbook import Playbook

CALL = replace(outbound_call("call-1"), leg=LEG)
RINGING = replace(CALL, has_early_stream=True, stream_number=1, attached_stream=1)
WITH_DIAL = CallConfig(stream_setup=StreamSetup.WITH_DIAL)
PREPARED = CallConfig(greeting="Good morning!", stream_setup=StreamSetup.PREPARED)
STARTED = StreamStarted(LEG.call_control_id, "call-1", "PCMU", 8000)
FRAME_MS = 20


def new_bridge(
    model_audio: ModelAudio = ModelAudio.G711, config: CallConfig | None = None
) -> Bridge:
    return Bridge(CALL, config or CallConfig(), model_audio, now=0.0)


def ringing_bridge(
    config: CallConfig,
    model_audio: ModelAudio = ModelAudio.G711,
    kept: CachedGreeting | None = None,
) -> Bridge:
    return Bridge(RINGING, config, model_audio, 0.0, kept)


def say_of(request: CreateResponse, interrupt: bool = False) -> Say:
    """The command of the API that asks for this response."""
    words, instruction = request.exact_text, request.instructions
    return Say(words=words, instruction=instruction, interrupt=interrupt)


def make_ready(story: Playbook, greeting: str | None = None) -> Playbook:
    """Start the media and the session of a new call. Then the model has just been asked to
    greet."""
    assert (
        story
        >> STARTED
        >> ModelConnected()
        << ConfigureModel(Codec.PCMU)
        >> ModelReady()
        << CreateResponse(greeting)
    )
    return story


def ready_call(
    model_audio: ModelAudio = ModelAudio.G711,
    config: CallConfig | None = None,
    clips: SpeechClips = NO_CLIPS,
) -> Playbook:
    """Return a playbook at 0 s, when the model has just been asked to greet."""
    config = config or CallConfig()
    bridge = Bridge(CALL, config, model_audio, now=0.0, clips=clips)
    return make_ready(Playbook(bridge), config.greeting)


def silent_call(config: CallConfig | None = None, response: str = "resp-1") -> Playbook:
    """Return a playbook at 0 s, when the greeting has been interrupted before any sound."""
    story = ready_call(config=config)
    assert (
        story
        >> ResponseStarted(response)
        >> Interrupt()
        << CancelResponse(response)
        >> done(response, "cancelled")
    )
    return story


def sound(ms: int, code: int = 0x11) -> bytes:
    """Return G.711 of a constant level."""
    return bytes([code]) * (8 * ms)


def frame(chunk: int, code: int = 0x22) -> CallerAudio:
    return CallerAudio(sound(FRAME_MS, code), chunk)


def said(
    ms: int, item: str = "item-1", response: str = "resp-1", code: int = 0x11
) -> AudioReceived:
    return AudioReceived(response, item, 0, sound(ms, code))


def words(text: str, item: str = "item-1", response: str = "resp-1") -> TranscriptReceived:
    return TranscriptReceived(response, item, text)


def done(
    response: str = "resp-1",
    status: str = "completed",
    detail: str = "",
    usage: Usage | None = None,
) -> ResponseEnded:
    return ResponseEnded(response, status, detail, usage or Usage())


def play(ms: int, code: int = 0x11) -> PlayAudio:
    return PlayAudio(sound(ms, code))


def agent_turn(
    number: int,
    text: str,
    started_ms: int,
    ended_ms: int,
    interrupted: bool = False,
    unheard: str = "",
    latency: Latency | None = None,
    partial: bool = False,
) -> RecordTurn:
    turn = Turn(
        number=number,
        who=Speaker.AGENT,
        text=text,
        started_ms=started_ms,
        ended_ms=ended_ms,
        interrupted=interrupted,
        unheard=unheard,
        latency=latency,
        partial=partial,
    )
    return RecordTurn(turn)


def caller_turn(
    number: int, text: str, started_ms: int, ended_ms: int, partial: bool = False
) -> RecordTurn:
    turn = Turn(
        number=number,
        who=Speaker.CALLER,
        text=text,
        started_ms=started_ms,
        ended_ms=ended_ms,
        partial=partial,
    )
    return RecordTurn(turn)


def revised(record: RecordTurn) -> ReviseTurn:
    return ReviseTurn(record.turn)
