from pathlib import Path

import pytest

from benchmarks.console import talk_page
from benchmarks.control_plane import first_words, steering
from benchmarks.page_section import PageSection, percentile_95

SECTIONS = [each.SECTION for each in (first_words, steering, talk_page)]


def test_only_the_text_between_the_markers_is_replaced(tmp_path: Path) -> None:
    section = PageSection(tmp_path / "page.md", "speed")
    section.page.write_text(f"before\n{section.begin}old\n{section.end}after\n")
    section.write("new\n")
    assert section.page.read_text() == f"before\n{section.begin}new\n{section.end}after\n"


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
def test_each_page_has_one_place_for_its_figures(section: PageSection) -> None:
    text = section.page.read_text()
    assert text.count(section.begin) == text.count(section.end) == 1


def test_95_of_100_values_are_at_most_the_95th_percentile() -> None:
    assert percentile_95([float(each) for each in range(100, 0, -1)]) == 95.0
