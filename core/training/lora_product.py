"""LoRA on a base in plain numbers, on a CPU: base and adapter as one product, which passes over its output once.

PEFT calculates base, adapter, scaling and sum one after the other, each of them a pass over memory forward and another
one backward; here the adapter's product is added by the multiplication itself.
"""

from __future__ import annotations

from typing import Any

import torch
from peft import LoraConfig
from peft.tuners import lora
from torch import Tensor, nn


class LoraProduct(torch.autograd.Function):
    """x W^T + bias + scaling * (x A^T) B^T for x [..., in], W [out, in] (frozen), A [r, in], B [out, r]."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor, scaling: float
    ) -> Tensor:
        rows = inputs.reshape(-1, inputs.shape[-1])
        between = rows @ down.t()
        output = nn.functional.linear(rows, weight, bias).addmm_(between, up.t(), alpha=scaling)
        ctx.save_for_backward(rows, weight, down, up, between)
        ctx.scaling, ctx.shape = scaling, inputs.shape
        return output.view(*inputs.shape[:-1], len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None, None, Tensor, Tensor, None]:
        rows, weight, down, up, between = ctx.saved_tensors
        gradient = gradients[0].reshape(-1, len(weight))
        of_between = (gradient @ up).mul_(ctx.scaling)
        of_inputs = None
        if ctx.needs_input_grad[0]:
            of_inputs = (gradient @ weight).addmm_(of_between, down).view(ctx.shape)
        of_up = (gradient.t() @ between).mul_(ctx.scaling)
        return of_inputs, None, None, of_between.t() @ rows, of_up, None


class LoraProductLinear(lora.Linear):
    """PEFT's layer, with this product wherever there is one plain adapter and no dropout at work."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        base: Any = self.get_base_layer()
        names = [name for name in self.active_adapters if name in self.lora_A]
        if args or kwargs or self.disable_adapters or self.merged or len(names) != 1 or self._is_special(names[0]):
            output: Tensor = super().forward(x, *args, **kwargs)
            return output
        down, up = self.lora_A[names[0]].weight, self.lora_B[names[0]].weight
        operands = x, base.weight, base.bias, down, up, self.scaling[names[0]]
        product: Tensor = LoraProduct.apply(*operands)  # type: ignore[no-untyped-call]
        return product

    def _is_special(self, name: str) -> bool:
        """Whether the adapter is more than two matrices (DoRA, a bias), or drops a part of its input now."""
        dropout = self.lora_dropout[name]
        drops = self.training and not isinstance(dropout, nn.Identity)
        return drops or name in self.lora_variant or self.lora_B[name].bias is not None


def use_lora_product(config: LoraConfig) -> None:
    """Have PEFT make these layers of linear ones; for a base that calculates on a CPU, in plain fp32 numbers."""
    config._register_custom_module({nn.Linear: LoraProductLinear})
