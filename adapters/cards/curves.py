"""How loss curves are drawn, on a model card and on the page alike: smoothed as TensorBoard does, with round ticks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

X = TypeVar("X", int, float)


def smooth(points: Sequence[tuple[X, float]], weight: float) -> list[tuple[X, float]]:
    """The exponential moving average of (x, y) that TensorBoard shows, without its bias towards zero at the start.

    weight: 0 leaves the points as they are; the nearer to 1, the smoother.
    """
    average = 0.0
    result: list[tuple[X, float]] = []
    for count, (x, y) in enumerate(points, start=1):
        average = weight * average + (1 - weight) * y
        result.append((x, average / (1 - weight**count)))
    return result


def ticks(low: float, high: float, wanted: int = 5, *, least_span: float = 0.0, whole: bool = False) -> list[float]:
    """About `wanted` round numbers, evenly spaced, the first at or below `low` and the last at or above `high`.

    least_span: values that are nearer to each other than this are not drawn far apart. whole: only whole numbers.
    """
    span = max(high - low, least_span, 1.0 if whole else 0.0) or abs(high) or 1.0
    unit = 10.0 ** math.floor(math.log10(span / wanted))
    step = next(unit * factor for factor in (1, 2, 5, 10, 20) if span / (unit * factor) <= wanted)
    if whole:
        step = max(1.0, step)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(number * step, 10) for number in range(first, max(last, first + 1) + 1)]
