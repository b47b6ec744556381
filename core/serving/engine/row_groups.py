"""Rows of a batch whose ranges of the cache one strided view covers, so that one call of attention serves them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.serving.engine.token_ranges import TokenRange

WASTE = 128  # tokens per row, on average, that are read in vain rather than have one more call of attention


@dataclass(frozen=True)
class RowGroup:
    """Rows first..last-1: the first one's range begins at `offset`, each next one's `stride` tokens further on."""

    first: int
    last: int
    offset: int
    stride: int
    read: int
    """Tokens that are read of each row."""
    is_even: bool = True
    """Whether each row needs all that is read of it."""

    @property
    def rows(self) -> slice:
        return slice(self.first, self.last)

    @property
    def count(self) -> int:
        return self.last - self.first


def group_rows(ranges: Sequence[TokenRange], reads: Sequence[int]) -> tuple[RowGroup, ...]:
    """All rows in order, in groups of neighbours at equal distances. `reads`: how many tokens each row has to read.

    A group reads as much of each row as its longest needs, but never beyond any row's own range: what lies there is
    another's, and may be NaN.
    """
    groups: list[RowGroup] = []
    first, stride = 0, 0
    for row in range(len(ranges)):
        members = range(first, row + 1)
        step = ranges[row].offset - ranges[row - 1].offset if row > first else 0
        read = max(reads[member] for member in members)
        is_in_line = step > 0 and (row == first + 1 or step == stride)
        is_inside = read <= min(ranges[member].capacity for member in members)
        is_worth_it = read * len(members) - sum(reads[first : row + 1]) <= WASTE * len(members)
        if row > first and is_in_line and is_inside and is_worth_it:
            stride = step
            is_even = min(reads[first : row + 1]) == read
            groups[-1] = RowGroup(first, row + 1, ranges[first].offset, stride, read, is_even)
        else:
            first, stride = row, 0
            groups.append(RowGroup(row, row + 1, ranges[row].offset, 0, reads[row]))
    return tuple(groups)
