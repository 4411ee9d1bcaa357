"""The wire of the model: what we send is valid by the official SDK, what comes is understood."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_bridge.openai import realtime
from media_bridge.openai.realtime import MalformedEvent, UnknownEvent
from media_bridge.openai.transcripts import OutputAudioTranscriptDelta
from tests.support.realtime_oracle import check_client

AUDIO = bytes(range(200)) * 3


def server_event(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, "event_id": "event_1"} | fields)


@given(st.binary())
def test_caller_audio_is_a_valid_append(audio: bytes) -> None:
    frame = json.loads(realtime.encode_append(audio))
    check_client(frame)
    assert base64.b64decode(frame["audio"]) == audio


@pytest.mark.parametrize(
    "event",
    [
        realtime.ItemTruncate("item_1", 0, 480, "truncate-item_1"),
        realtime.ResponseCreate(),
        realtime.ResponseCreate(realtime.ResponseSettings("Say hello.")),
        realtime.ResponseCancel("resp_1", "cancel-resp_1"),
    ],
)
def test_client_events_are_valid(event: realtime.ClientEvent) -> None:
    check_client(json.loads(realtime.encode(event)))


def test_audio_comes_as_bytes() -> None:
    delta = server_event(
        "response.output_audio.delta",
        response_id="resp_1",
        item_id="item_1",
        output_index=0,
        content_index=0,
        delta=base64.b64encode(AUDIO).decode(),
    )
    assert realtime.decode(delta) == realtime.OutputAudioDelta(AUDIO, "resp_1", "item_1", 0)
    assert realtime.decode(memoryview(delta.encode())) == realtime.decode(delta)


def test_unknown_fields_are_tolerated() -> None:
    started = server_event(
        "input_audio_buffer.speech_started", item_id="item_1", audio_start_ms=3, phase="commentary"
    )
    assert realtime.decode(started) == realtime.SpeechStarted("item_1", 3)


@pytest.mark.parametrize(
    "kind", ["rate_limits.updated", "conversation.item.retrieved", "what.is.this"]
)
def test_events_that_are_not_needed_are_unknown(kind: str) -> None:
    assert realtime.decode(server_event(kind, anything=[1, {"a": None}])) == UnknownEvent(kind)


TOO_DEEP = '{"type": "what.is.this", "deep": ' + "[" * 100_000


@pytest.mark.parametrize(
    "noise",
    [
        *("", "nonsense", "[]", "{}", "null", '{"type": 7}', b"\xff"),
        pytest.param(TOO_DEEP, id="too deep"),
    ],
)
def test_what_is_no_event_is_told(noise: str | bytes) -> None:
    with pytest.raises(MalformedEvent):
        realtime.decode(noise)
    with pytest.raises(MalformedEvent) as told:
        realtime.repair(noise)
    assert told.value.event_type == ""


@pytest.mark.parametrize(
    "useless",
    [
        server_event("response.output_audio.delta", response_id="r", item_id="i", delta="%%%"),
        server_event("response.output_audio.delta", response_id="r", item_id="i", delta=None),
        server_event("response.output_audio.delta", response_id="r", item_id="i"),
        server_event("response.output_audio_transcript.delta", item_id="i", delta=["Hi"]),
        server_event("response.function_call_arguments.done", call_id=None, arguments="{}"),
        server_event("response.mcp_call.completed", item_id=7),
    ],
)
def test_an_event_that_is_of_no_use_is_told_by_its_type(useless: str) -> None:
    kind = json.loads(useless)["type"]
    with pytest.raises(MalformedEvent):
        realtime.decode(useless)
    with pytest.raises(MalformedEvent, match=kind) as told:
        realtime.repair(useless)
    assert told.value.event_type == kind


def repair_event(kind: str, **fields: Any) -> tuple[object, list[str]]:
    text = server_event(kind, **fields)
    with pytest.raises(MalformedEvent):
        realtime.decode(text)
    return realtime.repair(text.encode())


STRANGE = [None, 7, -0.5, "strange", True, [], [7], {}, {"a": None}, float("nan"), 10**30, "\ud83d"]
"""Values of every type, with half of a surrogate pair, and numbers that JSON does not have."""


@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: st.sampled_from(STRANGE)
            for name in ("response_id", "item_id", "content_index", "output_index", "event_id")
        },
    )
)
def test_no_value_of_another_field_costs_the_agents_sound_or_words(strange: dict[str, Any]) -> None:
    delta = base64.b64encode(AUDIO).decode()
    kind = "response.output_audio.delta"
    sound, _ = realtime.repair(server_event(kind, **{"delta": delta} | strange))
    assert isinstance(sound, realtime.OutputAudioDelta)
    assert sound.delta == AUDIO
    kind = "response.output_audio_transcript.delta"
    words, _ = realtime.repair(server_event(kind, **{"delta": "Hi"} | strange))
    assert isinstance(words, OutputAudioTranscriptDelta)
    assert words.delta == "Hi"


def test_what_counts_as_absent_is_told() -> None:
    kind = "input_audio_buffer.speech_started"
    assert repair_event(kind, item_id=7, audio_start_ms="soon") == (
        realtime.SpeechStarted(),
        ["item_id", "audio_start_ms"],
    )


@pytest.mark.parametrize(
    ("session", "absent"),
    [
        (None, ["session"]),
        ({"audio": {"output": {"voice": 7}}}, ["session.audio.output.voice"]),
        (
            {"audio": {"output": {"voice": {"id": 7}}}},
            ["session.audio.output.voice.id", "session.audio.output.voice"],
        ),
        (
            {"audio": {"input": {"turn_detection": {"kind": "server_vad"}}}},
            ["session.audio.input.turn_detection"],
        ),
        ({"output_modalities": ["audio", 7]}, ["session.output_modalities[1]"]),
        ({"tools": [{"type": "function"}, {"name": 7}]}, ["session.tools[1].name"]),
    ],
)
def test_a_setting_that_cannot_be_read_is_one_that_the_server_does_not_tell(
    session: object, absent: list[str]
) -> None:
    event, told = repair_event("session.updated", session=session)
    assert isinstance(event, realtime.SessionUpdated)
    assert told == absent


def test_an_unknown_event_stays_unknown_however_strange_it_is() -> None:
    assert realtime.repair(server_event("what.is.this", text="\ud83d")) == (
        UnknownEvent("what.is.this"),
        [],
    )


@pytest.mark.parametrize(
    "details",
    [None, {"type": "cancelled", "reason": "turn_detected"}, "as some servers sent it"],
)
def test_status_details_may_be_anything(details: object) -> None:
    done = server_event(
        "response.done", response={"id": "r", "status": "failed", "status_details": details}
    )
    event = realtime.decode(done)
    assert isinstance(event, realtime.ResponseDone)
    assert json.loads(bytes(event.response.status_details)) == details
