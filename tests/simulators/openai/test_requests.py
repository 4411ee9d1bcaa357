from typing import Any

import pytest
from msgspec import structs

from simulators.openai.requests import Refusal, SessionUpdateEvent, check_update, parse, understand
from simulators.openai.settings import DEFAULTS, ActiveSettings


def update(session: dict[str, Any], model: str, spoken: bool) -> None:
    request = understand({"type": "session.update", "session": session})
    assert isinstance(request, SessionUpdateEvent)
    active = ActiveSettings(structs.replace(DEFAULTS, model=model))
    check_update(request.session, active, spoken)


def refusal_of(
    session: dict[str, Any], *, model: str = "gpt-realtime-2.1", spoken: bool = False
) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        update(session, model, spoken)
    return refusal.value


def realtime(**session: Any) -> dict[str, Any]:
    return {"type": "realtime"} | session


def audio_input(**settings: Any) -> dict[str, Any]:
    return realtime(audio={"input": settings})


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({"instructions": "Hello"}, "missing_required_parameter", "session.type"),
        (realtime(temperature=0.8), "unknown_parameter", "session.temperature"),
        (realtime(modalities=["audio"]), "unknown_parameter", "session.modalities"),
        (realtime(voice="alloy"), "unknown_parameter", "session.voice"),
        (
            audio_input(format={"type": "audio/pcm", "rate": 16000}),
            "integer_below_min_value",
            "session.audio.input.format.rate",
        ),
        (audio_input(format="g711_ulaw"), "invalid_type", "session.audio.input.format"),
        (
            audio_input(format={"type": "g711_ulaw"}),
            "invalid_value",
            "session.audio.input.format.type",
        ),
        (
            audio_input(format={"type": "audio/pcmu", "rate": 8000}),
            "unknown_parameter",
            "session.audio.input.format.rate",
        ),
        (
            audio_input(turn_detection={"type": "semantic_vad", "threshold": 0.5}),
            "unknown_parameter",
            "session.audio.input.turn_detection.threshold",
        ),
        (
            audio_input(turn_detection={"type": "server_vad", "idle_timeout_ms": 1000}),
            "integer_below_min_value",
            "session.audio.input.turn_detection.idle_timeout_ms",
        ),
        (
            audio_input(turn_detection={"type": "server_vad", "threshold": 1.5}),
            "decimal_above_max_value",
            "session.audio.input.turn_detection.threshold",
        ),
        (
            realtime(audio={"output": {"voice": "fable"}}),
            "invalid_value",
            "session.audio.output.voice",
        ),
        (
            realtime(audio={"output": {"speed": 0.1}}),
            "decimal_below_min_value",
            "session.audio.output.speed",
        ),
        (realtime(max_output_tokens=5000), "integer_above_max_value", "session.max_output_tokens"),
        (realtime(instructions=7), "invalid_type", "session.instructions"),
        (
            realtime(output_modalities=["audio", "text"]),
            "invalid_value",
            "session.output_modalities",
        ),
        (
            realtime(tools=[{"type": "function", "function": {"name": "nested"}}]),
            "missing_required_parameter",
            "session.tools[0].name",
        ),
        (realtime(model="gpt-realtime-1.5"), "invalid_value", "session.model"),
    ],
)
def test_an_update_is_refused_by_the_path_of_its_fault(
    session: dict[str, Any], code: str, param: str
) -> None:
    refusal = refusal_of(session)
    assert (refusal.type, refusal.code, refusal.param) == ("invalid_request_error", code, param)
    assert param in refusal.message or code in ("invalid_value", "invalid_type")


def test_the_voice_is_locked_once_it_was_heard() -> None:
    session = realtime(audio={"output": {"voice": "marin"}})
    assert refusal_of(session, spoken=True).code == "cannot_update_voice"
    update(session, "gpt-realtime-2.1", spoken=False)


@pytest.mark.parametrize(
    ("model", "fields", "refused_field"),
    [
        ("gpt-transcribe", {"keywords": ["Ada"], "prompt": "Names.", "language": "en"}, None),
        ("gpt-live-transcribe", {"languages": ["en", "de"]}, None),
        ("whisper-1", {"keywords": ["Ada"]}, "keywords"),
        ("gpt-realtime-whisper", {"prompt": "Names."}, "prompt"),
        ("gpt-transcribe", {"delay": "low"}, "delay"),
    ],
)
def test_a_transcription_model_takes_its_own_fields_only(
    model: str, fields: dict[str, Any], refused_field: str | None
) -> None:
    session = audio_input(transcription={"model": model} | fields)
    if refused_field is None:
        update(session, "gpt-realtime-2.1", spoken=False)
    else:
        param = f"session.audio.input.transcription.{refused_field}"
        assert refusal_of(session).param == param


def test_reasoning_needs_a_reasoning_model() -> None:
    session = realtime(reasoning={"effort": "low"})
    assert refusal_of(session, model="gpt-realtime-1.5").param == "session.reasoning"
    update(session, "gpt-realtime-2.1", spoken=False)


def test_an_unknown_type_is_answered_by_the_list_of_known_ones() -> None:
    with pytest.raises(Refusal) as refusal:
        understand({"type": "response.delete"})
    assert refusal.value.param == "type"
    assert "'session.update', 'session.close'" in refusal.value.message


def test_what_is_no_json_object_is_told_so() -> None:
    for frame, code in (("[1", "invalid_json"), ("3", "invalid_json"), (b"{}", "invalid_event")):
        with pytest.raises(Refusal) as refusal:
            parse(frame)
        assert refusal.value.code == code
