"""Which of torch's attention kernels a CUDA card takes, and what each of them keeps."""

from __future__ import annotations

from collections import Counter
from typing import Any
from unittest import mock

import torch
from torch import Tensor

FLASH, EFFICIENT, MATH = "flash", "efficient", "math"
ALIGNED = 16  # the efficient kernel wants masks whose rows are so many numbers apart


class Attention:
    """scaled_dot_product_attention with the choice that torch makes on CUDA (aten/.../cuda/sdp_utils.cpp).

    It takes the function's place in torch.nn.functional, since a mode would not reach the thread of the backward.
    chosen: how often each kernel was.
    """

    def __init__(self, *, has_flash: bool) -> None:
        self.has_flash = has_flash
        self.chosen: Counter[str] = Counter()

    def installed(self) -> Any:
        return mock.patch.object(torch.nn.functional, "scaled_dot_product_attention", self.attend)

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        plain = torch._C._nn.scaled_dot_product_attention
        if query.device.type == "cuda":
            check_dtypes(query, key, value, attn_mask)
            kernel = self._choose(query, key, attn_mask)
            self.chosen[kernel] += 1
            if kernel == FLASH:
                flash = torch.ops.aten._scaled_dot_product_flash_attention
                return flash(query, key, value, dropout_p, is_causal, False, scale=scale)[0]  # type: ignore[no-any-return]
            if kernel == EFFICIENT:
                efficient = torch.ops.aten._scaled_dot_product_efficient_attention
                keeps = torch.is_grad_enabled() and any(each.requires_grad for each in (query, key, value))
                bias = None if attn_mask is None else as_bias(attn_mask, query, key)
                return efficient(query, key, value, bias, keeps, dropout_p, is_causal, scale=scale)[0]  # type: ignore[no-any-return]
        result: Tensor = plain(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)
        return result

    def _choose(self, query: Tensor, key: Tensor, mask: Tensor | None) -> str:
        in_half = query.dtype in (torch.float16, torch.bfloat16)
        if in_half and mask is None and self.has_flash:
            return FLASH
        is_grouped = query.shape[1] != key.shape[1]
        if is_grouped or (query.dtype == torch.bfloat16 and not self.has_flash):
            return MATH
        return EFFICIENT


def check_dtypes(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> None:
    """What torch refuses on a card."""
    if not query.dtype == key.dtype == value.dtype:
        found = ", ".join(str(each.dtype) for each in (query, key, value))
        raise RuntimeError(f"Expected query, key, and value of one dtype, got {found}")
    if mask is not None and mask.dtype not in (torch.bool, query.dtype):
        raise RuntimeError(f"invalid dtype for bias: {mask.dtype}, should match query's {query.dtype}")


def as_bias(mask: Tensor, query: Tensor, key: Tensor) -> Tensor:
    """The efficient kernel takes numbers to add, padded to aligned rows."""
    if mask.dtype == torch.bool:
        mask = torch.zeros_like(mask, dtype=query.dtype).masked_fill_(mask.logical_not(), float("-inf"))
    if rest := -mask.shape[-1] % ALIGNED:
        mask = torch.nn.functional.pad(mask, (0, rest))[..., : mask.shape[-1]]
    return mask.expand(query.shape[0], query.shape[1], query.shape[2], key.shape[2])
