"""Which tokens of the cache's memory belong to whom: ranges that do not overlap, within a fixed budget."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(eq=False)
class TokenRange:
    """Tokens offset..offset+capacity-1 of the memory. Its owner keeps the object; compacting changes its offset."""

    offset: int
    capacity: int

    @property
    def end(self) -> int:
        return self.offset + self.capacity


class RangeAllocator:
    """The ranges in use, sorted by offset. A list is searched from end to end, of some hundreds at most."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._ranges: list[TokenRange] = []
        self.reached = 0
        """Tokens at the start of the memory that some range has covered: beyond them nothing has been written."""

    @property
    def free_tokens(self) -> int:
        """Tokens in all gaps together."""
        return self.budget - sum(token_range.capacity for token_range in self._ranges)

    def allocate(self, capacity: int) -> TokenRange | None:
        """A range at the start of the largest gap; None when no gap is large enough.

        The largest, not the first that fits: ranges that are allocated one after the other come to lie side by side,
        and a small gap behind a range is left for that range to grow into.
        """
        gaps = [(end - start, -start, index) for index, (start, end) in enumerate(self._gaps())]
        size, negative_start, index = max(gaps)
        if size < capacity:
            return None
        token_range = TokenRange(-negative_start, capacity)
        self._ranges.insert(index, token_range)
        self.reached = max(self.reached, token_range.end)
        return token_range

    def resize(self, token_range: TokenRange, capacity: int) -> bool:
        """Let a range shrink, or grow into the gap behind it; False when that gap is too small."""
        index = self._ranges.index(token_range)
        limit = self._ranges[index + 1].offset if index + 1 < len(self._ranges) else self.budget
        if token_range.offset + capacity > limit:
            return False
        token_range.capacity = capacity
        self.reached = max(self.reached, token_range.end)
        return True

    def free(self, token_range: TokenRange) -> None:
        self._ranges.remove(token_range)

    def compact(self, last: TokenRange | None = None) -> list[tuple[int, TokenRange]]:
        """Close all gaps, `last` behind the others. The result: the ranges that must move, each with its old offset."""
        self._ranges.sort(key=lambda token_range: (token_range is last, token_range.offset))
        moves, end = [], 0
        for token_range in self._ranges:
            if token_range.offset != end:
                moves.append((token_range.offset, token_range))
                token_range.offset = end
            end = token_range.end
        return moves

    def _gaps(self) -> list[tuple[int, int]]:
        """Start and end of what is free before each range and behind the last one; some are empty."""
        ends = [0, *(token_range.end for token_range in self._ranges)]
        starts = [*(token_range.offset for token_range in self._ranges), self.budget]
        return list(zip(ends, starts, strict=True))
