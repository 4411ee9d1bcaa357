"""Words laid out over sound; what the words' true times are is known where clips are joined."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_bridge.audio.codecs import PCM16
from media_bridge.audio.loudness import LOUDNESS_STEP_MS, Loudness
from media_bridge.speech import word_alignment
from simulators.audio.speech import CLIPS, SAMPLE_RATE_HZ, resample

STEP = LOUDNESS_STEP_MS
AGENT = sorted(name for name in CLIPS if name.startswith("agent"))


def even(ms: int) -> list[int]:
    return [1000] * (ms // STEP)


def silence(ms: int) -> list[int]:
    return [0] * (ms // STEP)


def loudness(clip: str) -> list[int]:
    raised = resample(CLIPS[clip].samples, SAMPLE_RATE_HZ, 24_000).round()
    sound = Loudness(None)
    sound.feed(raised.clip(-32768, 32767).astype(PCM16).tobytes())
    return sound.steps


def test_words_as_long_as_each_other_share_the_time() -> None:
    assert word_alignment.split_at("one two four five", even(1000), 480) == ("one two", "four five")


def test_long_words_and_numbers_take_longer() -> None:
    assert word_alignment.split_at("I understand", even(1000), 400) == ("I", "understand")
    assert word_alignment.split_at("at 1450 it", even(1000), 700) == ("at 1450", "it")


def test_a_word_half_heard_was_heard() -> None:
    assert word_alignment.split_at("hello", even(1000), 480)[0] == ""
    assert word_alignment.split_at("hello", even(1000), 540)[0] == "hello"


def test_silence_says_nothing() -> None:
    sound = silence(1000) + even(1000) + silence(1000)
    assert word_alignment.split_at("one two", sound, 1000) == ("", "one two")
    assert word_alignment.split_at("one two", sound, 1500) == ("one", "two")
    assert word_alignment.split_at("one two", sound, 2000) == ("one two", "")


def test_a_pause_stands_where_the_comma_is() -> None:
    # By their length alone, the comma would come at 1.3 s.
    sound = even(1000) + silence(400) + even(1000)
    text = "Well my dear friends, then so"
    assert word_alignment.split_at(text, sound, 1000)[0] == "Well my dear friends,"
    assert word_alignment.split_at(text, sound, 1380)[0] == "Well my dear friends,"


def test_a_script_without_spaces_is_cut_between_its_signs() -> None:
    assert word_alignment.split_at("\u4f60\u597d\u5417\u6211", even(800), 400) == (
        "\u4f60\u597d",
        "\u5417\u6211",
    )


def test_words_ahead_of_the_sound_were_not_heard() -> None:
    text = "one two four five one two four five"
    pace = word_alignment.speaking_rate("one two four five", even(1000))
    assert word_alignment.split_at(text, even(1000), 1000, unfinished_at=pace) == (
        "one two four five",
        "one two four five",
    )


def test_the_pace_of_nothing_is_unknown() -> None:
    assert word_alignment.speaking_rate("", even(1000)) is None
    assert word_alignment.speaking_rate("Hello", silence(1000)) is None


@pytest.mark.parametrize(("first", "second"), list(pairwise(AGENT)))
def test_between_two_sentences_the_words_heard_are_those_of_the_first(
    first: str, second: str
) -> None:
    """Within a word, over real speech: the join is the place whose words are known."""
    one, two = loudness(first), loudness(second)
    gap = silence(300)
    text = f"{CLIPS[first].text} {CLIPS[second].text}"
    for heard in (len(one) - 1, len(one) + len(gap)):
        words, rest = word_alignment.split_at(text, one + gap + two, heard * STEP)
        assert abs(len(words.split()) - len(CLIPS[first].text.split())) <= 1
        assert f"{words} {rest}" == text


@given(
    st.text(), st.lists(st.integers(0, 30_000), max_size=100), st.integers(0, 2500), st.booleans()
)
def test_a_cut_loses_no_word_and_invents_none(
    text: str, levels: list[int], heard_ms: int, whole: bool
) -> None:
    heard, unheard = word_alignment.split_at(text, levels, heard_ms, None if whole else 2.3)
    assert "".join((heard + unheard).split()) == "".join(text.split())
    more, _ = word_alignment.split_at(text, levels, heard_ms + 500, None if whole else 2.3)
    assert more.startswith(heard)


def test_loudness_is_the_mean_level_of_each_step_however_the_sound_is_cut() -> None:
    pcm = (np.arange(24_000) % 480 - 240).astype(PCM16).tobytes()
    whole, pieces = Loudness(None), Loudness(None)
    whole.feed(pcm)
    for at in range(0, len(pcm), 777):
        pieces.feed(pcm[at : at + 777])
    assert whole.steps == pieces.steps == [120] * 50
