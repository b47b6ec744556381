"""CUDA's caching allocator, as far as it decides how much memory is taken: c10/cuda/CUDACachingAllocator.cpp in small.

Sizes are rounded up to 512 bytes. Up to 1 MiB they come from segments of 2 MiB, above it from segments of 20 MiB, or of
their own size in steps of 2 MiB from 10 MiB on. The smallest free block that fits is taken and split; freed neighbours
are joined. With expandable segments each of the two pools is one segment that grows by its pages.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count

MIB = 1 << 20
UNIT, SMALL = 512, MIB
SMALL_SEGMENT, LARGE_SEGMENT, LARGEST_SHARED, STEP = 2 * MIB, 20 * MIB, 10 * MIB, 2 * MIB
ENDLESS = 1 << 50


def rounded(size: int, unit: int = UNIT) -> int:
    return -(-size // unit) * unit


@dataclass(frozen=True)
class Taken:
    """Bytes at their peaks. held: segments in which anything is alive. reserved: those kept for later, too, which torch
    gives back before it runs out of memory. expandable: held, with expandable_segments:True."""

    held: int
    reserved: int
    expandable: int


def replay(trace: Iterable[tuple[int, int]]) -> Taken:
    """trace: (bytes, number) for an allocation, (-1, number) for its end, in order."""
    segments, expandable = Segments(), ExpandableSegments()
    for size, number in trace:
        for allocator in (segments, expandable):
            if size > 0:
                allocator.allocate(number, rounded(size))
            else:
                allocator.free(number)
    return Taken(segments.most_held, segments.most_reserved, expandable.most)


@dataclass(eq=False)
class Segment:
    number: int
    size: int
    used: int = 0


@dataclass(eq=False)
class Block:
    segment: Segment
    start: int
    size: int
    before: Block | None = None
    after: Block | None = None
    is_free: bool = False

    @property
    def key(self) -> tuple[int, int, int]:
        """By size, then by address."""
        return self.size, self.segment.number, self.start


class Segments:
    """Segments by the driver's own allocations, each handed out in blocks."""

    def __init__(self) -> None:
        self.reserved = self.most_reserved = self.held = self.most_held = 0
        self._numbers = count()
        self._free: dict[bool, list[Block]] = {True: [], False: []}
        self._places: dict[int, Block] = {}

    def allocate(self, number: int, size: int) -> None:
        is_small = size <= SMALL
        free = self._free[is_small]
        at = bisect_left(free, (size, -1, 0), key=_key)
        block = free.pop(at) if at < len(free) else self._reserve(size)
        block.is_free = False
        rest = block.size - size
        if rest >= UNIT if is_small else rest > SMALL:
            left = Block(block.segment, block.start + size, rest, block, block.after)
            if block.after:
                block.after.before = left
            block.size, block.after = size, left
            self._give_back(left)
        if not block.segment.used:
            self.held += block.segment.size
            self.most_held = max(self.most_held, self.held)
        block.segment.used += block.size
        self._places[number] = block

    def free(self, number: int) -> None:
        block = self._places.pop(number)
        block.segment.used -= block.size
        if not block.segment.used:
            self.held -= block.segment.size
        if block.after and block.after.is_free:
            self._take(block.after)
            _join(block, block.after)
        if block.before and block.before.is_free:
            self._take(block.before)
            block = _join(block.before, block)
        self._give_back(block)

    def _reserve(self, size: int) -> Block:
        length = SMALL_SEGMENT if size <= SMALL else LARGE_SEGMENT
        if size >= LARGEST_SHARED:
            length = rounded(size, STEP)
        self.reserved += length
        self.most_reserved = max(self.most_reserved, self.reserved)
        return Block(Segment(next(self._numbers), length), 0, length)

    def _give_back(self, block: Block) -> None:
        block.is_free = True
        insort(self._free[block.segment.size == SMALL_SEGMENT], block, key=_key)

    def _take(self, block: Block) -> None:
        free = self._free[block.segment.size == SMALL_SEGMENT]
        free.pop(bisect_left(free, block.key, key=_key))


def _key(block: Block) -> tuple[int, int, int]:
    return block.key


def _join(first: Block, second: Block) -> Block:
    first.size, first.after = first.size + second.size, second.after
    if second.after:
        second.after.before = first
    return first


class ExpandableSegments:
    """One segment per pool, mapped page by page from its start on."""

    def __init__(self) -> None:
        self.most = 0
        self._gaps: dict[bool, list[tuple[int, int]]] = {True: [(0, ENDLESS)], False: [(0, ENDLESS)]}  # start, size
        self._tops = {True: 0, False: 0}
        self._places: dict[int, tuple[bool, int, int]] = {}

    def allocate(self, number: int, size: int) -> None:
        is_small = size <= SMALL
        gaps = self._gaps[is_small]
        start, room = min((gap for gap in gaps if gap[1] >= size), key=lambda gap: gap[1])
        at = bisect_left(gaps, (start, 0))
        gaps[at : at + 1] = [(start + size, room - size)] if room > size else []
        self._places[number] = (is_small, start, size)
        page = SMALL_SEGMENT if is_small else LARGE_SEGMENT
        self._tops[is_small] = max(self._tops[is_small], rounded(start + size, page))
        self.most = max(self.most, sum(self._tops.values()))

    def free(self, number: int) -> None:
        is_small, start, size = self._places.pop(number)
        gaps = self._gaps[is_small]
        at = bisect_left(gaps, (start, 0))
        if at < len(gaps) and gaps[at][0] == start + size:
            size += gaps.pop(at)[1]
        if at and sum(gaps[at - 1]) == start:
            at -= 1
            before = gaps.pop(at)
            start, size = before[0], size + before[1]
        gaps.insert(at, (start, size))
