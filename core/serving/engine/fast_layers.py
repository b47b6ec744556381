"""Attention and norms of transformers' Llama kind with fewer operators: the same sums, as the engine calls them.

A small base's step on a CPU is bound by the number of operators, most of which are in the norms and in the rotary
embedding. What is here takes the place of a module's forward; `plain_layers` puts transformers' own back for a while,
so that the check of the engine compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, PreTrainedModel

FAMILIES = "transformers.models."  # a module of the same name from elsewhere may calculate something else
# Modules whose forward is, line by line, that of transformers' Llama, but for the parts that `FastAttention` knows:
# biases and a window are elsewhere, and queries and keys may be normed.
ATTENTIONS = frozenset({"LlamaAttention", "MistralAttention", "Qwen2Attention", "Qwen3Attention"})
ATTENTION_FUNCTIONS = AttentionInterface()
NORMS = frozenset({"LlamaRMSNorm", "MistralRMSNorm", "Qwen2RMSNorm", "Qwen3RMSNorm"})


def use_fast_layers(model: PreTrainedModel) -> int:
    """Let the modules of these kinds work as here; the result: how many attentions do. For a CPU, in float32."""
    rotation = Rotation()
    attentions = 0
    for module in list(model.modules()):
        name = type(module).__name__
        if not type(module).__module__.startswith(FAMILIES):
            continue
        if name in NORMS:
            module.forward = FastNorm(module)
        elif name in ATTENTIONS:
            module.forward = FastAttention(module, rotation)
            attentions += 1
    return attentions


@contextmanager
def plain_layers(model: PreTrainedModel) -> Iterator[None]:
    """While this lasts, the model calculates as transformers has it."""
    replaced = [
        (module, vars(module).pop("forward"))
        for module in model.modules()
        if isinstance(vars(module).get("forward"), FastNorm | FastAttention)
    ]
    try:
        yield
    finally:
        for module, forward in replaced:
            module.forward = forward


class FastNorm:
    """x / sqrt(mean(x²) + eps) * weight (Zhang and Sennrich 2019), with five operators instead of eight."""

    def __init__(self, norm: Any) -> None:
        self.weight: Tensor = norm.weight.detach()
        self._eps = torch.tensor(float(norm.variance_epsilon))
        self._share = 1 / len(self.weight)

    def __call__(self, hidden_states: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(hidden_states, dim=-1, keepdim=True)
        scale = torch.addcmul(self._eps, length, length, value=self._share).rsqrt_()
        return (hidden_states * scale).mul_(self.weight)


class Rotation:
    """The rotary embedding in place (Su et al. 2021, the halves as in transformers): x * cos + (-x2, x1) * sin."""

    def __init__(self) -> None:
        self._of: Tensor | None = None
        self._cos = self._sin = torch.empty(0)

    def prepare(self, cos: Tensor, sin: Tensor) -> None:
        """cos, sin: [rows, new, dim], the same tensors for all layers of a forward, which are prepared once."""
        if self._of is not cos:
            half = cos.shape[-1] // 2
            self._of, self._cos = cos, cos.unsqueeze(2)
            self._sin = torch.cat((-sin[..., :half], sin[..., half:]), -1).unsqueeze(2)

    def rotate(self, x: Tensor) -> None:
        """x: [rows, new, heads, dim]."""
        swapped = torch.roll(x, x.shape[-1] // 2, -1)
        x.mul_(self._cos).addcmul_(swapped, self._sin)


class FastAttention:
    """Queries, keys and values in their own memory from the product to the cache."""

    def __init__(self, attention: Any, rotation: Rotation) -> None:
        self.attention, self.rotation = attention, rotation
        self._plain = type(attention).forward
        self._is_normed = hasattr(attention, "q_norm")

    def __call__(self, hidden_states: Tensor, **kwargs: Any) -> tuple[Tensor, Tensor | None]:
        attention, cache = self.attention, kwargs.get("kv_cache")
        cos, sin = kwargs["position_embeddings"]
        if cache is None or cos.shape[-1] != attention.head_dim:
            plain: tuple[Tensor, Tensor | None] = self._plain(attention, hidden_states, **kwargs)
            return plain
        rows, new, _ = hidden_states.shape
        shape = (rows, new, -1, attention.head_dim)
        queries = attention.q_proj(hidden_states).view(shape)
        keys = attention.k_proj(hidden_states).view(shape)
        values = attention.v_proj(hidden_states).view(shape)
        if self._is_normed:
            queries, keys = attention.q_norm(queries), attention.k_norm(keys)
        self.rotation.prepare(cos, sin)
        self.rotation.rotate(queries)
        self.rotation.rotate(keys)
        keys, values = cache.update(keys.transpose(1, 2), values.transpose(1, 2), attention.layer_idx)
        attend = ATTENTION_FUNCTIONS.get_interface(attention.config._attn_implementation, None)
        attended, weights = attend(
            attention,
            queries.transpose(1, 2),
            keys,
            values,
            kwargs["attention_mask"],
            scaling=attention.scaling,
            dropout=0.0,
            kv_cache=cache,
            unmasked=kwargs.get("unmasked", False),
        )
        return attention.o_proj(attended.reshape(rows, new, -1)), weights
