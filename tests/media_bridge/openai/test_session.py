"""A call's settings as a session, and the session in force held against them."""

import json
from itertools import product

import msgspec
import pytest

from media_bridge.audio.codecs import Codec
from media_bridge.commands import CreateResponse
from media_bridge.openai import realtime, session
from phonebridge.call.config import CallConfig, Transcription, TurnDetection
from phonebridge.settings import ModelAudio
from tests.support.realtime_oracle import check_client

UNTOLD = {"type": "server_vad"}
SEMANTIC = TurnDetection(type="semantic_vad", eagerness="low")
CONFIGS = [
    CallConfig(),
    CallConfig(
        instructions="You are a dentist's receptionist.",
        voice="cedar",
        language="de",
        turn_detection=TurnDetection(threshold=0.7, prefix_padding_ms=100, silence_duration_ms=800),
    ),
    CallConfig(turn_detection=SEMANTIC),
    CallConfig(
        voice="voice_1234",
        speed=1.25,
        noise_reduction="far_field",
        noise_reduction_strength=0.5,
        transcription=Transcription("gpt-live-transcribe", keywords=("Telnyx", "Ada")),
        reasoning_effort="low",
        max_output_tokens=1000,
        turn_detection=TurnDetection(
            idle_timeout_ms=6000, create_response=False, interrupt_response=False
        ),
    ),
    CallConfig(noise_reduction=None, transcription=Transcription("whisper-1", prompt="Names.")),
]


def requested_session(
    config: CallConfig = CONFIGS[0], audio: ModelAudio = ModelAudio.PCM24K
) -> realtime.Session:
    return session.session_settings(config, context_of(audio))


def context_of(
    audio: ModelAudio = ModelAudio.PCM24K, model: str = "gpt-realtime-2.1-mini"
) -> session.SessionContext:
    return session.SessionContext(model, audio, Codec.PCMA, Codec.PCMU)


def session_with(**replacements: object) -> realtime.Session:
    """Return the requested session with one place changed: `audio__output__voice="ash"`."""
    plain = msgspec.to_builtins(requested_session())
    for path, value in replacements.items():
        *places, last = path.split("__")
        spot = plain
        for place in places:
            spot = spot[place]
        spot[last] = value
    return msgspec.convert(plain, realtime.Session)


@pytest.mark.parametrize(("config", "audio"), list(product(CONFIGS, ModelAudio)))
def test_the_update_is_valid_by_the_official_sdk(config: CallConfig, audio: ModelAudio) -> None:
    check_client(
        json.loads(realtime.encode(realtime.SessionUpdate(requested_session(config, audio))))
    )


def test_g711_is_asked_for_in_the_law_of_each_direction() -> None:
    settings = json.loads(msgspec.json.encode(requested_session(audio=ModelAudio.G711)))["audio"]
    assert settings["input"]["format"] == {"type": "audio/pcma"}
    assert settings["output"]["format"] == {"type": "audio/pcmu"}


def test_pcm_is_asked_for_at_24_khz() -> None:
    settings = json.loads(msgspec.json.encode(requested_session()))["audio"]
    for side in ("input", "output"):
        assert settings[side]["format"] == {"type": "audio/pcm", "rate": 24000}


def test_every_field_of_the_detector_is_sent_for_nobody_agrees_on_the_defaults() -> None:
    detector = msgspec.to_builtins(requested_session(CONFIGS[1]))["audio"]["input"][
        "turn_detection"
    ]
    assert detector == {
        "type": "server_vad",
        "threshold": 0.7,
        "prefix_padding_ms": 100,
        "silence_duration_ms": 800,
        "create_response": True,
        "interrupt_response": False,
    }


def test_the_semantic_detector_has_no_thresholds() -> None:
    detector = msgspec.to_builtins(requested_session(CONFIGS[2]))["audio"]["input"][
        "turn_detection"
    ]
    assert detector == {
        "type": "semantic_vad",
        "eagerness": "low",
        "create_response": True,
        "interrupt_response": False,
    }


def test_what_a_call_chooses_is_told() -> None:
    settings = json.loads(msgspec.json.encode(requested_session(CONFIGS[3])))
    heard, spoken = settings["audio"]["input"], settings["audio"]["output"]
    assert heard["noise_reduction"] == {"type": "far_field", "strength": 0.5}
    assert heard["transcription"] == {
        "model": "gpt-live-transcribe",
        "keywords": ["Telnyx", "Ada"],
    }
    assert heard["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "idle_timeout_ms": 6000,
        "create_response": False,
        "interrupt_response": False,
    }
    assert (spoken["voice"], spoken["speed"]) == ({"id": "voice_1234"}, 1.25)
    assert settings["reasoning"] == {"effort": "low"}
    assert settings["max_output_tokens"] == 1000


def test_what_a_call_does_not_choose_is_left_to_the_server() -> None:
    settings = json.loads(msgspec.json.encode(requested_session()))
    assert not settings.keys() & {"reasoning", "max_output_tokens", "model"}
    assert settings["audio"]["output"].keys() == {"format", "voice"}
    assert settings["audio"]["input"]["transcription"] == {"model": "gpt-transcribe"}


def test_no_noise_reduction_is_told_as_null() -> None:
    settings = json.loads(msgspec.json.encode(requested_session(CONFIGS[4])))
    assert settings["audio"]["input"]["noise_reduction"] is None


def test_the_transcription_is_told_the_language_alone() -> None:
    settings = json.loads(msgspec.json.encode(requested_session(CallConfig(language="de-CH"))))
    assert settings["audio"]["input"]["transcription"]["language"] == "de"


@pytest.mark.parametrize(
    ("model", "thinks"),
    [
        ("gpt-realtime-2", True),
        ("gpt-realtime-2.1-mini", True),
        ("our-deployment", True),
        ("gpt-realtime-1.5", False),
        ("gpt-realtime-mini-2025-12-15", False),
        ("gpt-realtime", False),
        ("gpt-realtime-2025-08-28", False),
    ],
)
def test_how_hard_to_think_is_told_only_to_a_model_that_thinks(model: str, thinks: bool) -> None:
    told = session.session_settings(CONFIGS[3], context_of(model=model))
    assert (told.reasoning is not msgspec.UNSET) == thinks


def test_a_session_in_force_as_asked_is_agreed() -> None:
    assert session.mismatch(requested_session(), requested_session()) is None


def test_what_a_server_does_not_echo_is_taken_as_agreed() -> None:
    assert session.mismatch(requested_session(), realtime.Session()) is None
    assert session.mismatch(requested_session(), realtime.Session(audio=realtime.Audio())) is None
    bare_pcm = session_with(audio__output__format={"type": "audio/pcm"})
    assert session.mismatch(requested_session(), bare_pcm) is None


def test_the_one_rate_of_g711_may_be_told() -> None:
    g711 = requested_session(audio=ModelAudio.G711)
    output = realtime.AudioOutput(realtime.AudioFormat("audio/pcmu", 8000))
    in_force = realtime.Session(audio=realtime.Audio(output=output))
    assert session.mismatch(g711, in_force) is None


@pytest.mark.parametrize(
    ("in_force", "named"),
    [
        (session_with(instructions="You are a pirate."), "instructions"),
        (session_with(output_modalities=["text"]), "output_modalities"),
        (session_with(audio__input__format={"type": "audio/pcmu"}), "audio.input.format"),
        (
            session_with(audio__output__format={"type": "audio/pcm", "rate": 16000}),
            "audio.output.format.rate",
        ),
        (session_with(audio__output__voice="alloy"), "audio.output.voice"),
        (
            session_with(audio__input__turn_detection={"type": "semantic_vad"}),
            "audio.input.turn_detection.type",
        ),
        (session_with(audio__input__turn_detection=None), "audio.input.turn_detection.type"),
    ],
)
def test_each_difference_is_named(in_force: realtime.Session, named: str) -> None:
    assert session.mismatch(requested_session(), in_force) == f"session.updated differs in {named}"


def test_a_voice_told_by_its_id_is_not_compared() -> None:
    assert (
        session.mismatch(requested_session(), session_with(audio__output__voice={"id": "voice_1"}))
        is None
    )
    assert session.mismatch(requested_session(CONFIGS[3]), requested_session(CONFIGS[3])) is None
    by_name = session_with(audio__output__voice="voice_1234", audio__input__turn_detection=UNTOLD)
    assert session.mismatch(requested_session(CONFIGS[3]), by_name) is None


@pytest.mark.parametrize(
    "request_", [CreateResponse(exact_text="Hello."), CreateResponse(instructions="Hello.")]
)
def test_what_is_told_for_one_response_keeps_the_instructions_it_replaces(
    request_: CreateResponse,
) -> None:
    told = session.response_instructions(CallConfig(instructions="You are Ada."), request_)
    assert told is not None
    assert told.startswith("You are Ada.")
    assert told.endswith("Hello.")


def test_a_plain_response_is_told_nothing() -> None:
    assert session.response_instructions(CallConfig(), CreateResponse()) is None
