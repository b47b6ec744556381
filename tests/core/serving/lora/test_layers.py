"""Layers with slots: each token meets the adapter of its own row and no other, in both ways of calculating it."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor, nn

from core.serving.lora.layers import BASE, LoraRouting, MultiLoraLinear, SharedLoraA

IN, OUT, COUNT = 24, (40, 16), 5
Pair = tuple[Tensor, Tensor]


def layers_with_slots(routing: LoraRouting) -> tuple[list[MultiLoraLinear], list[dict[int, Pair]]]:
    """Two layers that read one input, and what was put into their slots; slot 4 leaves the second layer alone."""
    lora_a = SharedLoraA(routing, COUNT, IN, torch.float32, torch.device("cpu"))
    layers = [MultiLoraLinear(nn.Linear(IN, out), lora_a, torch.float32) for out in OUT]
    pairs: list[dict[int, Pair]] = [{}, {}]
    for slot, rank in enumerate((3, 8, 16, 1, 9)):
        lora_a.grow(rank)  # what is in the other slots must stay
        for layer, held in zip(layers, pairs, strict=True):
            if (slot, layer) != (4, layers[1]):
                held[slot] = torch.randn(IN, rank), torch.randn(rank, layer.out_features)
            layer.set_lora(slot, held.get(slot))
    return layers, pairs


def expected(layer: MultiLoraLinear, pairs: dict[int, Pair], slots: list[int], x: Tensor) -> Tensor:
    rows = []
    for slot, row in zip(slots, x, strict=True):
        a, b = pairs.get(slot, (torch.zeros(IN, 1), torch.zeros(1, layer.out_features)))
        rows.append(layer.base(row) + row @ a @ b)
    return torch.stack(rows)


@pytest.mark.parametrize("grouped", [True, False], ids=["grouped", "stacked"])
@torch.inference_mode()
def test_each_token_meets_its_own_rows_adapter_only(grouped: bool) -> None:
    torch.manual_seed(0)
    routing = LoraRouting(COUNT, torch.device("cpu"), grouped=grouped)
    layers, pairs = layers_with_slots(routing)
    chance = random.Random(0)
    known = [[BASE], [2], [0, 1, 2, 3], [2, 2, 2], [4, 1], [0, BASE], [0, 0], [1, 4, BASE, 1, 1, 3]]
    drawn = [[chance.randint(BASE, COUNT - 1) for _ in range(chance.randint(1, 9))] for _ in range(60)]
    for slots in known + drawn:
        tokens = chance.choice((1, 1, 3))
        x = torch.randn(len(slots), tokens, IN)
        routing.set(slots, torch.tensor(slots), tokens)
        for layer, held in zip(layers, pairs, strict=True):
            wanted = expected(layer, held, slots, x)
            torch.testing.assert_close(layer(x), wanted, rtol=1e-4, atol=1e-3, msg=f"slots {slots}")


@pytest.mark.parametrize("grouped", [True, False], ids=["grouped", "stacked"])
@torch.inference_mode()
def test_an_adapter_that_overflows_spoils_its_own_rows_only(grouped: bool) -> None:
    torch.manual_seed(0)
    routing = LoraRouting(COUNT, torch.device("cpu"), grouped=grouped)
    layers, pairs = layers_with_slots(routing)
    a, b = pairs[0][2]
    pairs[0][2] = torch.full_like(a, 3e38), b
    layers[0].set_lora(2, pairs[0][2])
    for slots in ([0, 2, 1], [BASE, 2, 2, 3], [1, 3, 1]):
        x = torch.rand(len(slots), 1, IN) + 1
        routing.set(slots, torch.tensor(slots), 1)
        found, wanted = layers[0](x), expected(layers[0], pairs[0], slots, x)
        for row, slot in enumerate(slots):
            if slot == 2:
                assert not found[row].isfinite().all(), "the overflow is there"
            else:
                torch.testing.assert_close(found[row], wanted[row], rtol=1e-4, atol=1e-3)
