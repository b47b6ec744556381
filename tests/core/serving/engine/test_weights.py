"""How the engine keeps the base's weights: the numbers that come out are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from core.models.base import load_model
from core.serving.engine.weights import BatchedLinear, add_batched, choose_batched, write_out
from tests.core.serving import tiny


@pytest.mark.parametrize("bias", [False, True])
def test_a_batched_layer_gives_the_plain_ones_numbers(bias: bool) -> None:
    torch.manual_seed(0)
    plain = nn.Linear(512, 1024, bias=bias)
    batched = BatchedLinear(plain)
    with torch.inference_mode():
        for shape in ((1, 1, 512), (1, 2, 512), (8, 1, 512), (2, 16, 512)):
            x = torch.randn(shape)
            assert batched(x).shape == (*shape[:2], 1024)
            torch.testing.assert_close(batched(x), plain(x), rtol=1e-5, atol=1e-5)


def test_only_large_plain_layers_get_a_second_copy(tmp_path: Path) -> None:
    sizes: dict[str, Any] = {
        "hidden_size": 512,
        "intermediate_size": 1024,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
    }
    model = load_model(tiny.source(tiny.base_folder(tmp_path / "base", num_hidden_layers=1, **sizes)))
    assert choose_batched(model, model.device).value == "off", "packed layers stay as they are"
    tokens = torch.arange(12).view(2, 6)
    with torch.inference_mode():
        write_out(model)
        assert choose_batched(model, model.device).value == "on"
        before = model(input_ids=tokens).logits
        add_batched(model)
        torch.testing.assert_close(model(input_ids=tokens).logits, before, rtol=1e-4, atol=1e-4)
    layer = model.model.layers[0]
    assert isinstance(layer.mlp.up_proj, BatchedLinear)
    assert not isinstance(layer.self_attn.k_proj, BatchedLinear), "too small to gain by it"
