"""transformers' sdpa attention for several new tokens, without the copy of keys and values for every query head.

Where several query heads share one head of keys, transformers' sdpa repeats keys and values once a mask is given (but
for a single new token), which on a long conversation's next turn costs more than attention itself. Here the queries
that share a head lie behind one another as if they were more tokens; the result is the same.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from torch import Tensor, nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward

_AS_MANY_HEADS = SimpleNamespace(is_causal=True)  # a module whose keys have as many heads as its queries


class PackedSdpa:
    """An attention function of transformers'. The mask is packed once for all layers of a forward."""

    def __init__(self) -> None:
        self._packed: tuple[Tensor, int, Tensor] | None = None

    def __call__(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """query: [rows, heads, new, dim]; key and value: [rows, key heads, read, dim], where `heads` is a multiple of
        the key heads; the result: [rows, new, heads, dim]."""
        rows, heads, new, dim = query.shape
        shared = heads // key.shape[1]
        if (
            (shared == 1 or new == 1 or query.device.type != "cpu")
            or (attention_mask is None or attention_mask.shape[1] > 1)
            or kwargs.get("position_bias") is not None
        ):
            plain: tuple[Tensor, Tensor | None] = sdpa_attention_forward(
                module, query, key, value, attention_mask, **kwargs
            )
            return plain
        queries = query.reshape(rows, heads // shared, shared * new, dim)
        mask = self._packed_mask(attention_mask, shared)
        packed, _ = sdpa_attention_forward(_AS_MANY_HEADS, queries, key, value, mask, **kwargs)
        by_head = packed.view(rows, shared, new, heads // shared, -1).permute(0, 2, 3, 1, 4)
        return by_head.reshape(rows, new, heads, -1), None

    def _packed_mask(self, mask: Tensor, shared: int) -> Tensor:
        if self._packed is None or self._packed[0] is not mask or self._packed[1] != shared:
            self._packed = mask, shared, mask.repeat(1, 1, shared, 1)
        return self._packed[2]
