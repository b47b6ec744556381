"""Measurements that were made by turns, as tables in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

Rounds: TypeAlias = Mapping[str, Sequence[float]]
"""Who -> what was measured in each round."""


def ratio(upper: Sequence[float], lower: Sequence[float]) -> float:
    """The median of each round's own ratio: what a machine that grows slower or faster changes least."""
    return statistics.median(u / v for u, v in zip(upper, lower, strict=True))


def side_by_side(what: str, rows: Mapping[str, Rounds], digits: int = 1) -> Iterator[str]:
    """A row for each of `rows`: the medians of all, and the first one's ratio to each of the others."""
    first, *others = next(iter(rows.values()))
    heads = [what, first, *others, *(f"{first} / {other}" for other in others)]
    yield f"| {' | '.join(heads)} |"
    yield f"|:--|{'--:|' * (len(heads) - 1)}"
    for name, rounds in rows.items():
        medians = [f"{statistics.median(values):,.{digits}f}" for values in rounds.values()]
        ratios = [f"{ratio(rounds[first], rounds[other]):.2f}" for other in others]
        yield f"| {' | '.join([name, *medians, *ratios])} |"
