"""Speech through the container's audio path: nothing is added, lost or moved."""

import numpy as np
import pytest

from benchmarks.accuracy.audio_path import (
    Condition,
    LossyLine,
    Mode,
    caller_to_model,
    model_to_caller,
)
from media_bridge.audio.codecs import Codec
from media_bridge.audio.converters import ModelToTelephone, TelephoneToModel
from phonebridge.settings import ModelAudio

FRAME = 160
SPEECH = np.random.default_rng(1).bytes(100 * FRAME)
G711 = Mode(Codec.PCMU, ModelAudio.G711)
PCM = Mode(Codec.PCMA, ModelAudio.PCM24K)
CLEAN = LossyLine(Condition(), 0)


def test_a_clean_line_is_passed_through() -> None:
    assert caller_to_model(G711, CLEAN.arrivals(Codec.PCMU, SPEECH)) == SPEECH
    assert CLEAN.ideal(Codec.PCMU, SPEECH) == SPEECH


def test_pcm_is_made_for_the_model_of_all_but_what_the_filter_holds() -> None:
    heard = caller_to_model(PCM, CLEAN.arrivals(Codec.PCMA, SPEECH))
    assert heard == TelephoneToModel(Codec.PCMA).feed(SPEECH)


@pytest.mark.parametrize(
    "condition",
    [Condition(lost=0.05), Condition(reordered=0.05), Condition(lost=0.2, reordered=0.2)],
)
def test_what_comes_is_heard_in_its_place_however_late(condition: Condition) -> None:
    line = LossyLine(condition, seed=2)
    arrivals = line.arrivals(Codec.PCMU, SPEECH)
    ideal, heard = line.ideal(Codec.PCMU, SPEECH), caller_to_model(G711, arrivals)
    assert len(heard) == max(arrival.chunk for arrival in arrivals) * FRAME
    came = {arrival.chunk for arrival in arrivals}
    for chunk in range(1, 101):
        place = slice((chunk - 1) * FRAME, chunk * FRAME)
        if chunk in came:
            assert heard[place] == ideal[place] == SPEECH[place]
        else:
            assert ideal[place] == Codec.PCMU.silence * FRAME


def test_a_line_reorders_and_loses_as_much_as_it_says() -> None:
    long = SPEECH * 20
    chunks = [each.chunk for each in LossyLine(Condition(0.05, 0.05), 3).arrivals(Codec.PCMU, long)]
    assert 0.93 <= len(chunks) / 2000 <= 0.97
    assert 0.03 <= np.mean(np.diff(chunks) < 0) <= 0.07


def test_the_same_seed_loses_the_same_frames_of_every_codec() -> None:
    line = LossyLine(Condition(0.1, 0.1), 4)
    narrow, wide = line.arrivals(Codec.PCMU, SPEECH), line.arrivals(Codec.L16, SPEECH * 4)
    assert [each.chunk for each in narrow] == [each.chunk for each in wide]


def test_the_caller_hears_all_that_the_model_said_at_once() -> None:
    assert model_to_caller(G711, SPEECH) == SPEECH
    converter = ModelToTelephone(Codec.PCMA)
    expected = converter.feed(SPEECH) + converter.flush()
    assert model_to_caller(PCM, SPEECH).rstrip(Codec.PCMA.silence) == expected.rstrip(
        Codec.PCMA.silence
    )
