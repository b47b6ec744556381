"""How the base's 4-bit weights are kept while serving: as they are, or written out once into plain numbers."""

from __future__ import annotations

from typing import Any

import psutil
import torch
from torch import Tensor, nn

from core.models.device import Choice

PACKED, PLAIN = "packed", "plain"
SHARE_OF_MEMORY = 0.5  # plain weights may take this much of what is free,
SECOND_SHARE = 0.25  # and their second copy this much of what is free then: a training run needs the rest
LARGE = 3 << 17  # numbers in a weight; below, oneDNN's larger start-up costs eat the gain
TYPICAL_ROWS = 8


def choose_weights(model: nn.Module, device: torch.device) -> Choice:
    """Whether to keep NF4 weights packed or write their values out (the same numbers, more memory, no unpacking)."""
    layers = _packed_layers(model)
    if not layers:
        return Choice(PLAIN, "the base is not quantised")
    if device.type != "cpu":
        return Choice(PACKED, "on a GPU the 4-bit product is fused and reads a quarter of the bytes")
    need = sum(layer.in_features * layer.out_features for layer in layers.values()) * model.dtype.itemsize
    free = psutil.virtual_memory().available
    if need > SHARE_OF_MEMORY * free:
        return Choice(PACKED, f"written out they would take {need / 2**30:.1f} GiB of {free / 2**30:.1f} GiB free")
    return Choice(
        PLAIN,
        f"on CPU the 4-bit product is several times slower than the plain one; the same NF4 values written out take "
        f"{need / 2**20:.0f} MiB of {free / 2**30:.1f} GiB free",
    )


def write_out(model: nn.Module) -> None:
    """Replace every 4-bit linear layer by a plain one that holds the very values its NF4 codes stand for."""
    from bitsandbytes.functional import dequantize_4bit

    for path, layer in _packed_layers(model).items():
        weight = dequantize_4bit(layer.weight.data, layer.weight.quant_state).to(model.dtype)
        # Input-major in memory: with a few rows, CPU products take up to half the time of output-major ones.
        weight = weight.t().contiguous().t()
        plain = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
        plain.weight = nn.Parameter(weight, requires_grad=False)
        if layer.bias is not None:
            plain.bias = nn.Parameter(layer.bias.data.to(model.dtype), requires_grad=False)
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, plain)


class BatchedLinear(nn.Linear):
    """A plain linear layer with a second copy of its weight in oneDNN's own layout, for more than one token.

    With one token torch's usual product reads a weight as fast as memory gives it; with four to eight it takes two to
    three times as long. oneDNN's takes a sixth longer for one token, and little more than that for eight.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer.in_features, layer.out_features, layer.bias is not None, device="meta")
        self.weight, self.bias = layer.weight, layer.bias
        self._blocked = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), TYPICAL_ROWS)

    def forward(self, input: Tensor) -> Tensor:
        if input.numel() == self.in_features:
            return nn.functional.linear(input, self.weight, self.bias)
        product: Tensor = torch.ops.mkldnn._linear_pointwise(input, self._blocked, self.bias, "none", [], "")
        return product


def choose_batched(model: nn.Module, device: torch.device) -> Choice:
    """Whether large plain layers get a second copy of their weights for steps of several rows."""
    if device.type != "cpu":
        return Choice("off", "on a GPU one layout serves any number of rows")
    if model.dtype != torch.float32 or not torch.backends.mkldnn.is_available():
        return Choice("off", "it is for weights in float32, and needs oneDNN")
    need = sum(layer.weight.nbytes for layer in _large_layers(model).values())
    free = psutil.virtual_memory().available
    if not need:
        return Choice("off", "no layer is written out and large enough to gain by it")
    if need > SECOND_SHARE * free:
        return Choice("off", f"the second copy would take {need / 2**30:.1f} GiB of {free / 2**30:.1f} GiB free")
    return Choice(
        "on",
        f"steps of several rows are up to twice as fast; {need / 2**20:.0f} MiB of {free / 2**30:.1f} GiB free",
    )


def add_batched(model: nn.Module) -> None:
    """Give every large plain layer its second copy."""
    for path, layer in _large_layers(model).items():
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, BatchedLinear(layer))


def _large_layers(model: nn.Module) -> dict[str, nn.Linear]:
    return {
        path: module
        for path, module in model.named_modules()
        if type(module) is nn.Linear and module.weight.numel() >= LARGE
    }


def _packed_layers(model: nn.Module) -> dict[str, Any]:
    from bitsandbytes.nn import Linear4bit

    return {path: module for path, module in model.named_modules() if isinstance(module, Linear4bit)}
