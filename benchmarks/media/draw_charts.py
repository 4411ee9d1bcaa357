"""Draws the charts of docs/performance.md as SVG files, on white so that they are readable on dark
pages.

`make bench-pages` runs it in a separate environment that has matplotlib.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import matplotlib as mpl
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from benchmarks.media import results
from benchmarks.media.charts import Chart, charts
from benchmarks.media.results import OURS, Point

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "performance"
SIZE_INCHES = (7.2, 4.2)
COLOURS = {
    OURS: "#0b6e4f",
    "relay": "#4464ad",
    "floor": "#6b7280",
    "agents_sdk": "#a3660a",
    "livekit": "#c8553d",
    "pipecat": "#7b4b94",
}
PADDING, STEPS = 2.0, 40
"""Pixels kept free around a label, and points checked along a line between two measurements."""


@dataclass(frozen=True, slots=True)
class Place:
    """A possible position of a label, beside the first or the last point of its line."""

    of: int
    offset: tuple[float, float]
    horizontally: Literal["left", "center", "right"]
    vertically: Literal["top", "center", "bottom"]


PLACES = (
    Place(-1, (7, 0), "left", "center"),
    Place(-1, (0, 7), "center", "bottom"),
    Place(-1, (4, 7), "right", "bottom"),
    Place(-1, (0, -7), "center", "top"),
    Place(-1, (-4, -7), "left", "top"),
    Place(0, (0, 7), "center", "bottom"),
    Place(0, (0, -7), "center", "top"),
    Place(0, (-7, 0), "right", "center"),
)
STYLE = {
    "font.family": "sans-serif",
    "font.size": 10,
    "svg.fonttype": "none",
    "svg.hashsalt": "phonebridge",  # so that the same data gives the same file
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw(chart: Chart) -> Figure:
    figure = Figure(figsize=SIZE_INCHES, facecolor="white", layout="constrained")
    axes = figure.subplots()
    axes.set(xscale="log", yscale="log", xlabel="calls on one core", ylabel=chart.unit)
    axes.set_title(chart.title, loc="left", fontweight="bold", fontsize=11)
    axes.margins(x=0.12, y=0.12)
    for target, points in chart.series.items():
        weight = 2.6 if target == OURS else 1.6
        axes.plot(*zip(*points, strict=True), "o-", color=COLOURS[target], lw=weight, ms=4)
    sizes = sorted({x for points in chart.series.values() for x, _ in points})
    axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(ticker.NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(axis="y", color="#e5e7eb")
    figure.draw_without_rendering()  # fixes the axes, in whose pixels labels are measured
    lines = {target: list(_along(axes, points)) for target, points in chart.series.items()}
    names: list[Bbox] = []
    for target, points in chart.series.items():
        names.append(_name(axes, target, points, lines, names))
    return figure


def _along(axes: Axes, points: Sequence[Point]) -> Iterator[Point]:
    """Yield closely spaced pixels along the line."""
    pixels = axes.transData.transform(points)
    yield tuple(pixels[0])
    for start, end in pairwise(pixels):
        for step in range(1, STEPS + 1):
            yield tuple(start + (end - start) * step / STEPS)


def _name(
    axes: Axes,
    target: str,
    points: Sequence[Point],
    lines: Mapping[str, Sequence[Point]],
    names: Sequence[Bbox],
) -> Bbox:
    """Label a line where the text covers nothing and nothing lies between text and line."""
    others = [point for other, line in lines.items() if other != target for point in line]
    for place in PLACES:
        text = axes.annotate(
            target,
            xy=points[place.of],
            xytext=place.offset,
            textcoords="offset points",
            ha=place.horizontally,
            va=place.vertically,
            color=COLOURS[target],
            fontweight="bold" if target == OURS else "normal",
            annotation_clip=False,
        )
        box = text.get_window_extent().padded(PADDING)
        end = lines[target][place.of]
        between = Bbox.union([box, Bbox([end, end])])
        covers = _contains_any(box, lines[target]) or _contains_any(between, others)
        if not (covers or any(between.overlaps(name) for name in names)):
            return box
        text.remove()
    raise ValueError(f"no position for the label of {target} is free")


def _contains_any(box: Bbox, points: Sequence[Point]) -> bool:
    return any(box.contains(*point) for point in points)


def main() -> None:
    mpl.rcParams.update(STYLE)
    FOLDER.mkdir(exist_ok=True)
    for chart in charts(results.load()):
        metadata = {"Title": chart.title, "Description": chart.alt_text, "Date": None}
        draw(chart).savefig(FOLDER / chart.file_name, metadata=metadata)


if __name__ == "__main__":
    main()
