"""The figures of speech quality: how they are stored, judged and shown."""

from pathlib import Path

import pytest

from benchmarks.accuracy import quality_figures
from benchmarks.accuracy.quality_figures import (
    Comparison,
    Heard,
    section,
    word_errors,
    words,
    worst,
)


def comparison(bridge_mos: float, lost: float = 0.0, mode: str = "PCMU, model g711") -> Comparison:
    ideal, bridge = Heard(4.25, 1.0), Heard(bridge_mos, 2.0)
    return Comparison("caller to model", mode, "G.711 PCMU", lost, 0.0, ideal, bridge)


def test_the_worst_is_the_one_that_lost_most_not_the_one_that_sounds_worst() -> None:
    better = comparison(4.5)
    worse = comparison(4.0, lost=0.01)
    assert worst([better, worse]) is worse
    assert worse.mos_lost == 0.25


def test_figures_come_back_as_they_were_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality_figures, "QUALITY", tmp_path / "quality.json")
    assert quality_figures.load() == []
    quality_figures.save([comparison(4.2), comparison(3.5, lost=0.03)])
    assert quality_figures.load() == [comparison(4.2), comparison(3.5, lost=0.03)]


def test_the_page_has_a_row_for_each_condition_and_a_column_for_each_mode() -> None:
    page = section(
        [
            comparison(4.2),
            comparison(3.5, lost=0.03),
            comparison(3.6, lost=0.03, mode="L16, model pcm24k"),
        ]
    )
    assert "| caller to model | PCMU, model g711 | G.711 PCMU | 4.25 / 4.20 | 1.0 / 2.0 |" in page
    assert "| 3% | 0% | 4.25 / 3.50; 1.0 / 2.0 % | 4.25 / 3.60; 1.0 / 2.0 % |" in page


@pytest.mark.parametrize(
    ("heard", "errors"),
    [
        ("It was the best of times.", 0),
        ("it was the rest of times", 1),
        ("it was best of times", 1),
        ("it was the very best of times", 1),
        ("was the best of these times it", 3),
        ("", 6),
    ],
)
def test_a_word_is_wrong_that_is_changed_left_out_or_put_in(heard: str, errors: int) -> None:
    assert word_errors(words("it was the best of times"), words(heard)) == errors
