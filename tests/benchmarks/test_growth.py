"""The line through what so many calls took."""

import pytest

from growth import core_shares, exponent, line_through, told
from phonebridge.settings import ModelAudio
from results import Results
from support.benchmark_runs import run


def test_what_grows_in_proportion_lies_on_its_line() -> None:
    line = line_through([(1, 3.0), (10, 21.0), (40, 81.0)])
    assert line is not None
    assert [line.intercept, line.slope] == pytest.approx([1.0, 2.0])
    assert line.residual == pytest.approx(0.0, abs=1e-9)


def test_what_grows_faster_than_the_calls_stands_out_by_its_distance() -> None:
    squared = [(calls, calls**2 / 100) for calls in (1, 10, 40, 100, 200)]
    line = line_through(squared)
    assert line is not None
    assert line.residual > 50
    assert line.intercept < 0


def test_two_sizes_prove_no_line() -> None:
    assert line_through([(20, 10.0), (40, 17.0)]) is None
    assert "2 numbers of calls: too few" in told([(20, 10.0), (40, 17.0)])


def test_a_share_is_that_of_one_core_and_of_the_cheapest_round() -> None:
    known = Results(runs=[run(cpu=0.3), run(cpu=0.24), run(cpu=0.3, calls=10), run("relay", 0.1)])
    calls, shares = zip(*core_shares(known, "phonebridge", ModelAudio.G711), strict=True)
    assert calls == (10, 40)
    assert list(shares) == pytest.approx([5.0, 16.0])


def test_the_line_is_told_in_percent_of_a_core() -> None:
    text = told([(1, 3.0), (10, 21.0), (40, 81.0)])
    assert text.startswith("1.00 % of a core and 2.000 % for each call")


@pytest.mark.parametrize("power", [0, 1, 2])
def test_the_exponent_is_that_of_the_power(power: int) -> None:
    assert exponent([(x, 3.0 * x**power) for x in (1, 10, 100)]) == pytest.approx(power)
