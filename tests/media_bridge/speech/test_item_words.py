"""The words of one item, in whatever pieces and however often they come."""

from hypothesis import given
from hypothesis import strategies as st

from media_bridge.speech.item_words import ItemWords

_words = st.lists(st.sampled_from(["one", "two", "three"]), min_size=1, max_size=8)


@given(_words, st.permutations(["pieces", "part", "whole"]), st.integers(1, 3))
def test_words_that_come_more_than_once_are_there_once(
    said: list[str], order: list[str], told: int
) -> None:
    words = ItemWords()
    for source in order[:told]:
        match source:
            case "pieces":
                for word in said:
                    words.add(f" {word}")
            case "part":
                words.finish(" ".join(said), 0)
            case "whole":
                words.finish(" ".join(said))
    assert words.text == " ".join(said)
    assert words.is_final == (order[:told] != ["pieces"])


def test_a_transcript_that_is_empty_takes_no_words_away() -> None:
    words = ItemWords()
    words.add("Hello")
    words.finish("", 0)
    words.finish("  ")
    assert words.text == "Hello"


def test_a_part_that_follows_has_words_of_its_own() -> None:
    words = ItemWords()
    words.finish("Hello.", 0)
    words.add("Good ", 1)
    assert not words.is_final
    assert words.text == "Hello. Good"
    words.finish("Good morning.", 1)
    assert words.is_final
    assert words.text == "Hello. Good morning."
