"""What caller and model hear: G.711 against the ITU's tables, resampling against its laws."""

from bisect import bisect_right
from itertools import accumulate, pairwise

import pytest

from media_bridge.audio.codecs import LAWS, Codec, decode, encode
from tests.support.audio_streams import to_pcm, to_samples

ALL_CODES = bytes(range(256))
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
