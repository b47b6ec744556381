"""Attention over rows that lie anywhere in the cache: the model's own attention, once for each group of rows.

transformers calls the attention function that the configuration names, and hands it what the model's forward was given
besides (https://huggingface.co/docs/transformers/en/attention_interface). A family that does so gets functions from
here; for another one the cache copies the rows side by side before attention.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import eager_mask, sdpa_mask

from core.serving.engine.packed_sdpa import PackedSdpa
from core.serving.engine.row_groups import RowGroup

Attend: TypeAlias = Callable[..., tuple[Tensor, Tensor | None]]
PREFIX = "row_groups_"  # before the name of the implementation that calculates


class GroupedCache(Protocol):
    groups: Sequence[RowGroup]

    def views(self) -> list[tuple[RowGroup, Tensor, Tensor]]:
        """Keys and values of each group in the layer that was updated last; none when `update` gave them itself."""


def grouped(own: Callable[[nn.Module], Attend]) -> Attend:
    """The attention function that `own` finds for a module, over the groups of `kv_cache`.

    unmasked: every row may read all that it needs, so that only a row of which more is read needs the mask.
    """

    def attend(
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        kv_cache: GroupedCache | None = None,
        unmasked: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        function = own(module)
        views = kv_cache.views() if kv_cache is not None else []
        if not views and unmasked and kv_cache is not None and kv_cache.groups[0].is_even:
            attention_mask = None
        if not views or attention_mask is None:
            return function(module, query, key, value, attention_mask, **kwargs)
        outputs = []
        for group, keys, values in views:
            mask: Tensor | None = attention_mask
            if unmasked and group.is_even:
                mask = None
            elif len(attention_mask) > 1:  # of a step; a chunk has one mask for all rows
                mask = attention_mask[group.rows, :, :, : group.read]
            outputs.append(function(module, query[group.rows], keys, values, mask, **kwargs)[0])
        return torch.cat(outputs), None

    return attend


def _eager(module: nn.Module) -> Attend:
    """Each family has its own, beside its attention layer."""
    attend: Attend = sys.modules[type(module).__module__].eager_attention_forward
    return attend


_sdpa = PackedSdpa()
AttentionInterface.register(f"{PREFIX}sdpa", grouped(lambda module: _sdpa))
AttentionInterface.register(f"{PREFIX}eager", grouped(_eager))
AttentionMaskInterface.register(f"{PREFIX}sdpa", sdpa_mask)
AttentionMaskInterface.register(f"{PREFIX}eager", eager_mask)


def implementation(config: Any) -> str:
    """ "sdpa" or "eager": what calculates, grouped or not."""
    return str(config._attn_implementation).removeprefix(PREFIX)


def is_grouped(model: PreTrainedModel) -> bool:
    return str(model.config._attn_implementation).startswith(PREFIX)


def use_grouped(model: PreTrainedModel, wanted: bool) -> None:
    """Let a model attend by groups, or as it did before. Nothing changes where its family has no such choice."""
    name = implementation(model.config)
    if model._can_set_attn_implementation():
        model.set_attn_implementation(f"{PREFIX}{name}" if wanted else name)
