"""Which earlier tokens each new token may read: the 4-D masks that an unmodified transformers model takes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from core.serving.engine.grouped_attention import implementation

FULL, SLIDING = "full_attention", "sliding_attention"


class AttentionMasks:
    """Masks in the form the model expects, which transformers' own generate() derives from the same three facts:

    `layer_types` in the configuration: a mapping from layer type to mask; only `sliding_window`: one mask with a
    window; neither: one causal mask. Boolean for SDPA on a GPU, additive elsewhere.
    """

    def __init__(self, config: Any, dtype: torch.dtype, device: torch.device, length: int) -> None:
        types = getattr(config, "layer_types", None)
        window = getattr(config, "sliding_window", None)
        self.kinds: tuple[str, ...] = tuple(sorted(set(types))) if types else (SLIDING if window else FULL,)
        self.mapped = types is not None
        self.window: int = window or length
        # SDPA on a CPU takes either, but would turn a boolean mask into an additive one in every layer.
        self.additive = implementation(config) == "eager" or device.type == "cpu"
        self.dtype = dtype
        self.positions = torch.arange(length, device=device)

    def chunk(self, start: int, stop: int) -> Any:
        """For tokens start..stop-1 that read all up to themselves; masks of shape [1, 1, stop - start, stop]."""
        return self._build(self.positions[None, start:stop], stop)

    def step(self, positions: Tensor, read: int) -> Any:
        """For one token per row at `positions` [rows] over `read` cached tokens; masks of shape [rows, 1, 1, read]."""
        return self._build(positions[:, None], read)

    def _build(self, positions: Tensor, read: int) -> Any:
        keys = self.positions[:read]
        causal = keys <= positions[..., None]  # [rows, new, read]
        masks: dict[str, Tensor] = {}
        for kind in self.kinds:
            mask = causal
            if kind == SLIDING and read > self.window:
                mask = causal & (keys > positions[..., None] - self.window)
            masks[kind] = self._to_model_form(mask[:, None])
        return masks if self.mapped else masks[self.kinds[0]]

    def _to_model_form(self, mask: Tensor) -> Tensor:
        if not self.additive:
            return mask
        zero = torch.zeros((), dtype=self.dtype, device=mask.device)
        return torch.where(mask, zero, torch.finfo(self.dtype).min)
