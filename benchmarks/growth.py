"""Whether what calls take grows with their number in a straight line."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import linear_regression

from phonebridge.settings import ModelAudio
from plot import Point
from results import Case, Results

FEWEST_POINTS = 3
"""Two lie on a line whatever was measured."""


@dataclass(frozen=True, slots=True)
class Line:
    """The least squares through what was measured, and how far off it lies at most."""

    intercept: float
    slope: float
    residual: float
    at: float
    """Where the residual is."""


def line_through(points: Sequence[Point]) -> Line | None:
    if len({x for x, _ in points}) < FEWEST_POINTS:
        return None
    slope, intercept = linear_regression(*zip(*points, strict=True))
    residuals = [(abs(y - (intercept + slope * x)), x) for x, y in points]
    residual, at = max(residuals)
    return Line(intercept, slope, residual, at)


def exponent(points: Sequence[Point]) -> float:
    """Of the power of x that y grows with: 1 is a straight line through zero, 0 no growth."""
    logarithms = [(math.log(x), math.log(y)) for x, y in points]
    return linear_regression(*zip(*logarithms, strict=True)).slope


def core_shares(known: Results, target: str, audio: ModelAudio) -> list[Point]:
    """Percent of one core by the number of calls, without TLS."""
    calls = sorted({case.calls for case in known.cases()})
    best = ((n, known.best(Case(target, audio, False, n))) for n in calls)
    return [(n, 100 * n * each.cpu_per_call_minute / 60) for n, each in best if each]


def told(points: Sequence[Point]) -> str:
    line = line_through(points)
    if line is None:
        return f"measured with {len(points)} numbers of calls: too few to tell a line."
    intercept = round(line.intercept, 2) + 0  # not -0.00
    return (
        f"{intercept:.2f} % of a core and {line.slope:.3f} % for each call, by least squares;"
        f" off that line by at most {line.residual:.2f} % of a core (at {line.at:g} calls)."
    )
