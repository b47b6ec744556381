"""How many tokens of keys and values an engine may hold."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.common.errors import UserError
from core.serving.kv_budget import GPU_RESERVE, KVBudget, choose_kv_budget
from core.serving.settings import EngineSettings

GIB = 1 << 30


def chosen(free: int, *, on_cpu: bool = True, context: int = 1000, **settings: Any) -> KVBudget:
    return choose_kv_budget(EngineSettings(**settings), bytes_per_token=1024, context=context, free=free, on_cpu=on_cpu)


def test_the_budget_is_all_rows_at_their_longest_where_memory_allows() -> None:
    assert chosen(100 * GIB, max_rows=4) == KVBudget(4 * 1024, 1024, "4 rows of 1000, 1.0 KiB per token")


def test_with_less_memory_it_is_a_share_of_what_is_free() -> None:
    budget = chosen(4 << 20)
    assert budget.bytes == 1 << 20
    assert "may be used" in budget.reason


def test_on_a_gpu_rows_are_counted_short_since_the_memory_is_taken_at_once() -> None:
    assert chosen(100 * GIB, on_cpu=False, context=100_000, max_rows=4).tokens == 4 * 512
    assert chosen(100 * GIB, on_cpu=False, context=100, max_rows=4).tokens == 4 * 128
    assert chosen(GPU_RESERVE + (1 << 20), on_cpu=False).bytes == 320 << 10


def test_what_was_asked_for_is_taken_in_whole_pieces() -> None:
    assert chosen(0, kv_tokens=1000).tokens == 960


@pytest.mark.parametrize("on_cpu", [True, False])
def test_where_nothing_fits_a_person_is_told(on_cpu: bool) -> None:
    with pytest.raises(UserError, match="no memory for keys and values"):
        chosen(0, on_cpu=on_cpu)
