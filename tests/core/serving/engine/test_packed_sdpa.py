"""Packed queries get what transformers' own sdpa gives them, in every form that a forward asks for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from core.serving.engine.packed_sdpa import PackedSdpa


def heads_apart(rows: int, heads: int, tokens: int, dim: int) -> torch.Tensor:
    """[rows, heads, tokens, dim] as a model gives it: a view of one whose heads are inside."""
    return torch.randn(rows, tokens, heads, dim).transpose(1, 2)


@pytest.mark.parametrize("shared", [1, 2, 3])
@pytest.mark.parametrize("new", [1, 5])
@pytest.mark.parametrize("mask", ["none", "one for all rows", "one per row", "one per head"])
def test_the_result_is_sdpas_own(shared: int, new: int, mask: str) -> None:
    torch.manual_seed(0)
    rows, key_heads, read, dim = 3, 2, 11, 8
    query, key = heads_apart(rows, key_heads * shared, new, dim), heads_apart(rows, key_heads, read, dim)
    value = heads_apart(rows, key_heads, read, 6 if mask != "none" else dim)
    shape = {"one for all rows": (1, 1), "one per row": (rows, 1), "one per head": (rows, key_heads * shared)}.get(mask)
    given = torch.where(torch.rand(*shape, new, read) > 0.3, 0.0, -1e30) if shape else None
    module: Any = SimpleNamespace(num_key_value_groups=shared, is_causal=True)
    attend = PackedSdpa()
    for _ in range(2):
        found, _ = attend(module, query, key, value, given, scaling=0.3)
        assert torch.allclose(
            found, sdpa_attention_forward(module, query, key, value, given, scaling=0.3)[0], atol=1e-6
        )


def test_another_mask_of_the_same_shape_is_not_taken_for_the_first() -> None:
    query, key = heads_apart(1, 4, 3, 8), heads_apart(1, 2, 7, 8)
    module: Any = SimpleNamespace(num_key_value_groups=2, is_causal=True)
    attend = PackedSdpa()
    for _ in range(3):
        mask = torch.where(torch.rand(1, 1, 3, 7) > 0.5, 0.0, -1e30)
        found, _ = attend(module, query, key, key, mask)
        assert torch.allclose(found, sdpa_attention_forward(module, query, key, key, mask)[0], atol=1e-6)
