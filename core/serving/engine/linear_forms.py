"""The forms in which a linear layer can keep its weight on a CPU. All take and give the model's own dtype, so that what
lies between the layers, adapters and the cache included, is the same for every form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from core.models.writing_out import written_out

LARGE = 3 << 17  # numbers in a weight; below, oneDNN's larger start-up costs eat the gain
TYPICAL_ROWS = 8
FEW_ROWS = 32  # up to these, int8 values are multiplied as they are; beyond, they are made bf16 for that product
INT8_LEVELS = 127
INT8_BLOCK = 32  # _weight_int8pack_mm reads past the end of rows whose length is no multiple of its vectors


class ConvertedLinear(nn.Linear):
    """A linear layer made from a weight [out, in] and a bias [out] or None, of which nothing is trained."""

    bytes_per_weight: int

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__(weight.shape[1], weight.shape[0], bias is not None, device="meta")
        if bias is not None:
            self.bias = nn.Parameter(bias, requires_grad=False)
        self.convert(weight)

    @classmethod
    def of(cls, layers: Sequence[Any], dtype: torch.dtype) -> Self:
        """One layer in this form for these layers, whose outputs lie behind one another."""
        weights = [written_out(layer).to(dtype) for layer in layers]
        return cls(weights[0] if len(weights) == 1 else torch.cat(weights), joined_bias(layers, dtype))

    @classmethod
    def why_not(cls, out_features: int, in_features: int) -> str:
        """Why a weight of this shape cannot be kept in this form here; empty when it can."""
        return ""

    @classmethod
    def bytes_for(cls, layer: Any) -> int:
        """What the form takes for this layer."""
        return int(cls.bytes_per_weight * layer.in_features * layer.out_features)

    def convert(self, weight: Tensor) -> None:
        raise NotImplementedError


class ExactLinear(ConvertedLinear):
    """The very numbers. Input-major in memory: with a few rows, CPU products take up to half the time of output-major
    ones."""

    bytes_per_weight = 4

    def convert(self, weight: Tensor) -> None:
        self.weight = nn.Parameter(weight.t().contiguous().t(), requires_grad=False)


class BatchedLinear(ExactLinear):
    """The very numbers twice, the second time in oneDNN's own layout, for more than one token.

    With one token torch's usual product reads a weight as fast as memory gives it; with four to eight it takes two to
    three times as long. oneDNN's takes a sixth longer for one token, and little more than that for eight.
    """

    bytes_per_weight = 8

    def convert(self, weight: Tensor) -> None:
        super().convert(weight)
        self._blocked = torch.ops.mkldnn._reorder_linear_weight(self.weight.detach(), TYPICAL_ROWS)

    @classmethod
    def why_not(cls, out_features: int, in_features: int) -> str:
        if not torch.backends.mkldnn.is_available():
            return "this torch has no oneDNN"
        return "" if out_features * in_features >= LARGE else "too small to gain by it"

    def forward(self, input: Tensor) -> Tensor:
        if input.numel() == self.in_features:
            return nn.functional.linear(input, self.weight, self.bias)
        product: Tensor = torch.ops.mkldnn._linear_pointwise(input, self._blocked, self.bias, "none", [], "")
        return product


class Fp16Linear(ConvertedLinear):
    """fp16 weights, which FBGEMM multiplies by fp32 inputs in fp32: half the reading, on any x86 since 2013."""

    bytes_per_weight = 2

    @classmethod
    def why_not(cls, out_features: int, in_features: int) -> str:
        return "" if "fbgemm" in torch.backends.quantized.supported_engines else "this torch has no FBGEMM"

    def convert(self, weight: Tensor) -> None:
        self.register_parameter("weight", None)
        self._packed = torch.ops.quantized.linear_prepack_fp16(weight.contiguous(), self.bias)

    def forward(self, input: Tensor) -> Tensor:
        product: Tensor = torch.ops.quantized.linear_dynamic_fp16.default(input, self._packed)
        return product


class Bf16Linear(ConvertedLinear):
    """bf16 weights and inputs: half the reading, and fast where the processor multiplies bf16."""

    bytes_per_weight = 2

    def convert(self, weight: Tensor) -> None:
        self.weight = nn.Parameter(weight.to(torch.bfloat16).contiguous(), requires_grad=False)

    def forward(self, input: Tensor) -> Tensor:
        product = nn.functional.linear(input.to(torch.bfloat16), self.weight).to(input.dtype)
        return product if self.bias is None else product.add_(self.bias)


class Int8Linear(ConvertedLinear):
    """int8 values with a scale per output, and bf16 inputs: a quarter of the reading.

    A weight is scale * value, and a scale is its row's largest magnitude / 127 (the symmetric "absmax" quantisation of
    LLM.int8, Dettmers et al. 2022). Every int8 value is a bf16 number, so that both products below are the same sum.
    """

    bytes_per_weight = 1
    _scales: Tensor

    @classmethod
    def why_not(cls, out_features: int, in_features: int) -> str:
        return f"rows of {in_features} are no multiple of {INT8_BLOCK}" if in_features % INT8_BLOCK else ""

    def convert(self, weight: Tensor) -> None:
        scales = (weight.abs().amax(1) / INT8_LEVELS).clamp(min=torch.finfo(torch.float32).tiny).to(torch.bfloat16)
        # Divided by the scales as they are rounded to bf16, so that their rounding is no further error.
        values = (weight / scales[:, None]).round_().clamp_(-INT8_LEVELS, INT8_LEVELS).to(torch.int8)
        self.weight = nn.Parameter(values, requires_grad=False)
        self.register_buffer("_scales", scales, persistent=False)

    def forward(self, input: Tensor) -> Tensor:
        rows = input.reshape(-1, self.in_features).to(torch.bfloat16)
        if len(rows) <= FEW_ROWS:
            product: Tensor = torch.ops.aten._weight_int8pack_mm(rows, self.weight, self._scales)
        else:
            product = nn.functional.linear(rows, self.weight.to(torch.bfloat16)) * self._scales
        product = product.to(input.dtype).view(*input.shape[:-1], self.out_features)
        return product if self.bias is None else product.add_(self.bias)


def joined_bias(layers: Sequence[Any], dtype: torch.dtype) -> Tensor | None:
    """The biases of these layers behind one another, zeros for those without; None when no layer has one."""
    if all(layer.bias is None for layer in layers):
        return None
    biases = [torch.zeros(layer.out_features) if layer.bias is None else layer.bias.detach() for layer in layers]
    return torch.cat(biases).to(dtype)
