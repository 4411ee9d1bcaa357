"""The data and the alternative texts of the charts in docs/performance.md. `draw_charts.py` draws
them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.media.results import OURS, Point, Results
from phonebridge.settings import ModelAudio

COMPARED_CALLS = 40
"""The number of calls at which every target was measured."""


@dataclass(frozen=True, slots=True)
class Chart:
    name: str
    title: str
    unit: str
    series: Mapping[str, Sequence[Point]]
    """The points of each target. Both axes are logarithmic."""

    @property
    def file_name(self) -> str:
        return f"{self.name}.svg"

    @property
    def alt_text(self) -> str:
        """Describe the chart for people who cannot see it."""
        return " ".join(
            (f"{self.title}. Both axes are logarithmic.", *self._comparison(), *self._growth())
        )

    def _comparison(self) -> Iterator[str]:
        at = {target: dict(points).get(COMPARED_CALLS) for target, points in self.series.items()}
        ranked = sorted((y, target) for target, y in at.items() if y is not None)
        if ranked:
            listed = ", ".join(f"{target} {_format(y)}" for y, target in ranked)
            yield f"At {COMPARED_CALLS} calls, in {self.unit}: {listed}."

    def _growth(self) -> Iterator[str]:
        if points := self.series.get(OURS):
            (fewest, first), (limit, last) = points[0], points[-1]
            yield (
                f"{OURS} goes from {_format(first)} with {fewest:g}"
                f" to {_format(last)} with {limit:g} calls."
            )


def charts(known: Results) -> Iterator[Chart]:
    """Yield the charts for which there are results."""
    for audio in ModelAudio:
        drawn = (
            Chart(
                f"cpu-{audio}",
                f"CPU by the number of calls, {audio}",
                "% of one core",
                _without_empty({t: known.core_shares(t, audio) for t in known.targets()}),
            ),
            Chart(
                f"delay-{audio}",
                f"Delay from the caller to the model (p99) by the number of calls, {audio}",
                "ms",
                _without_empty({t: known.delays_to_model(t, audio) for t in known.targets()}),
            ),
        )
        yield from (chart for chart in drawn if chart.series)


def _without_empty(series: Mapping[str, Sequence[Point]]) -> dict[str, Sequence[Point]]:
    return {target: points for target, points in series.items() if points}


def _format(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
