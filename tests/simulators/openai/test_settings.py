from typing import Any

import msgspec

from simulators.openai.settings import (
    DEFAULTS,
    SERVER_VAD,
    ActiveSettings,
    Pcm,
    Pcmu,
    SemanticVadSettings,
    SessionSettings,
    default_formats,
)

DEFAULT = ActiveSettings(DEFAULTS)


def update(active: ActiveSettings, **session: Any) -> ActiveSettings:
    update = {"type": "realtime"} | session
    return active.merge(msgspec.convert(update, SessionSettings))


def vad(**settings: Any) -> dict[str, Any]:
    return {"input": {"turn_detection": {"type": "server_vad"} | settings}}


def test_what_is_left_out_stays_as_it_was() -> None:
    first = update(DEFAULT, instructions="Be brief.", audio={"output": {"voice": "marin"}})
    second = update(first, audio={"input": {"format": {"type": "audio/pcmu"}}})
    assert second.settings.instructions == "Be brief."
    assert second.voice == "marin"
    assert (second.input_format, second.output_format) == (Pcmu(), Pcm())
    assert second.turn_detection == SERVER_VAD


def test_turn_detection_is_changed_in_part_and_replaced_by_kind() -> None:
    patient = update(DEFAULT, audio=vad(silence_duration_ms=900))
    patient_and_keen = update(patient, audio=vad(threshold=0.3))
    assert patient_and_keen.turn_detection == msgspec.structs.replace(
        SERVER_VAD, silence_duration_ms=900, threshold=0.3
    )
    semantic = update(patient, audio={"input": {"turn_detection": {"type": "semantic_vad"}}})
    assert semantic.turn_detection == SemanticVadSettings("auto", True, True)
    assert update(semantic, audio=vad()).turn_detection == SERVER_VAD


def test_null_turns_off_or_returns_to_the_default() -> None:
    manual = update(DEFAULT, audio={"input": {"turn_detection": None}})
    assert manual.turn_detection is None
    idle = update(DEFAULT, audio=vad(idle_timeout_ms=6000))
    assert update(idle, audio=vad(idle_timeout_ms=None)).turn_detection == SERVER_VAD
    transcribed = update(DEFAULT, audio={"input": {"transcription": {"model": "gpt-transcribe"}}})
    assert update(transcribed, audio={"input": {"transcription": None}}).input == DEFAULT.input
    spoken = update(DEFAULT, instructions="Be brief.")
    assert update(spoken, instructions=None).settings == DEFAULTS


def test_tools_are_replaced_and_cleared_as_a_whole() -> None:
    one = update(DEFAULT, tools=[{"type": "function", "name": "end_call"}])
    two = update(one, tools=[{"type": "function", "name": "transfer"}])
    assert (one.tool_names, two.tool_names) == ({"end_call"}, {"transfer"})
    assert update(two, tools=[]).tool_names == set()


def test_formats_can_be_forced_back() -> None:
    asked = update(DEFAULT, audio={"output": {"format": {"type": "audio/pcma"}, "voice": "cedar"}})
    forced = default_formats(asked)
    assert (forced.output_format, forced.voice) == (Pcm(), "cedar")
