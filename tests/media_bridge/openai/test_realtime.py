"""The wire of the model: what we send is valid by the official SDK, what comes is understood."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_bridge.openai import realtime
from media_bridge.openai.realtime import MalformedEvent, Unknown
from support.realtime_oracle import check_client

AUDIO = bytes(range(200)) * 3


def server_event(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, "event_id": "event_1", **fields})


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
    assert realtime.decode(delta) == realtime.OutputAudioDelta("resp_1", "item_1", AUDIO, 0)
    assert realtime.decode(memoryview(delta.encode())) == realtime.decode(delta)


def test_unknown_fields_are_tolerated() -> None:
    started = server_event(
        "input_audio_buffer.speech_started", item_id="item_1", audio_start_ms=3, phase="commentary"
    )
    assert realtime.decode(started) == realtime.SpeechStarted("item_1", 3)


@pytest.mark.parametrize("kind", ["rate_limits.updated", "conversation.item.done", "what.is.this"])
def test_events_that_are_not_needed_are_unknown(kind: str) -> None:
    assert realtime.decode(server_event(kind, anything=[1, {"a": None}])) == Unknown(kind)


TOO_DEEP = '{"type": "what.is.this", "deep": ' + "[" * 100_000


@pytest.mark.parametrize(
    "noise",
    [
        *("", "nonsense", "[]", "{}", '{"type": 7}', b"\xff", b'{"type": "\xff"}'),
        pytest.param(TOO_DEEP, id="too deep"),
    ],
)
def test_what_is_no_event_is_told(noise: str | bytes) -> None:
    with pytest.raises(MalformedEvent):
        realtime.decode(noise)


@pytest.mark.parametrize(
    "broken",
    [
        server_event("response.output_audio.delta", response_id="r", item_id="i", delta="%%%"),
        server_event("response.output_audio.delta", response_id="r", item_id="i"),
        server_event("response.done", response={"status": "completed"}),
        server_event("input_audio_buffer.speech_started", item_id=None),
    ],
)
def test_an_event_that_lacks_what_its_type_has_is_malformed(broken: str) -> None:
    with pytest.raises(MalformedEvent, match=json.loads(broken)["type"]):
        realtime.decode(broken)


def test_text_that_is_no_utf_8_is_malformed() -> None:
    words = server_event(
        "response.output_audio_transcript.delta", response_id="r", item_id="i", delta="caf?"
    )
    with pytest.raises(MalformedEvent, match="response.output_audio_transcript.delta"):
        realtime.decode(words.encode().replace(b"?", b"\xe9"))


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
