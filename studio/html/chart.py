"""Curves as SVG: no library in the browser, sharp at any size, the same in light and dark (colours are in the CSS)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from adapters.cards.curves import ticks
from studio.html.templating import render

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


def line_chart(lines: Sequence[Line], label: str, x_name: str = "step") -> Markup:
    """One chart with its legend. `label` is what a screen reader says of it."""
    finite = [replace(line, points=[point for point in line.points if math.isfinite(point[1])]) for line in lines]
    drawn = [line for line in finite if line.points]
    if not drawn:
        return render("shared/empty.html", text="The curve begins with the first step.")
    xs = [x for line in drawn for x, _ in line.points]
    ys = [y for line in drawn for _, y in line.points]
    x_ticks, y_ticks = ticks(min(xs), max(xs), 8, whole=True), _loss_ticks(min(ys), max(ys))
    x_low, x_high = min(xs), max(max(xs), min(xs) + 1)
    y_low, y_high = min(y_ticks[0], min(ys)), max(y_ticks[-1], max(ys))

    def to_pixels(x: float, y: float) -> Point:
        across = LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)
        down = TOP + (y_high - y) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)
        return round(across, 1), round(down, 1)

    values = {line.name: [[x, round(y, 4)] for x, y in thin_out(line.points)] for line in drawn if not line.faint}
    return render(
        "shared/chart.html",
        label=label,
        x_name=x_name,
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH - RIGHT,
        top=TOP,
        bottom=HEIGHT - BOTTOM,
        x_ticks=[(to_pixels(x, y_low)[0], f"{x:.6g}") for x in x_ticks if x_low <= x <= x_high],
        y_ticks=[(to_pixels(x_low, y)[1], f"{y:.6g}") for y in y_ticks],
        curves=[_to_curve(line, to_pixels) for line in drawn],
        # What the browser needs to tell the values under the pointer.
        values=json.dumps(values),
        box=json.dumps({"low": x_low, "high": x_high, "left": LEFT / WIDTH, "right": 1 - RIGHT / WIDTH}),
    )


def thin_out(points: Sequence[Point]) -> list[Point]:
    """At most MOST_POINTS of them, evenly, the first and the last included."""
    if len(points) <= MOST_POINTS:
        return list(points)
    last = len(points) - 1
    return [points[round(number * last / (MOST_POINTS - 1))] for number in range(MOST_POINTS)]


def _loss_ticks(low: float, high: float) -> list[float]:
    return ticks(low, high, least_span=max(0.01 * abs(high), 1e-6))


def _to_curve(line: Line, to_pixels: Callable[[float, float], Point]) -> dict[str, Any]:
    points = [to_pixels(x, y) for x, y in thin_out(line.points)]
    return {
        "name": line.name,
        "points": points,
        "colour": line.colour % COLOURS,
        "dashed": line.dashed,
        "faint": line.faint,
        "dots": line.dots or len(points) == 1,
        "in_legend": not line.faint,
        "last_value": line.points[-1][1],
    }
