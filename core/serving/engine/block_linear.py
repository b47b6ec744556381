"""Linear layers whose weight stays in blocks of 4-bit codes, or of 8 bits, and is multiplied as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from core.models.writing_out import is_packed, written_out
from core.serving.engine.linear_forms import ConvertedLinear, joined_bias
from core.serving.kernels import runtime
from core.serving.kernels.layout import BLOCK, INT8, LEVELS, NF4, OUTPUTS, PLACES

INT8_LEVELS = 127


@dataclass(frozen=True, eq=False)
class BlockWeight:
    """A weight [out, in] as codes, row by row, with a scale for each block of 64 numbers of a row.

    kind NF4: uint8 [out * in / 2], bitsandbytes' own codes, which are not copied. INT8: int8 [out, in in whole blocks].
    scales: float32 [out, blocks].
    """

    kind: int
    codes: Tensor
    scales: Tensor
    out_features: int

    @property
    def code_bytes(self) -> int:
        """Of one output."""
        return self.codes.nbytes // self.out_features


def is_block_nf4(layer: Any) -> bool:
    """Whether the layer's codes can be multiplied as they are: NF4 in blocks of 64 that do not go over a row's end."""
    if not is_packed(layer):
        return False
    state = layer.weight.quant_state
    return (
        state.quant_type == "nf4"
        and state.blocksize == BLOCK
        and layer.in_features % BLOCK == 0
        and not getattr(state, "packing_format_for_cpu", False)
    )


class BlockLinear(ConvertedLinear):
    """NF4 codes as they are, and int8 for what has none, times inputs that are rounded to 16-bit integers.

    It reads a seventh of what fp32 takes. NF4's levels are rounded to 1/8191 and inputs to 1/32767 of a row's largest,
    so that a product differs from the exact one by some 0.01 %. A row's result does not depend on the other rows.
    """

    def __init__(self, parts: Sequence[BlockWeight], in_features: int, bias: Tensor | None) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = in_features, sum(part.out_features for part in parts)
        self.register_parameter("bias", None if bias is None else nn.Parameter(bias, requires_grad=False))
        self.register_parameter("weight", None)
        self.parts = list(parts)
        self._tasks = np.array(self.tasks())

    @classmethod
    def of(cls, layers: Sequence[Any], dtype: torch.dtype) -> Self:
        return cls([block_weight(layer) for layer in layers], layers[0].in_features, joined_bias(layers, dtype))

    @classmethod
    def why_not(cls, out_features: int, in_features: int) -> str:
        return runtime.why_not()

    @classmethod
    def bytes_for(cls, layer: Any) -> int:
        """What it takes beside the codes that are there already: scales, and int8 for what is not NF4."""
        blocks: int = layer.out_features * -(-layer.in_features // BLOCK)
        return blocks * 4 + (0 if is_block_nf4(layer) else blocks * BLOCK)

    def tasks(self, members: Sequence[int] = ()) -> list[list[int]]:
        """The rows of the kernels' table of tasks. members: the member that each part is, for LoRA."""
        rows, first = [], 0
        bias_at = 0 if self.bias is None else self.bias.data_ptr()
        for part, member in zip(self.parts, members or [-1] * len(self.parts), strict=True):
            for start in range(0, part.out_features, OUTPUTS):
                codes = part.codes.data_ptr() + start * part.code_bytes
                scales = part.scales.data_ptr() + start * part.scales.shape[1] * 4
                bias = bias_at + 4 * (first + start) if bias_at else 0
                outputs = min(OUTPUTS, part.out_features - start)
                rows.append([codes, scales, bias, part.kind, first + start, outputs, member])
            first += part.out_features
        return rows

    def forward(self, input: Tensor) -> Tensor:
        x = input.detach().reshape(-1, self.in_features).contiguous()
        y = torch.empty(len(x), self.out_features)
        runtime.use_threads(torch.get_num_threads())
        runtime.kernels().multiply(self._tasks, x.numpy(), y.numpy())
        return y.view(*input.shape[:-1], self.out_features)


def block_weight(layer: Any) -> BlockWeight:
    """The layer's own codes where they can be multiplied as they are, else its numbers as int8."""
    if is_block_nf4(layer):
        return _nf4(layer)
    return int8_blocks(written_out(layer).float())


def int8_blocks(weight: Tensor) -> BlockWeight:
    """weight: [out, in]. A block's scale is its largest magnitude / 127 ("absmax", as in LLM.int8, Dettmers et al.
    2022, but for blocks)."""
    padded = nn.functional.pad(weight, (0, -weight.shape[1] % BLOCK)).view(len(weight), -1, BLOCK)
    scales = (padded.abs().amax(-1) / INT8_LEVELS).clamp_(min=torch.finfo(torch.float32).tiny)
    codes = (padded / scales[..., None]).round_().to(torch.int8)[..., list(PLACES)]
    return BlockWeight(INT8, codes.contiguous(), scales, len(weight))


def _nf4(layer: Any) -> BlockWeight:
    from bitsandbytes.functional import dequantize_blockwise

    state = layer.weight.quant_state
    largest = state.absmax
    if state.nested:
        largest = dequantize_blockwise(largest, state.state2) + state.offset
    scales = (largest.float() / LEVELS).view(layer.out_features, -1).contiguous()
    return BlockWeight(NF4, layer.weight.data.detach().contiguous(), scales, layer.out_features)
