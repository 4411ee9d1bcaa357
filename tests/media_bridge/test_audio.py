"""What caller and model hear: G.711 against the ITU's tables, resampling against its laws."""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from functools import partial
from itertools import accumulate, pairwise
from typing import Protocol

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from media_bridge.audio import (
    LAWS,
    MODEL_RATE_HZ,
    TELEPHONE_RATE_HZ,
    WIDEBAND_RATE_HZ,
    Codec,
    Downsampler,
    ModelToTelephone,
    Muted,
    TelephoneToModel,
    Upsampler,
    decode,
    encode,
)

ALL_CODES = bytes(range(256))
WIDE_UP, WIDE_DOWN = partial(Upsampler, WIDEBAND_RATE_HZ), partial(Downsampler, WIDEBAND_RATE_HZ)
RESAMPLERS = [Upsampler, Downsampler, WIDE_UP, WIDE_DOWN]
ALL_SAMPLES = range(-32_768, 32_768)

# ITU-T G.711 tables 2a and 1a: the widths of the 128 intervals of a positive value. Mu-law counts
# in 14 bits and ends at the virtual decision value 8159, A-law in 13 bits and ends at 4096.
MU_LAW_WIDTHS = [1, *[2] * 15, *(2**segment for segment in range(2, 9) for _ in range(16))]
A_LAW_WIDTHS = [*[2] * 32, *(2**segment for segment in range(2, 8) for _ in range(16))]
DECISION_VALUES = {
    Codec.PCMU: list(accumulate(MU_LAW_WIDTHS, initial=0)),
    Codec.PCMA: list(accumulate(A_LAW_WIDTHS, initial=0)),
}
STEPS_PER_UNIT = {Codec.PCMU: 4, Codec.PCMA: 8}

BIN_HZ = 10
WINDOW_S = 1 / BIN_HZ
SETTLING_S = 0.01
AMPLITUDE = 16_000


class Converter(Protocol):
    def feed(self, chunk: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


CONVERTERS: list[Callable[[], Converter]] = [
    Upsampler,
    Downsampler,
    *(lambda codec=codec: TelephoneToModel(codec) for codec in Codec),
    *(lambda codec=codec: ModelToTelephone(codec) for codec in Codec),
]
CONVERTER_NAMES = [
    *("up", "down"),
    *(f"{codec.value}-up" for codec in Codec),
    *(f"{codec.value}-down" for codec in Codec),
]


def itu_code(codec: Codec, interval: int, *, negative: bool) -> int:
    """G.711 tables 1 and 2, column 6; A-law is sent with its even bits inverted (note 2)."""
    if codec is Codec.PCMU:
        return (0x7F if negative else 0xFF) - interval
    return (interval if negative else 0x80 + interval) ^ 0x55


def itu_encode(codec: Codec, sample: int) -> int:
    """G.191 takes the ones' complement of a negative sample before it cuts to 14 or 13 bits."""
    magnitude = (sample if sample >= 0 else -sample - 1) // STEPS_PER_UNIT[codec]
    interval = bisect_right(DECISION_VALUES[codec], magnitude) - 1
    return itu_code(codec, min(interval, 127), negative=sample < 0)


def itu_levels(codec: Codec) -> dict[int, int]:
    """Code to PCM16: the middle of its interval, but mu-law's first two codes are zero itself."""
    levels = {}
    for interval, (lower, upper) in enumerate(pairwise(DECISION_VALUES[codec])):
        zero = codec is Codec.PCMU and interval == 0
        level = 0 if zero else (lower + upper) * STEPS_PER_UNIT[codec] // 2
        levels[itu_code(codec, interval, negative=False)] = level
        levels[itu_code(codec, interval, negative=True)] = -level
    return levels


def to_pcm(samples: Iterable[float] | NDArray[np.float64]) -> bytes:
    return np.rint(np.asarray(samples, np.float64)).astype("<i2").tobytes()


def to_samples(pcm: bytes) -> NDArray[np.float64]:
    return np.frombuffer(pcm, "<i2").astype(np.float64)


def convert(converter: Converter, *chunks: bytes) -> bytes:
    return b"".join(map(converter.feed, chunks)) + converter.flush()


def tone(frequency_hz: float, rate_hz: int) -> NDArray[np.float64]:
    time_s = np.arange(round((WINDOW_S + 2 * SETTLING_S) * rate_hz)) / rate_hz
    return AMPLITUDE * np.sin(2 * np.pi * frequency_hz * time_s + 0.5)


def spectrum_db(samples: NDArray[np.float64], rate_hz: int) -> NDArray[np.float64]:
    """Amplitudes relative to the tone's, one for each multiple of BIN_HZ, edges left out."""
    start, size = round(SETTLING_S * rate_hz), round(WINDOW_S * rate_hz)
    amplitudes = np.abs(np.fft.rfft(samples[start : start + size])) * 2 / size
    relative: NDArray[np.float64] = 20 * np.log10(np.maximum(amplitudes, 1e-3) / AMPLITUDE)
    return relative


@pytest.mark.parametrize("codec", LAWS)
def test_every_sample_is_encoded_as_the_itu_tables_say(codec: Codec) -> None:
    expected = bytes(itu_encode(codec, sample) for sample in ALL_SAMPLES)
    assert encode(codec, to_pcm(ALL_SAMPLES)) == expected


@pytest.mark.parametrize("codec", LAWS)
def test_every_code_is_decoded_as_the_itu_tables_say(codec: Codec) -> None:
    levels = itu_levels(codec)
    assert to_samples(decode(codec, ALL_CODES)).tolist() == [levels[code] for code in ALL_CODES]


@pytest.mark.parametrize(
    ("codec", "code", "level"),
    [
        (Codec.PCMU, 0x80, 8031 * 4),
        (Codec.PCMU, 0x00, -8031 * 4),
        (Codec.PCMU, 0xFF, 0),
        (Codec.PCMU, 0x7F, 0),
        (Codec.PCMA, 0xAA, 4032 * 8),
        (Codec.PCMA, 0x2A, -4032 * 8),
        (Codec.PCMA, 0xD5, 1 * 8),
        (Codec.PCMA, 0x55, -1 * 8),
    ],
)
def test_the_outermost_and_innermost_codes(codec: Codec, code: int, level: int) -> None:
    assert decode(codec, bytes([code])) == to_pcm([level])


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
def test_of_pieces_of_other_sizes_than_a_frame_less_than_a_millisecond_more(
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


@pytest.mark.parametrize("codec", LAWS)
def test_who_is_muted_is_silent_for_as_long_as_they_spoke(codec: Codec) -> None:
    loud = encode(codec, to_pcm(tone(440, TELEPHONE_RATE_HZ)))
    muted = convert(Muted(codec.silence, TelephoneToModel(codec)), loud)
    assert muted == convert(TelephoneToModel(codec), codec.silence * len(loud))
