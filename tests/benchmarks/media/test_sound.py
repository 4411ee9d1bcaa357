"""Where a sound begins, and what that says about delays and losses."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.media.sound import (
    FORMATS,
    Onsets,
    agent_speech,
    caller_frame,
    onset_in_g711,
    onset_in_pcm24k,
)
from media_bridge.audio.codecs import Codec
from media_bridge.audio.converters import TelephoneToModel
from phonebridge.settings import ModelAudio

SILENT_FRAME = caller_frame(None)
LOUD_FRAME = caller_frame(0.0)


@given(st.integers(0, 159))
def test_the_onset_in_a_callers_frame_is_found_to_the_sample(sample: int) -> None:
    assert onset_in_g711(caller_frame(sample / 8)) == sample / 8


def test_silence_has_no_onset() -> None:
    assert onset_in_g711(SILENT_FRAME) is None
    assert onset_in_pcm24k(bytes(960)) is None


@pytest.mark.parametrize("audio", ModelAudio)
def test_the_agents_speech_is_loud_from_its_first_sample(audio: ModelAudio) -> None:
    speech = agent_speech(audio, 40)
    assert len(speech) == 40 * FORMATS[audio].bytes_per_ms
    assert FORMATS[audio].onset(speech) == 0.0


@pytest.mark.parametrize("onset_ms", [1.0, 10.0, 19.5])
def test_a_filters_delay_counts_wherever_in_its_frame_the_sound_begins(onset_ms: float) -> None:
    caller_audio, onsets = TelephoneToModel(Codec.PCMU), Onsets(FORMATS[ModelAudio.PCM24K])
    onsets.sent(1.0, onset_ms, 20.0)
    frames = (SILENT_FRAME, caller_frame(onset_ms), LOUD_FRAME)
    arrivals = (0.98, 1.0, 1.02)
    found = [
        onsets.received(b64encode(caller_audio.feed(frame)), at)
        for frame, at in zip(frames, arrivals, strict=True)
    ]
    heard = next(each for each in found if each)
    assert heard.delay_ms == pytest.approx(2.0, abs=0.1)


def test_what_is_gathered_before_it_is_sent_counts_in_full() -> None:
    onsets = Onsets(FORMATS[ModelAudio.G711])
    onsets.sent(1.0, 5.0, 0.0)
    found = onsets.received(b64encode(caller_frame(5.0) + LOUD_FRAME + SILENT_FRAME * 3), 1.08)
    assert found
    assert found.delay_ms == pytest.approx(80.0)


def test_a_lost_frame_shows_as_a_slip_between_two_sounds() -> None:
    onsets = Onsets(FORMATS[ModelAudio.G711])
    onsets.sent(1.0, 0.0, 0.0)
    first = onsets.received(b64encode(LOUD_FRAME), 1.0)
    onsets.received(b64encode(SILENT_FRAME * 3), 1.1)
    onsets.sent(1.2, 0.0, 100.0)
    second = onsets.received(b64encode(LOUD_FRAME), 1.2)
    assert first
    assert second
    assert first.slip_ms - second.slip_ms == 20.0


def test_the_rest_of_a_sound_is_not_the_next_one() -> None:
    onsets = Onsets(FORMATS[ModelAudio.G711])
    onsets.sent(1.0, 0.0, 0.0)
    assert onsets.received(b64encode(LOUD_FRAME), 1.0)
    assert onsets.sent(1.01, 0.0, 20.0)
    assert onsets.received(b64encode(LOUD_FRAME), 1.02) is None


def test_a_sound_that_nobody_heard_is_told_when_the_next_is_sent() -> None:
    onsets = Onsets(FORMATS[ModelAudio.G711])
    assert onsets.sent(1.0, 0.0, 0.0)
    assert not onsets.sent(1.5, 0.0, 500.0)
