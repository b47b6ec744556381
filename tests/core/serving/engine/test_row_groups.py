"""Which rows one view covers: neighbours at equal distances, and never a token of anybody else."""

from __future__ import annotations

import random

import pytest

from core.serving.engine.row_groups import RowGroup, group_rows
from core.serving.engine.token_ranges import RangeAllocator, TokenRange


def test_ranges_of_one_size_side_by_side_are_one_group() -> None:
    rows = [TokenRange(offset, 128) for offset in (256, 384, 512)]
    assert group_rows(rows, [60, 128, 61]) == (RowGroup(0, 3, 256, 128, 128, is_even=False),)


def test_a_group_ends_where_the_distance_changes() -> None:
    rows = [TokenRange(offset, 64) for offset in (0, 64, 256, 320, 192)]
    assert group_rows(rows, [9] * 5) == (
        RowGroup(0, 2, 0, 64, 9), RowGroup(2, 4, 256, 64, 9), RowGroup(4, 5, 192, 0, 9)
    )  # fmt: skip


def test_a_short_row_is_not_read_as_far_as_a_long_one() -> None:
    beyond = [TokenRange(0, 2048), TokenRange(2048, 64)]  # the second has not that many tokens
    assert [group.read for group in group_rows(beyond, [2000, 60])] == [2000, 60]
    in_vain = [TokenRange(0, 2048), TokenRange(2048, 2048)]
    assert [group.read for group in group_rows(in_vain, [2000, 60])] == [2000, 60]


@pytest.mark.parametrize("seed", range(20))
def test_every_row_is_in_one_group_that_reads_enough_of_it_and_only_its_own(seed: int) -> None:
    chance, ranges = random.Random(seed), RangeAllocator(1 << 14)
    rows = []
    for _ in range(24):
        made = ranges.allocate(chance.choice([64, 64, 128, 512]))
        assert made
        rows.append(made)
        if chance.random() < 0.3:
            ranges.free(rows.pop(chance.randrange(len(rows))))
    reads = [chance.randint(1, row.capacity) for row in rows]
    covered = []
    for group in group_rows(rows, reads):
        for i, row in enumerate(range(group.first, group.last)):
            assert group.offset + i * group.stride == rows[row].offset
            assert reads[row] <= group.read <= rows[row].capacity
            covered.append(row)
    assert covered == list(range(len(rows)))
