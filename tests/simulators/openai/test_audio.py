import numpy as np
import pytest

from simulators.audio.g711 import MU_LAW
from simulators.audio.speech import CLIPS, SpeechEnd, SpeechOnset, recognise
from simulators.openai.audio import InputAudio, bytes_per_ms, decode, encode, rate_hz
from simulators.openai.settings import SERVER_VAD, AudioFormat, Pcm, Pcma, Pcmu, SemanticVadSettings

BOOK = CLIPS["caller_book"]
every_format = pytest.mark.parametrize("audio_format", [Pcm(), Pcmu(), Pcma()], ids=repr)


def silence(ms: int) -> bytes:
    return MU_LAW.encode(np.zeros(ms * 8, np.int16))


@every_format
def test_what_it_speaks_it_understands(audio_format: AudioFormat) -> None:
    audio = encode(audio_format, BOOK)
    assert len(audio) == pytest.approx(BOOK.duration_ms * bytes_per_ms(audio_format), abs=4)
    assert recognise(decode(audio_format, audio), rate_hz(audio_format)).clip is BOOK


@every_format
def test_frames_may_split_a_sample(audio_format: AudioFormat) -> None:
    buffer = InputAudio(audio_format, None)
    audio = encode(audio_format, BOOK)
    for begin in range(0, len(audio), 333):
        buffer.append(audio[begin : begin + 333])
    assert buffer.buffered_ms == pytest.approx(BOOK.duration_ms, abs=1)
    utterance = buffer.take()
    assert recognise(utterance.samples, utterance.rate_hz).clip is BOOK
    assert buffer.buffered_ms == 0


def test_long_silence_is_forgotten_but_the_clock_goes_on() -> None:
    buffer = InputAudio(Pcmu(), SERVER_VAD)
    for _ in range(500):
        assert buffer.append(silence(20)) == []
    assert buffer.now_ms == 10_000
    assert buffer.buffered_ms <= 2_100


def test_the_clock_survives_a_change_of_settings() -> None:
    buffer = InputAudio(Pcmu(), None)
    buffer.append(silence(3000))
    buffer.configure(Pcmu(), SemanticVadSettings("high", True, True))
    started, stopped = buffer.append(encode(Pcmu(), BOOK) + silence(900))
    assert isinstance(started, SpeechOnset)
    assert isinstance(stopped, SpeechEnd)
    assert started.at_ms == 3000
    assert stopped.at_ms == pytest.approx(3000 + BOOK.duration_ms + 500, abs=100)
