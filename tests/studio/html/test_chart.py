"""Curves: thinned without losing the ends, each with its name."""

from __future__ import annotations

import math
import re

from studio.html.chart import MOST_POINTS, Line, line_chart, thin_out


def test_thinning_keeps_both_ends() -> None:
    points = [(float(x), 0.0) for x in range(10_000)]
    few = thin_out(points)
    assert len(few) == MOST_POINTS
    assert (few[0], few[-1]) == (points[0], points[-1])
    assert thin_out(points[:5]) == points[:5]


def test_a_chart_draws_every_line_and_names_it() -> None:
    lines = [Line("loss", [(1, 2.0), (2, 1.5), (3, math.nan)], 0), Line("eval loss", [(2, 1.7)], 1, dashed=True)]
    drawn = line_chart(lines, "Loss of <b>")
    assert re.findall(r'data-points="(\d+)"', drawn) == ["2", "1"]
    assert "eval loss" in drawn
    assert "nan" not in drawn.lower()
    assert "Loss of &lt;b&gt;" in drawn
    assert "first step" in line_chart([Line("loss", [], 0)], "Loss")
