"""Attention over conversations that lie end to end in one row: each is attended to on its own, without a mask.

A mask would have every conversation scored against all others, and the scores thrown away; and without one, torch has
a kernel on a CPU that keeps no scores.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

SDPA, BY_CONVERSATION = "sdpa", "sdpa_by_conversation"


def attend_by_conversation(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    cu_seq_lens_q: Tensor,
    **settings: Any,
) -> tuple[Tensor, None]:
    """Causal attention of query [1, heads, tokens, head_dim] within each conversation: [1, tokens, heads, head_dim].

    cu_seq_lens_q: where conversations begin and, last, where the row ends, as transformers names it.
    """
    lengths = cu_seq_lens_q.diff().tolist()
    parts = zip(query.split(lengths, 2), key.split(lengths, 2), value.split(lengths, 2), strict=True)
    attended = [sdpa_attention_forward(module, *part, None, **settings)[0] for part in parts]
    return torch.cat(attended, dim=1) if len(attended) > 1 else attended[0], None


def make_no_mask(*args: Any, **kwargs: Any) -> None:
    """The mask of such a row: none, as what would be masked is never calculated."""


AttentionInterface.register(BY_CONVERSATION, attend_by_conversation)
AttentionMaskInterface.register(BY_CONVERSATION, make_no_mask)


@contextmanager
def attention_by_conversation(model: PreTrainedModel) -> Iterator[None]:
    """Meanwhile `model` takes rows with cu_seq_lens_q, forward and backward.

    Its attention is sdpa otherwise, and none of its layers has a window.
    """
    config = model.config.get_text_config()
    config._attn_implementation = BY_CONVERSATION
    try:
        yield
    finally:
        config._attn_implementation = SDPA
