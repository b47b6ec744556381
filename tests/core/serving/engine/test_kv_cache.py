"""The cache: ranges keep what they hold when others come, go, are copied, moved or wiped."""

from __future__ import annotations

import random

import psutil
import pytest
import torch
from torch import Tensor

from core.serving.engine.kv_cache import KVCache, KVCacheSpec
from core.serving.engine.token_ranges import TokenRange
from core.serving.kv_budget import ALIGN

SPECS = {0: KVCacheSpec(2, 4, 4, torch.float32), 1: KVCacheSpec(1, 4, 6, torch.float32)}


def new_cache(budget: int = 8 * ALIGN, *, grouped: bool = True) -> KVCache:
    return KVCache(SPECS, budget, max_rows=6, device=torch.device("cpu"), grouped=grouped)


def write(cache: KVCache, ranges: list[TokenRange], length: int, *values: float) -> None:
    """Tokens 0..length-1 of each range get its value, plus the layer's number; the values their negatives."""
    cache.plan_chunk(ranges, 0, length)
    for layer, spec in SPECS.items():
        column = torch.tensor(values)[:, None, None, None] + layer
        cache.update(
            column.expand(-1, spec.heads, length, spec.key_dim),
            -column.expand(-1, spec.heads, length, spec.value_dim),
            layer,
        )


def read(cache: KVCache, ranges: list[TokenRange], lengths: list[int], layer: int) -> list[tuple[Tensor, Tensor]]:
    """Keys and values [heads, length, dim] of each range, as a step that adds a token of zeros would read them."""
    places = torch.tensor([row.offset + length for row, length in zip(ranges, lengths, strict=True)])
    cache.plan_step(ranges, [length + 1 for length in lengths], places)
    spec, rows = SPECS[layer], len(ranges)
    keys, values = cache.update(
        torch.zeros(rows, spec.heads, 1, spec.key_dim), torch.zeros(rows, spec.heads, 1, spec.value_dim), layer
    )
    found = [(k, v) for _, ks, vs in cache.views() for k, v in zip(ks, vs, strict=True)]
    found = found or list(zip(keys, values, strict=True))
    return [(k[:, :length], v[:, :length]) for (k, v), length in zip(found, lengths, strict=True)]


def holds(cache: KVCache, ranges: list[TokenRange], lengths: list[int], *wanted: float) -> bool:
    return all(
        bool((keys == value + layer).all() and (values == -value - layer).all())
        for layer in SPECS
        for (keys, values), value in zip(read(cache, ranges, lengths, layer), wanted, strict=True)
    )


@pytest.mark.parametrize("grouped", [True, False])
def test_a_long_row_and_short_ones_hold_what_was_written_to_each(grouped: bool) -> None:
    cache = new_cache(grouped=grouped)
    rows = [cache.allocate(length) for length in (10, 3 * ALIGN, 20, 30)]
    write(cache, rows, 9, 1.0, 2.0, 3.0, 4.0)
    write(cache, rows[1:2], 2 * ALIGN, 5.0)
    assert holds(cache, rows, [9, 2 * ALIGN, 9, 9], 1.0, 5.0, 3.0, 4.0)
    assert holds(cache, rows[2:], [9, 9], 3.0, 4.0)


def test_rows_side_by_side_are_views_of_the_memory() -> None:
    cache = new_cache()
    rows = [cache.allocate(20) for _ in range(3)]
    write(cache, rows, 5, 1.0, 2.0, 3.0)
    cache.plan_step(rows, [6] * 3, torch.tensor([row.offset + 5 for row in rows]))
    keys, _ = cache.update(torch.full((3, 2, 1, 4), 7.0), torch.zeros(3, 2, 1, 4), 0)
    assert keys.shape == (3, 2, 6, 4)
    assert (keys[:, :, 5] == 7.0).all()
    again, _ = cache.update(torch.full((3, 2, 1, 4), 8.0), torch.zeros(3, 2, 1, 4), 0)
    assert again.data_ptr() == keys.data_ptr()


def test_the_budget_is_the_sum_of_the_ranges() -> None:
    cache = new_cache(budget=8 * ALIGN)
    assert cache.can_hold(8 * ALIGN)
    assert not cache.can_hold(8 * ALIGN + 1)
    assert cache.can_hold(4 * ALIGN, 1, ALIGN + 1, ALIGN)
    assert not cache.can_hold(4 * ALIGN, 1, ALIGN + 1, ALIGN, 1)
    assert not cache.can_hold(*[1] * 7)  # rows are limited too
    cache.allocate(5 * ALIGN)
    assert cache.has_room(3 * ALIGN)
    assert not cache.has_room(3 * ALIGN + 1)
    assert cache.bytes_per_token == (2 * 8 + 10) * 4


def test_room_in_several_gaps_is_made_one_and_all_ranges_keep_what_they_hold() -> None:
    cache = new_cache()
    rows = [cache.allocate(ALIGN) for _ in range(8)]
    write(cache, rows[:6], 50, *map(float, range(6)))
    for gone in (rows[0], rows[2], rows[4], rows[6], rows[7]):
        cache.ranges.free(gone)
    stay = [rows[1], rows[3], rows[5]]
    long = cache.allocate(5 * ALIGN)
    write(cache, [long], 5 * ALIGN - 1, 9.0)
    assert holds(cache, [*stay, long], [50, 50, 50, 5 * ALIGN - 1], 1.0, 3.0, 5.0, 9.0)


@pytest.mark.parametrize("seed", range(5))
def test_random_ranges_hold_what_was_written_to_them(seed: int) -> None:
    chance, cache = random.Random(seed), new_cache(budget=20 * ALIGN)
    live: dict[TokenRange, tuple[int, float]] = {}
    for number in range(120):
        length = chance.choice([5, 60, 100, 300])
        if cache.has_room(length) and chance.random() < 0.6:
            made = cache.allocate(length)
            write(cache, [made], length - 1, float(number))
            live[made] = length - 1, float(number)
        elif live:
            gone = chance.choice(list(live))
            cache.compact(gone) if chance.random() < 0.3 else None
            cache.ranges.free(gone)
            del live[gone]
        if live:
            rows = chance.sample(list(live), chance.randint(1, len(live)))
            assert holds(cache, rows, [live[row][0] for row in rows], *(live[row][1] for row in rows))


def test_a_copied_range_holds_as_much_of_the_other_as_was_asked_for() -> None:
    cache = new_cache()
    source, target = cache.allocate(20), cache.allocate(200)
    write(cache, [target], 30, 2.0)
    write(cache, [source], 15, 1.0)
    cache.copy(source, target, 12)
    assert holds(cache, [target], [12], 1.0)
    assert (read(cache, [target], [30], 0)[0][0][:, 13:] == 2.0).all()


def test_a_wiped_range_leaves_no_nan_behind() -> None:
    cache = new_cache()
    cache.allocate(20)
    row = cache.allocate(20)
    write(cache, [row], 20, float("nan"))
    cache.wipe(row)
    write(cache, [row], 3, 4.0)
    assert holds(cache, [row], [3], 4.0)
    keys, values = read(cache, [row], [row.capacity - 1], 0)[0]
    assert keys.isfinite().all() and values.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_memory_is_taken_only_where_something_is_written(dtype: torch.dtype) -> None:
    process = psutil.Process()
    before = process.memory_info().rss
    specs = {layer: KVCacheSpec(8, 64, 64, dtype) for layer in range(16)}
    cache = KVCache(specs, budget=1 << 16, max_rows=8, device=torch.device("cpu"))
    assert cache.budget * cache.bytes_per_token >= 2 << 30
    row = cache.allocate(ALIGN)
    assert cache.filled_tokens == ALIGN
    cache.plan_chunk([row], 0, ALIGN)
    for layer in specs:  # in small pages: in huge ones each of the 256 heads would take 2 MiB
        cache.update(*torch.ones(2, 1, 8, ALIGN, 64, dtype=dtype), layer)
    assert process.memory_info().rss - before < 64 << 20
