"""Curves: smoothed as TensorBoard does, thinned without losing the ends, with round ticks."""

from __future__ import annotations

import math
import re

import pytest

from studio.ui.chart import MOST_POINTS, Line, line_chart, smoothed, thinned, ticks


def test_smoothing_is_a_debiased_moving_average() -> None:
    assert [y for _, y in smoothed([(1, 2.0), (2, 2.0), (3, 2.0)], 0.9)] == pytest.approx([2.0, 2.0, 2.0])
    # By hand for weight 0.5: (0.5*4)/0.5, (0.5*2 + 0.5*1)/0.75.
    assert [y for _, y in smoothed([(1, 4.0), (2, 1.0)], 0.5)] == pytest.approx([4.0, 2.0])
    assert smoothed([(1, 4.0), (2, 1.0)], 0) == [(1, 4.0), (2, 1.0)]


def test_thinning_keeps_both_ends() -> None:
    points = [(float(x), 0.0) for x in range(10_000)]
    few = thinned(points)
    assert len(few) == MOST_POINTS
    assert (few[0], few[-1]) == (points[0], points[-1])
    assert thinned(points[:5]) == points[:5]


@pytest.mark.parametrize("low, high", [(0.1, 2.3), (0.16, 0.17), (0.5, 0.5), (0.0, 0.0), (1e-4, 900.0)])
def test_ticks_cover_the_values_and_are_few(low: float, high: float) -> None:
    found = ticks(low, high, 5)
    assert found[0] <= low and found[-1] >= high
    assert 2 <= len(found) <= 8
    assert len(set(found)) == len(found)


def test_a_chart_draws_every_line_and_names_it() -> None:
    lines = [Line("loss", [(1, 2.0), (2, 1.5), (3, math.nan)], 0), Line("eval loss", [(2, 1.7)], 1, dashed=True)]
    drawn = line_chart(lines, "Loss of <b>")
    assert re.findall(r'data-points="(\d+)"', drawn) == ["2", "1"]
    assert "eval loss" in drawn
    assert "nan" not in drawn.lower()
    assert "Loss of &lt;b&gt;" in drawn
    assert "first step" in line_chart([Line("loss", [], 0)], "Loss")
