"""Transcripts on the wire, of both sides."""

import json
from typing import Any

import pytest

from media_bridge import events
from media_bridge.openai import realtime, transcripts
from media_bridge.openai.protocol import RealtimeProtocol
from phonebridge.call.config import CallConfig
from phonebridge.call.usage import Usage
from tests.support.media_plane import settings

TRANSCRIPTION = "conversation.item.input_audio_transcription"


def event_of(kind: str, **fields: Any) -> events.ModelEvent | None:
    protocol = RealtimeProtocol(CallConfig(), settings(), "gpt-realtime-2.1-mini")
    return protocol.decode(json.dumps({"type": kind, "event_id": "event_1"} | fields))


def message(role: str, **part: Any) -> dict[str, Any]:
    return {"id": "i", "type": "message", "role": role, "content": [part]}


def test_the_callers_words_come_in_pieces_and_then_as_a_whole() -> None:
    assert event_of("input_audio_buffer.committed", item_id="i", previous_item_id=None) == (
        events.CallerAudioCommitted("i")
    )
    assert event_of(f"{TRANSCRIPTION}.delta", item_id="i", content_index=None, delta="H") == (
        events.CallerTranscriptReceived("i", "H")
    )
    usage = {"type": "tokens", "input_tokens": 16, "output_tokens": 8}
    assert event_of(f"{TRANSCRIPTION}.completed", item_id="i", transcript="Hi", usage=usage) == (
        events.CallerTranscribed("i", "Hi", Usage(transcribed_input=16, transcribed_output=8))
    )


@pytest.mark.parametrize(
    ("outcome", "fields"),
    [
        ("failed", {"error": {"code": "audio_unintelligible"}}),
        ("failed", {"error": None}),
        ("completed", {"transcript": None}),
        ("completed", {"transcript": 7, "usage": "none"}),
    ],
)
def test_a_transcript_that_was_not_made_is_an_empty_one(
    outcome: str, fields: dict[str, Any]
) -> None:
    event = event_of(f"{TRANSCRIPTION}.{outcome}", item_id="i", **fields)
    assert event == events.CallerTranscribed("i", "")


def test_the_agents_words_come_in_pieces_and_as_the_transcript_of_a_part() -> None:
    part = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 1}
    assert event_of("response.output_audio_transcript.delta", **part, delta="Hi") == (
        events.TranscriptReceived("r", "i", "Hi", 1)
    )
    assert event_of("response.output_audio_transcript.done", **part, transcript="Hi") == (
        events.TranscriptFinished("r", "i", "Hi", 1)
    )


def test_an_item_of_the_agent_tells_all_its_words_when_it_is_done() -> None:
    item = message("assistant", type="output_audio", transcript="Hi")
    words = events.TranscriptFinished("r", "i", "Hi")
    assert event_of("response.output_item.done", response_id="r", item=item) == words
    assert event_of("response.output_item.added", response_id="r", item=item) == (
        events.ResponseProgressed("r")
    )
    silent = message("assistant", type="output_text", text="Hi")
    assert event_of("response.output_item.done", response_id="r", item=silent) == (
        events.ResponseProgressed("r")
    )


def test_a_response_tells_the_words_of_its_items_once_more() -> None:
    item = message("assistant", type="output_audio", transcript="Hi")
    output = [7, {"type": "function_call"}, item]
    event = event_of("response.done", response={"id": "r", "output": output})
    assert isinstance(event, events.ResponseEnded)
    assert event.transcripts == (events.TranscriptFinished("r", "i", "Hi"),)


def test_an_item_of_the_caller_may_tell_the_transcript() -> None:
    heard = message("user", type="input_audio", transcript="Hi")
    unknown = message("user", type="input_audio", transcript=None)
    assert event_of("conversation.item.done", item=heard) == events.CallerTranscribed("i", "Hi")
    assert event_of("conversation.item.done", item=unknown) is None


@pytest.mark.parametrize("seconds", ["1e308", "1e40", "-5"])
def test_a_time_that_no_speech_can_have_is_not_counted(seconds: str) -> None:
    text = '{"type":"conversation.item.input_audio_transcription.completed","item_id":"i",'
    text += f'"transcript":"Hi","usage":{{"seconds":{seconds},"input_tokens":7}}}}'
    event = realtime.decode(text)
    assert isinstance(event, transcripts.TranscriptionCompleted)
    heard = transcripts.to_event(event, "")
    assert heard == events.CallerTranscribed("i", "Hi", Usage(transcribed_input=7))
