"""4-bit weights as the plain numbers that their codes stand for, so that nobody has to unpack them again."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


def is_packed(layer: nn.Module) -> bool:
    """Whether the layer's weight is in bitsandbytes' 4 bit."""
    from bitsandbytes.nn import Linear4bit

    return isinstance(layer, Linear4bit)


def written_out(layer: Any) -> Tensor:
    """The weight [out, in] as plain numbers; those of a 4-bit layer are what its codes stand for."""
    if not is_packed(layer):
        weight: Tensor = layer.weight.detach()
        return weight
    from bitsandbytes.functional import dequantize_4bit

    values: Tensor = dequantize_4bit(layer.weight.data, layer.weight.quant_state)
    return values


def write_out(model: nn.Module) -> None:
    """Replace every 4-bit layer of `model` by one with the same values as plain numbers, frozen as it was."""
    packed = [(path, layer) for path, layer in model.named_modules() if is_packed(layer)]
    for path, layer in packed:
        plain = nn.Linear(layer.in_features, layer.out_features, bias=False, device="meta")
        plain.weight = nn.Parameter(written_out(layer), requires_grad=False)
        plain.bias = layer.bias
        model.set_submodule(path, plain)
