"""How the base's 4-bit weights are kept while serving: as they are, or written out once into plain numbers."""

from __future__ import annotations

from typing import Any

import psutil
import torch
from torch import nn

from core.device import Choice

PACKED, PLAIN = "packed", "plain"
SHARE_OF_MEMORY = 0.5  # plain weights may take this much of what is free


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


def _packed_layers(model: nn.Module) -> dict[str, Any]:
    from bitsandbytes.nn import Linear4bit

    return {path: module for path, module in model.named_modules() if isinstance(module, Linear4bit)}
