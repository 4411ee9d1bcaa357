from xml.etree import ElementTree

import pytest

from plot import chart

SVG = "{http://www.w3.org/2000/svg}"


def drawn(points: list[tuple[float, float]], name: str = "ours") -> ElementTree.Element:
    return ElementTree.fromstring(chart("CPU", "calls", {name: points}))


def test_a_series_is_a_line_with_a_dot_for_each_measurement_and_its_name_at_the_end() -> None:
    svg = drawn([(1, 0.5), (40, 0.25)], "ours & theirs")
    assert len(svg.findall(f"{SVG}polyline")) == 1
    assert len(svg.findall(f"{SVG}circle")) == 2
    assert "ours & theirs" in [text.text for text in svg.findall(f"{SVG}text")]


def test_more_stands_higher_and_zero_on_the_ground() -> None:
    low, high = (float(dot.get("cy", "")) for dot in drawn([(1, 0), (2, 8)]).iter(f"{SVG}circle"))
    assert high < low == 276.0


@pytest.mark.parametrize(
    ("largest", "top"), [(0.31, "0.4"), (1.0, "1"), (8.0, "8"), (75.0, "80"), (0.0, "4")]
)
def test_the_scale_ends_at_a_round_number(largest: float, top: str) -> None:
    labels = [text.text for text in drawn([(1, largest)]).iter(f"{SVG}text")]
    assert top in labels


def test_names_of_lines_that_end_near_each_other_stand_one_above_the_other() -> None:
    svg = ElementTree.fromstring(chart("CPU", "calls", {"a": [(1, 8.0)], "b": [(1, 8.1)]}))
    low, high = (float(t.get("y", "")) for t in svg.iter(f"{SVG}text") if t.text in ("a", "b"))
    assert low - high >= 14


def test_of_labels_that_would_be_written_over_each_other_the_last_stays() -> None:
    labels = [text.text for text in drawn([(1, 1), (2, 1), (320, 1)]).iter(f"{SVG}text")]
    assert "2" in labels
    assert "1" in labels  # of the scale at the left
    assert labels.count("1") == 1
