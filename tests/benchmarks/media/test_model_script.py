"""The turns of the simulated model match the types of the official SDK."""

import base64
import json

import pytest

from benchmarks.media.model_script import SPEECH_MS, Kind, script
from benchmarks.media.sound import FORMATS
from phonebridge.settings import ModelAudio
from tests.support.realtime_oracle import check_server


@pytest.mark.parametrize("audio", ModelAudio)
def test_every_event_is_one_of_the_api_and_bears_its_turns_name(audio: ModelAudio) -> None:
    for scripted in script(audio):
        event = json.loads(scripted.named_payload(b"7_3"))
        check_server(event)
        assert "~" not in json.dumps(event)


@pytest.mark.parametrize("audio", ModelAudio)
def test_the_deltas_are_the_whole_speech_in_odd_pieces(audio: ModelAudio) -> None:
    events = [json.loads(scripted.payload) for scripted in script(audio)]
    pieces = [base64.b64decode(event["delta"]) for event in events if _is_audio(event["type"])]
    assert sum(map(len, pieces)) == SPEECH_MS * FORMATS[audio].bytes_per_ms
    assert all(len(piece) % (20 * FORMATS[audio].bytes_per_ms) for piece in pieces)


def test_one_event_begins_the_callers_turn_and_one_the_answer() -> None:
    kinds = [scripted.kind for scripted in script(ModelAudio.G711)]
    assert kinds.count(Kind.SPEECH_STARTED) == kinds.count(Kind.FIRST_AUDIO) == 1


def test_events_come_in_the_order_of_their_times() -> None:
    times = [scripted.at_ms for scripted in script(ModelAudio.G711)]
    assert times == sorted(times)


def _is_audio(event_type: str) -> bool:
    return event_type == "response.output_audio.delta"
