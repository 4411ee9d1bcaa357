"""The words of the clips, and the instructions for the model."""

import pytest

from media_bridge.commands import ClipKind
from media_bridge.speech.clip_words import WORDS, instructions_of
from simulators.audio.speech import CLIP_TEXTS


@pytest.mark.parametrize("language", ["en", "de", "es", "fr", "it", "pt", "nl"])
def test_common_languages_have_words_of_ours(language: str) -> None:
    filler, apology = (instructions_of(kind, language) for kind in ClipKind)
    for kind, told in ((ClipKind.FILLER, filler), (ClipKind.APOLOGY, apology)):
        assert WORDS[kind][language] in told
        assert f'"{language}"' in told
    assert filler != apology


def test_the_country_decides_how_words_are_pronounced() -> None:
    for tag in ("pt-BR", "PT-br"):
        told = instructions_of(ClipKind.FILLER, tag)
        assert "Um momento, por favor." in told
        assert tag in told


def test_other_languages_are_translated_by_the_model() -> None:
    told = instructions_of(ClipKind.APOLOGY, "sv")
    assert 'Translate this into the language "sv"' in told
    assert WORDS[ClipKind.APOLOGY]["en"] in told


def test_a_call_without_a_language_has_english_clips() -> None:
    for kind in ClipKind:
        assert instructions_of(kind, None) == instructions_of(kind, "en")


def test_the_simulated_model_can_say_them() -> None:
    assert CLIP_TEXTS["agent_filler"] == WORDS[ClipKind.FILLER]["en"]
    assert CLIP_TEXTS["agent_apology"] == WORDS[ClipKind.APOLOGY]["en"]
