"""Curves as SVG: no library in the browser, sharp at any size, the same in light and dark (colours are in the CSS)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from html import escape

Point = tuple[float, float]
WIDTH, HEIGHT = 760, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 34
MOST_POINTS = 400  # more are not to be told apart on a screen
COLOURS = 6  # .series-0 to .series-5 in style.css


@dataclass(frozen=True)
class Line:
    """`colour` is an index into the palette. `faint`: the raw values behind a smoothed line, left out of the legend."""

    name: str
    points: Sequence[Point]
    colour: int
    dashed: bool = False
    faint: bool = False
    dots: bool = False


def line_chart(lines: Sequence[Line], label: str, x_name: str = "step") -> str:
    """One chart with its legend. `label` is what a screen reader says of it."""
    finite = [replace(line, points=[point for point in line.points if math.isfinite(point[1])]) for line in lines]
    drawn = [line for line in finite if line.points]
    if not drawn:
        return '<div class="empty">The curve begins with the first step.</div>'
    xs = [x for line in drawn for x, _ in line.points]
    ys = [y for line in drawn for _, y in line.points]
    x_ticks, y_ticks = ticks(min(xs), max(xs), 8, whole=True), ticks(min(ys), max(ys), 5)
    x_low, x_high = min(xs), max(max(xs), min(xs) + 1)
    y_low, y_high = min(y_ticks[0], min(ys)), max(y_ticks[-1], max(ys))

    def at(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)
        down = TOP + (y_high - y) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)
        return round(across, 1), round(down, 1)

    grid = "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at(x_low, y)[1]}" y2="{at(x_low, y)[1]}"/>'
        f'<text x="{LEFT - 8}" y="{at(x_low, y)[1] + 4}" text-anchor="end">{_number(y)}</text>'
        for y in y_ticks
    )
    grid += "".join(
        f'<text x="{at(x, y_low)[0]}" y="{HEIGHT - 14}" text-anchor="middle">{_number(x)}</text>'
        for x in x_ticks
        if x_low <= x <= x_high
    )
    curves = "".join(_curve(line, at) for line in drawn)
    legend = "".join(_key(line) for line in drawn if not line.faint)
    values = {line.name: [[x, round(y, 4)] for x, y in thinned(line.points)] for line in drawn if not line.faint}
    box = {"low": x_low, "high": x_high, "left": LEFT / WIDTH, "right": 1 - RIGHT / WIDTH}
    name = escape(label)
    return (
        f'<figure class="chart" data-values="{escape(json.dumps(values))}" data-box="{escape(json.dumps(box))}">'
        f'<figcaption class="legend">{legend}</figcaption><div class="scroll" tabindex="0">'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}">'
        f'{grid}<text x="{WIDTH - RIGHT}" y="{HEIGHT - 4}" text-anchor="end">{escape(x_name)}</text>{curves}'
        f'<line class="here" y1="{TOP}" y2="{HEIGHT - BOTTOM}" x1="-9" x2="-9"/></svg></div>'
        f'<output class="tip"></output></figure>'
    )


def smoothed(points: Sequence[Point], weight: float) -> list[Point]:
    """An exponential moving average that is not drawn towards zero at the start, as TensorBoard has it.

    `weight`: 0 leaves the points as they are; the nearer to 1, the smoother.
    """
    average, result = 0.0, []
    for number, (x, y) in enumerate(points, 1):
        average = weight * average + (1 - weight) * y
        result.append((x, average / (1 - weight**number)))
    return result


def thinned(points: Sequence[Point]) -> list[Point]:
    """At most MOST_POINTS of them, evenly, the first and the last included."""
    if len(points) <= MOST_POINTS:
        return list(points)
    last = len(points) - 1
    return [points[round(number * last / (MOST_POINTS - 1))] for number in range(MOST_POINTS)]


def ticks(low: float, high: float, about: int, whole: bool = False) -> list[float]:
    """Round numbers that cover `low` to `high`, about so many."""
    span = max(high - low, 1.0 if whole else 0.01 * abs(high), 1e-6)
    step = 10 ** math.floor(math.log10(span / about))
    step = next(step * times for times in (1, 2, 5, 10, 20) if span / (step * times) <= about)
    if whole:
        step = max(1.0, step)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(number * step, 10) for number in range(first, max(last, first + 1) + 1)]


def _curve(line: Line, at: Callable[[float, float], Point]) -> str:
    places = [at(x, y) for x, y in thinned(line.points)]
    path = "M" + "L".join(f"{x},{y}" for x, y in places)
    kinds = f"series-{line.colour % COLOURS}{' dashed' if line.dashed else ''}{' faint' if line.faint else ''}"
    dots = line.dots or len(places) == 1
    marks = "".join(f'<circle cx="{x}" cy="{y}" r="3"/>' for x, y in places) if dots else ""
    return f'<g class="curve {kinds}" data-points="{len(places)}"><path d="{path}"/>{marks}</g>'


def _key(line: Line) -> str:
    dashed = " dashed" if line.dashed else ""
    return (
        f'<span class="key series-{line.colour % COLOURS}{dashed}"><i></i>{escape(line.name)} '
        f"<b>{line.points[-1][1]:.3f}</b></span>"
    )


def _number(value: float) -> str:
    return f"{value:.6g}"
