"""What storms of growing size tell of a larger one."""

from math import inf

import pytest

from storm import Storm, weathered
from storm_page import Curve, Shared, Storms, curves, section

OF_A_THOUSAND = Shared("partition: writes", 1_000, lambda passed: 0.0)


def test_what_grows_with_the_calls_is_full_where_its_line_says() -> None:
    curve = Curve(OF_A_THOUSAND, [(100, 50.0), (200, 100.0), (400, 200.0)])
    assert curve.exponent == pytest.approx(1.0)
    assert curve.at(1_000) == pytest.approx(0.5)
    assert curve.full_at == pytest.approx(2_000)


def test_what_grows_with_their_square_is_full_sooner() -> None:
    curve = Curve(OF_A_THOUSAND, [(100, 1.0), (200, 4.0), (400, 16.0)])
    assert curve.exponent == pytest.approx(2.0)
    assert curve.at(4_000) == pytest.approx(1.6)
    assert curve.full_at == pytest.approx(400 * (1_000 / 16) ** 0.5)


def test_what_hardly_grows_is_never_full() -> None:
    curve = Curve(OF_A_THOUSAND, [(100, 12.0), (200, 13.0), (400, 13.0)])
    assert curve.at(100_000) == pytest.approx(0.013)
    assert curve.full_at == inf


def test_the_section_begins_with_what_is_used_up_first_and_tells_of_every_end() -> None:
    growing = [weathered(Storm(calls, inf, inf)) for calls in (10, 20)]
    text = section(Storms(growing, growing[1:]))
    shares = [curve.full_at for curve in curves(growing)]
    assert shares == sorted(shares)
    assert "| in the busiest second | 10 calls | 20 calls | of |" in text
    assert "| records: whole | 20 |" in text
