"""Curves: smoothed as TensorBoard does, with round ticks."""

from __future__ import annotations

import pytest

from adapters.cards.curves import smooth, ticks


def test_smoothing_is_a_debiased_moving_average() -> None:
    assert [y for _, y in smooth([(1, 2.0), (2, 2.0), (3, 2.0)], 0.9)] == pytest.approx([2.0, 2.0, 2.0])
    # By hand for weight 0.5: (0.5*4)/0.5, (0.5*2 + 0.5*1)/0.75.
    assert [y for _, y in smooth([(1, 4.0), (2, 1.0)], 0.5)] == pytest.approx([4.0, 2.0])
    assert smooth([(1, 4.0), (2, 1.0)], 0) == [(1, 4.0), (2, 1.0)]


def test_smoothing_starts_at_the_first_value() -> None:
    steps, losses = zip(*smooth([(1, 4.0), (2, 4.0)], 0.8), strict=True)
    assert steps == (1, 2)
    assert losses == pytest.approx((4.0, 4.0))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (1, 120, [0, 50, 100, 150]),
        (0.31, 0.52, [0.3, 0.35, 0.4, 0.45, 0.5, 0.55]),
        (2, 2, [2, 2.5]),
    ],
)
def test_ticks(low: float, high: float, expected: list[float]) -> None:
    assert list(ticks(low, high)) == expected


@pytest.mark.parametrize("low, high", [(0.1, 2.3), (0.16, 0.17), (0.5, 0.5), (0.0, 0.0), (1e-4, 900.0)])
def test_ticks_cover_the_values_and_are_few(low: float, high: float) -> None:
    found = ticks(low, high, 5)
    assert found[0] <= low and found[-1] >= high
    assert 2 <= len(found) <= 8
    assert len(set(found)) == len(found)
