"""Converters, whole streams through them."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from media_bridge.audio.codecs import LAWS, TELEPHONE_RATE_HZ, Codec, decode, encode
from media_bridge.audio.converters import ModelToTelephone, Muted, TelephoneToModel
from media_bridge.audio.resampler import Downsampler, Upsampler
from tests.media_bridge.audio.test_codecs import ALL_CODES
from tests.support.audio_streams import (
    CONVERTER_NAMES,
    CONVERTERS,
    Converter,
    convert,
    to_pcm,
    to_samples,
    tone,
)


@pytest.mark.parametrize("make", CONVERTERS, ids=CONVERTER_NAMES)
@given(audio=st.binary(max_size=1_500), cuts=st.lists(st.integers(0, 1_500), max_size=12))
@example(audio=bytes(range(100)), cuts=list(range(100)))
@settings(deadline=None)
def test_however_the_stream_is_cut_the_sound_is_the_same(
    make: Callable[[], Converter], audio: bytes, cuts: list[int]
) -> None:
    edges = [0, *sorted(cuts), len(audio)]
    chunks = [audio[start:end] for start, end in pairwise(edges)]
    assert convert(make(), *chunks) == convert(make(), audio)


@pytest.mark.parametrize("make", CONVERTERS, ids=CONVERTER_NAMES)
def test_after_a_flush_nothing_is_left_of_the_utterance(make: Callable[[], Converter]) -> None:
    converter = make()
    loud_and_ending_in_half_a_sample = to_pcm(tone(440, TELEPHONE_RATE_HZ)) + b"\x7f"
    convert(converter, loud_and_ending_in_half_a_sample)
    assert converter.flush() == b""
    assert convert(converter, ALL_CODES) == convert(make(), ALL_CODES)


@pytest.mark.parametrize("codec", LAWS)
def test_what_the_caller_said_comes_back_to_him_recognisable_and_in_time(codec: Codec) -> None:
    tones = [tone(frequency_hz, TELEPHONE_RATE_HZ) for frequency_hz in (310, 1_040, 2_570)]
    said = encode(codec, to_pcm(np.mean(tones, axis=0)))
    echoed = convert(ModelToTelephone(codec), convert(TelephoneToModel(codec), said))
    signal = to_samples(decode(codec, said))
    noise = to_samples(decode(codec, echoed)) - signal
    assert 10 * np.log10(np.mean(signal**2) / np.mean(noise**2)) >= 25


@pytest.mark.parametrize("codec", LAWS)
def test_silence_stays_silence(codec: Codec) -> None:
    assert convert(ModelToTelephone(codec), bytes(960)) == codec.silence * 160
    assert convert(Downsampler(), bytes(960)) == bytes(320)
    assert convert(Upsampler(), bytes(320)) == bytes(960)


def test_the_model_hears_a_silent_telephone_as_the_codec_has_it() -> None:
    """A-law has no zero: its silence is a constant 8 of 32768."""
    heard = {codec: convert(TelephoneToModel(codec), codec.silence * 160) for codec in LAWS}
    assert heard[Codec.PCMU] == bytes(960)
    assert np.abs(to_samples(heard[Codec.PCMA])).max() <= 9


@pytest.mark.parametrize("codec", LAWS)
def test_a_muted_caller_is_replaced_by_as_much_silence(codec: Codec) -> None:
    loud = encode(codec, to_pcm(tone(440, TELEPHONE_RATE_HZ)))
    muted = convert(Muted(codec.silence, TelephoneToModel(codec)), loud)
    assert muted == convert(TelephoneToModel(codec), codec.silence * len(loud))
