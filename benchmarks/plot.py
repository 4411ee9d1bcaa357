"""Line charts as SVG: few points, direct labels, readable on light and dark pages."""

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 56, 120, 36, 44
COLOURS = ("#0b6e4f", "#c8553d", "#4464ad", "#b08900", "#7b4b94", "#5f6b6d")
TICKS = 4
STEPS = (1, 2, 2.5, 5, 10)
"""What a tick may be worth, times a power of ten."""
LABEL_WIDTH, LABEL_HEIGHT = 24, 14
"""Labels nearer to each other than that would be written over each other."""

Point = tuple[float, float]


def chart(title: str, x_label: str, series: Mapping[str, Sequence[Point]]) -> str:
    points = [point for line in series.values() for point in line]
    x_max = max((x for x, _ in points), default=1.0)
    y_step = _step(max((y for _, y in points), default=1.0))
    scale = _Scale(x_max, y_step * TICKS)
    body = [_text(LEFT, 20, title, "start", bold=True)]
    body += [_tick(scale, y_step * tick) for tick in range(TICKS + 1)]
    body += _x_labels(scale, {x for x, _ in points})
    body.append(_text(LEFT + scale.width / 2, HEIGHT - 6, x_label))
    colours = dict(zip(series, COLOURS, strict=False))
    for name, line in series.items():
        body += _line(scale, line, colours[name])
    body += _names(scale, {name: line[-1] for name, line in series.items() if line}, colours)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        ' font-family="system-ui, sans-serif" font-size="12">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


class _Scale:
    def __init__(self, x_max: float, y_max: float) -> None:
        self.width, self._height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
        self._x_max, self._y_max = x_max, y_max

    def x(self, value: float) -> float:
        return LEFT + self.width * value / self._x_max

    def y(self, value: float) -> float:
        return TOP + self._height * (1 - value / self._y_max)


def _step(largest: float) -> float:
    """The smallest round number of which `TICKS` reach the largest value."""
    power = 1.0
    while power * TICKS > largest > 0:
        power /= 10
    while power * 10 * TICKS < largest:
        power *= 10
    return next((step * power for step in STEPS if step * power * TICKS >= largest), power)


def _tick(scale: _Scale, value: float) -> str:
    y = scale.y(value)
    rule = f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
    return rule + _text(LEFT - 8, y + 4, f"{value:.3g}", "end")


def _x_labels(scale: _Scale, values: set[float]) -> list[str]:
    labels, left_of = [], float("inf")
    for value in sorted(values, reverse=True):
        if scale.x(value) <= left_of:
            labels.append(_text(scale.x(value), HEIGHT - 24, f"{value:g}"))
            left_of = scale.x(value) - LABEL_WIDTH
    return labels


def _line(scale: _Scale, points: Sequence[Point], colour: str) -> list[str]:
    if not points:
        return []
    places = [(scale.x(x), scale.y(y)) for x, y in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
    return [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>', *dots]


def _names(scale: _Scale, ends: Mapping[str, Point], colours: Mapping[str, str]) -> list[str]:
    """At the lines' ends, the lowest first; who ends near another stands above it."""
    labels, above = [], dict[float, float]()
    for name, (x, y) in sorted(ends.items(), key=lambda end: end[1][1]):
        place = min(scale.y(y) + 4, above.get(x, float("inf")))
        above[x] = place - LABEL_HEIGHT
        labels.append(_text(scale.x(x) + 8, place, name, "start", colours[name]))
    return labels


def _text(
    x: float, y: float, text: str, anchor: str = "middle", colour: str = "#333", bold: bool = False
) -> str:
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"{weight}>'
        f"{escape(text)}</text>"
    )
