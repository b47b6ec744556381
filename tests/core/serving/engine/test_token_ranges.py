"""Ranges never overlap nor leave the budget, whatever is allocated, resized, freed and compacted."""

from __future__ import annotations

import random

import pytest

from core.serving.engine.token_ranges import RangeAllocator, TokenRange

BUDGET = 1024


def assert_sound(ranges: RangeAllocator, live: dict[TokenRange, int]) -> None:
    in_order = sorted(live, key=lambda token_range: token_range.offset)
    assert [token_range.capacity for token_range in in_order] == [live[token_range] for token_range in in_order]
    edges = [0, *(edge for token_range in in_order for edge in (token_range.offset, token_range.end)), BUDGET]
    assert edges == sorted(edges)
    assert ranges.free_tokens == BUDGET - sum(live.values())


@pytest.mark.parametrize("seed", range(20))
def test_any_operations_keep_ranges_apart_and_compacting_makes_all_free_tokens_one_gap(seed: int) -> None:
    chance, ranges = random.Random(seed), RangeAllocator(BUDGET)
    live: dict[TokenRange, int] = {}
    refused = 0
    for _ in range(400):
        action = chance.choices(["allocate", "free", "resize", "compact"], [50, 35, 20, 5])[0]
        size = chance.choice([1, 7, 64, 128, 300])
        some = chance.choice(list(live)) if live else None
        if action == "allocate":
            made = ranges.allocate(size)
            if made is None:
                refused += 1
                if size <= ranges.free_tokens:
                    ranges.compact(some)
                    made = ranges.allocate(size)
                    assert made is not None
            if made is not None:
                live[made] = size
        elif action == "free" and some:
            ranges.free(some)
            del live[some]
        elif action == "resize" and some:
            if ranges.resize(some, size):
                live[some] = size
            else:
                assert size > live[some]
        elif action == "compact":
            before = {token_range: token_range.offset for token_range in live}
            for offset, moved in ranges.compact(some):
                assert before.pop(moved) == offset != moved.offset
            assert all(token_range.offset == offset for token_range, offset in before.items())
            if some:  # it can have all that is free
                assert some.offset == sum(live.values()) - some.capacity
                assert ranges.resize(some, some.capacity + ranges.free_tokens)
                assert ranges.resize(some, live[some])
        assert_sound(ranges, live)
    assert refused


def test_ranges_of_one_moment_lie_side_by_side_and_leave_room_behind_older_ones() -> None:
    ranges = RangeAllocator(BUDGET)
    first = ranges.allocate(300)
    second = ranges.allocate(100)
    assert first and second
    assert ranges.resize(first, 100)  # it has ended, and keeps what it has read
    columns = [ranges.allocate(64) for _ in range(3)]
    assert [column.offset for column in columns if column] == [400, 464, 528]
    assert ranges.resize(first, 300)  # it goes on
