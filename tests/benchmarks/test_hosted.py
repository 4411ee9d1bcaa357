"""What others publish: each price with its page and its day."""

from datetime import date

import pytest

from hosted import PUBLISHED, Published, rows


@pytest.mark.parametrize("of", PUBLISHED, ids=lambda of: of.platform)
def test_a_price_has_its_page_its_day_and_what_it_covers(of: Published) -> None:
    assert 0 <= of.least <= of.most < 1
    assert date.fromisoformat(of.day) >= date(2026, 8, 1)
    assert "." in of.page.partition("/")[0]
    assert of.covers
    assert of.besides


def test_what_covers_less_is_not_hidden_behind_a_name() -> None:
    names = [of.platform for of in PUBLISHED]
    assert len(set(names)) == len(names)


def test_a_row_says_a_thousand_minutes_and_who_read_the_page() -> None:
    found = {line.split(" | ")[0].strip("| "): line for line in rows()}
    assert "| 70-310 |" in found["Retell AI"]
    assert found["Vapi"].rstrip(" |\n").endswith("*")
    assert not found["Bland AI"].rstrip(" |\n").endswith("*")
