"""The cache's grid: rows keep what they hold when it is laid out anew, moved or wiped."""

from __future__ import annotations

import torch

from core.serving.engine.kv_cache import ALIGN, KVCache, KVCacheSpec

SHAPES = {0: KVCacheSpec(2, 4, 4, torch.float32), 1: KVCacheSpec(1, 4, 6, torch.float32)}


def cache(budget: int = 8 * ALIGN) -> KVCache:
    return KVCache(SHAPES, budget, max_rows=6, device=torch.device("cpu"))


def write(kept: KVCache, row: int, length: int, value: float) -> None:
    kept.plan_chunk(row, row + 1, 0, length)
    for layer, shape in SHAPES.items():
        kept.update(
            torch.full((1, shape.heads, length, shape.key_dim), value + layer),
            torch.full((1, shape.heads, length, shape.value_dim), -value - layer),
            layer,
        )


def holds(kept: KVCache, row: int, length: int, value: float) -> bool:
    """Whether a row holds what `write` wrote, as the next step would read it."""
    ok = True
    for layer, shape in SHAPES.items():
        kept.plan_step(row, row + 1, torch.tensor([length]), torch.tensor([0]), length + 1)
        keys, values = kept.update(
            torch.zeros(1, shape.heads, 1, shape.key_dim), torch.zeros(1, shape.heads, 1, shape.value_dim), layer
        )
        ok &= bool((keys[:, :, :length] == value + layer).all() and (values[:, :, :length] == -value - layer).all())
        ok &= bool((keys[:, :, length] == 0).all())
    return ok


def test_rows_survive_a_longer_grid_and_a_shorter_one() -> None:
    kept = cache()
    kept.arrange(2, 10, [])
    write(kept, 0, 10, 1.0)
    write(kept, 1, 7, 2.0)
    kept.arrange(3, 2 * ALIGN, [10, 7])  # a longer row comes
    assert kept.length == 2 * ALIGN
    write(kept, 2, 2 * ALIGN - 2, 3.0)
    assert holds(kept, 0, 10, 1.0) and holds(kept, 1, 7, 2.0) and holds(kept, 2, 2 * ALIGN - 2, 3.0)
    kept.arrange(6, ALIGN, [10, 7])  # the long one has left, and six rows are wanted
    assert kept.length == ALIGN
    assert holds(kept, 0, 10, 1.0) and holds(kept, 1, 7, 2.0)


def test_the_budget_is_rows_times_the_longest() -> None:
    kept = cache(budget=8 * ALIGN)
    assert kept.can_hold(1, 8 * ALIGN)
    assert not kept.can_hold(1, 8 * ALIGN + 1)
    assert kept.can_hold(4, ALIGN + 1)
    assert not kept.can_hold(5, ALIGN + 1)
    assert not kept.can_hold(7, 1)  # rows are limited too
    assert kept.bytes_total == 8 * ALIGN * (2 * 8 + 10) * 4


def test_a_moved_row_holds_what_the_other_held() -> None:
    kept = cache()
    kept.arrange(3, 20, [])
    write(kept, 0, 5, 1.0)
    write(kept, 2, 9, 3.0)
    kept.move(2, 0, 9)
    assert holds(kept, 0, 9, 3.0)


def test_a_wiped_row_leaves_no_nan_behind() -> None:
    kept = cache()
    kept.arrange(2, 20, [])
    write(kept, 1, 20, float("nan"))
    kept.wipe(1)
    write(kept, 1, 3, 4.0)
    assert holds(kept, 1, 3, 4.0)
    kept.plan_step(1, 2, torch.tensor([4]), torch.tensor([0]), 20)
    keys, values = kept.update(torch.zeros(1, 2, 1, 4), torch.zeros(1, 2, 1, 4), 0)
    assert keys.isfinite().all() and values.isfinite().all()
