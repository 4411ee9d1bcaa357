import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import espeakng_loader
import numpy as np
import pytest

from simulators.audio import voice
from simulators.audio.speech import CLIPS, FULL_SCALE
from simulators.audio.voice import (
    SPOKEN_LEVEL_DBFS,
    Espeak,
    Voice,
    VoiceUnavailable,
    load_espeak,
    normalise,
    synthesize,
    trim,
)

ALLOY = Voice("f3")
ORDER = "What would you like to order tonight?"


def level_dbfs(value: float) -> float:
    return float(20 * np.log10(value / FULL_SCALE))


def test_any_text_is_spoken_and_a_longer_one_takes_longer() -> None:
    short, long = synthesize(ORDER, ALLOY), synthesize(f"{ORDER} {ORDER}", ALLOY)
    assert short.text == ORDER
    assert 1500 < short.duration_ms < 3000
    assert long.duration_ms > 1.8 * short.duration_ms


def test_another_text_or_voice_in_between_changes_nothing() -> None:
    """The library has its own noise, so that two sounds of a text differ by some samples."""
    first = load_espeak().synthesize(ORDER, ALLOY)
    load_espeak().synthesize("Something else.", Voice("m3", "de"))
    assert len(load_espeak().synthesize(ORDER, ALLOY)) == pytest.approx(len(first), rel=0.02)


def test_texts_that_are_asked_for_at_the_same_time_do_not_mix() -> None:
    texts = [" ".join(["word"] * count) for count in (1, 20, 2, 30, 3, 40)]
    alone = [len(load_espeak().synthesize(text, ALLOY)) for text in texts]
    with ThreadPoolExecutor(len(texts)) as pool:
        together = pool.map(lambda text: len(load_espeak().synthesize(text, ALLOY)), texts)
    assert list(together) == [pytest.approx(length, rel=0.05) for length in alone]


def test_each_voice_and_language_sounds_different() -> None:
    voices = [ALLOY, Voice("m3"), Voice("f3", "de"), Voice("f3", "pt-BR")]
    sounds = {synthesize(ORDER, each).samples.tobytes() for each in voices}
    assert len(sounds) == len(voices)


def test_an_unknown_language_is_spoken_as_english() -> None:
    german = synthesize(ORDER, Voice("f3", "de"))
    unknown = synthesize(ORDER, Voice("f3", "xx"))
    english_ms = synthesize(ORDER, ALLOY).duration_ms
    assert unknown.duration_ms == pytest.approx(english_ms, rel=0.02)
    assert german.duration_ms != pytest.approx(english_ms, rel=0.02)


@pytest.mark.parametrize("text", ["", " ", "\u200b", "...", "a\0b", "<b>", "[[x]]", "😀", "你好"])
def test_no_text_is_too_odd_to_be_said(text: str) -> None:
    assert len(synthesize(text, ALLOY).samples) > 0


def test_speech_is_as_loud_as_the_recorded_clips() -> None:
    spoken = synthesize(ORDER, ALLOY).samples.astype(np.float64)
    assert abs(level_dbfs(np.sqrt((spoken**2).mean())) - SPOKEN_LEVEL_DBFS) < 1


def test_a_library_that_cannot_be_loaded_is_named() -> None:
    with pytest.raises(VoiceUnavailable, match=r"missing\.so"):
        Espeak(Path("/nowhere/missing.so"), Path("/nowhere"))


def test_a_library_without_its_data_is_unavailable(tmp_path: Path) -> None:
    copy = tmp_path / "another_instance.so"
    shutil.copy(espeakng_loader.get_library_path(), copy)
    with pytest.raises(VoiceUnavailable, match="finds no data"):
        Espeak(copy, tmp_path)


def test_without_the_library_a_recorded_clip_with_its_own_text_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> Espeak:
        raise VoiceUnavailable("espeak-ng cannot be loaded: no such file")

    monkeypatch.setattr(voice, "load_espeak", fail)
    voice.is_available.cache_clear()
    try:
        assert synthesize("Never said before.", ALLOY) is CLIPS[voice.WITHOUT_LIBRARY]
    finally:
        voice.is_available.cache_clear()
        synthesize.cache_clear()
    assert "a recorded sentence instead" in capsys.readouterr().err


def test_silence_around_a_voice_is_cut_and_its_level_set() -> None:
    voice = np.sin(np.arange(800) / 5) * 0.2 + 0.001
    padded = np.concatenate((np.zeros(300), voice, np.zeros(300)))
    assert len(trim(padded)) <= 800
    loudness = np.sqrt((normalise(voice) ** 2).mean())
    assert abs(level_dbfs(loudness) - SPOKEN_LEVEL_DBFS) < 0.1
