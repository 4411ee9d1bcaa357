"""Resampling loses no sample, and creates no audible image or alias."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media_bridge.audio.codecs import MODEL_RATE_HZ, TELEPHONE_RATE_HZ, WIDEBAND_RATE_HZ, Codec
from media_bridge.audio.converters import ModelToTelephone, TelephoneToModel
from media_bridge.audio.resampler import Downsampler, Upsampler
from tests.support.audio_streams import (
    BIN_HZ,
    RESAMPLERS,
    WIDE_DOWN,
    WIDE_UP,
    Converter,
    convert,
    spectrum_db,
    to_pcm,
    to_samples,
    tone,
)


@given(samples=st.integers(0, 2_000))
@settings(deadline=None)
def test_no_sample_is_lost_or_added(samples: int) -> None:
    assert len(convert(TelephoneToModel(Codec.PCMU), bytes(samples))) == 2 * 3 * samples
    assert len(convert(ModelToTelephone(Codec.PCMU), bytes(2 * samples))) == -(-samples // 3)


def test_no_more_than_two_milliseconds_are_held_back() -> None:
    up, down = TelephoneToModel(Codec.PCMU), ModelToTelephone(Codec.PCMU)
    up_bytes, down_bytes = len(up.feed(bytes(160))), len(down.feed(bytes(960)))
    assert (960 - up_bytes) / 2 / MODEL_RATE_HZ <= 0.002
    assert (160 - down_bytes) / TELEPHONE_RATE_HZ <= 0.002


@given(sizes=st.lists(st.integers(0, 400), max_size=12))
@settings(deadline=None)
def test_pieces_that_are_no_whole_frames_are_delayed_by_less_than_a_millisecond_more(
    sizes: list[int],
) -> None:
    up, down = TelephoneToModel(Codec.PCMU), ModelToTelephone(Codec.PCMU)
    up_bytes = sum(len(up.feed(bytes(size))) for size in sizes)
    down_bytes = sum(len(down.feed(bytes(2 * size))) for size in sizes)
    assert sum(sizes) / TELEPHONE_RATE_HZ - up_bytes / 2 / MODEL_RATE_HZ < 0.003
    assert sum(sizes) / MODEL_RATE_HZ - down_bytes / TELEPHONE_RATE_HZ < 0.003


def test_a_click_stays_where_it_was_and_spreads_evenly() -> None:
    click_at = 100
    click = np.zeros(200)
    click[click_at] = 10_000
    tripled = to_samples(convert(Upsampler(), to_pcm(click)))
    around = tripled[3 * click_at - 60 : 3 * click_at + 61]
    assert tripled.argmax() == 3 * click_at
    assert around.tolist() == around[::-1].tolist()
    assert to_samples(convert(Downsampler(), to_pcm(tripled))).argmax() == click_at


@pytest.mark.parametrize(
    ("make", "source_hz", "target_hz"),
    [
        (Upsampler, TELEPHONE_RATE_HZ, MODEL_RATE_HZ),
        (Downsampler, MODEL_RATE_HZ, TELEPHONE_RATE_HZ),
        (WIDE_UP, WIDEBAND_RATE_HZ, MODEL_RATE_HZ),
        (WIDE_DOWN, MODEL_RATE_HZ, WIDEBAND_RATE_HZ),
    ],
)
def test_speech_passes_level(make: Callable[[], Converter], source_hz: int, target_hz: int) -> None:
    highest_hz = 7_000 if WIDEBAND_RATE_HZ in (source_hz, target_hz) else 3_400
    for frequency_hz in range(BIN_HZ, highest_hz + BIN_HZ, BIN_HZ):
        heard = to_samples(convert(make(), to_pcm(tone(frequency_hz, source_hz))))
        assert abs(spectrum_db(heard, target_hz)[frequency_hz // BIN_HZ]) <= 0.5, frequency_hz


def test_the_model_hears_no_image_of_a_tone() -> None:
    for frequency_hz in range(BIN_HZ, 4_000, BIN_HZ):
        heard = to_samples(convert(Upsampler(), to_pcm(tone(frequency_hz, TELEPHONE_RATE_HZ))))
        levels = np.delete(spectrum_db(heard, MODEL_RATE_HZ), frequency_hz // BIN_HZ)
        assert levels.max() <= -60, frequency_hz


def test_the_caller_hears_no_alias_of_a_tone_the_telephone_cannot_carry() -> None:
    for frequency_hz in range(4_000 + BIN_HZ, 12_000, BIN_HZ):
        heard = to_samples(convert(Downsampler(), to_pcm(tone(frequency_hz, MODEL_RATE_HZ))))
        assert spectrum_db(heard, TELEPHONE_RATE_HZ).max() <= -60, frequency_hz


def test_the_model_hears_no_image_of_a_wideband_tone() -> None:
    for frequency_hz in range(BIN_HZ, 8_000, BIN_HZ):
        heard = to_samples(convert(WIDE_UP(), to_pcm(tone(frequency_hz, WIDEBAND_RATE_HZ))))
        levels = np.delete(spectrum_db(heard, MODEL_RATE_HZ), frequency_hz // BIN_HZ)
        assert levels.max() <= -70, frequency_hz


def test_the_caller_hears_no_alias_of_a_tone_that_wideband_cannot_carry() -> None:
    for frequency_hz in range(8_000 + BIN_HZ, 12_000, BIN_HZ):
        heard = to_samples(convert(WIDE_DOWN(), to_pcm(tone(frequency_hz, MODEL_RATE_HZ))))
        assert spectrum_db(heard, WIDEBAND_RATE_HZ).max() <= -70, frequency_hz


@given(blocks=st.integers(0, 700), rest=st.integers(0, 2))
@settings(deadline=None)
def test_of_l16_two_samples_are_three_and_none_is_lost(blocks: int, rest: int) -> None:
    up = convert(TelephoneToModel(Codec.L16), bytes(2 * (2 * blocks + rest % 2)))
    down = convert(ModelToTelephone(Codec.L16), bytes(2 * (3 * blocks + rest)))
    assert len(up) == 2 * 3 * (blocks + rest % 2)
    assert len(down) == 2 * 2 * (blocks + bool(rest))


def test_no_more_than_two_milliseconds_of_l16_are_held_back() -> None:
    up, down = TelephoneToModel(Codec.L16), ModelToTelephone(Codec.L16)
    assert (960 - len(up.feed(bytes(640)))) / 2 / MODEL_RATE_HZ <= 0.002
    assert (640 - len(down.feed(bytes(960)))) / 2 / WIDEBAND_RATE_HZ <= 0.002


@pytest.mark.parametrize("level", [-32_768, -1, 1, 8, 12_345, 32_767])
@pytest.mark.parametrize("make", RESAMPLERS)
def test_a_constant_stays_constant(make: Callable[[], Converter], level: int) -> None:
    settled = to_samples(convert(make(), to_pcm([level] * 400)))[50:-50]
    assert set(settled) == {level}


@pytest.mark.parametrize("make", RESAMPLERS)
def test_rounding_favours_no_sign(make: Callable[[], Converter]) -> None:
    voice = tone(440, TELEPHONE_RATE_HZ)
    heard, inverted = (to_samples(convert(make(), to_pcm(sign * voice))) for sign in (1, -1))
    assert heard.tolist() == (-inverted).tolist()


@pytest.mark.parametrize("make", RESAMPLERS)
def test_full_scale_clips_and_does_not_wrap(make: Callable[[], Converter]) -> None:
    half_period = 480
    low, high = [-32_768] * half_period, [32_767] * half_period
    halves = np.split(to_samples(convert(make(), to_pcm([*low, *high, *low, *high]))), 4)
    for half, sign in zip(halves, (-1, 1, -1, 1), strict=True):
        assert np.abs(half).max() >= 32_767
        between_the_steps = half[3:-3]
        assert (sign * between_the_steps > 16_384).all()
