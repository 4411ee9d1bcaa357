"""A figure and its budget."""

import pytest

from container_image.measurement import Measurement


@pytest.mark.parametrize(("value", "is_within"), [(2.0, True), (2.01, False)])
def test_a_budget_may_be_used_up(value: float, is_within: bool) -> None:
    assert Measurement("start", value, 2.0, "s").is_within is is_within


def test_a_line_shows_the_verdict_first() -> None:
    assert str(Measurement("start", 2.5, 2.0, "s")).startswith("OVER  start ")
