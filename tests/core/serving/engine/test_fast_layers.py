"""Attention and norms with fewer operators give what transformers' own give."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch

from adapters.common.errors import UserError
from core.serving.engine import build
from core.serving.engine.fast_layers import ATTENTIONS, NORMS, FastAttention, FastNorm, Rotation, use_fast_layers
from core.serving.engine.model_check import check_against_model
from tests.core.serving import tiny
from tests.core.serving.running import Running

FAST = ["llama", "mistral", "qwen2", "qwen3"]


def part(model: Any, kinds: frozenset[str]) -> Any:
    return next(module for module in model.modules() if type(module).__name__ in kinds)


@pytest.mark.parametrize("family", FAST)
def test_a_norm_gives_what_transformers_gives(family: str) -> None:
    torch.manual_seed(0)
    norm = part(tiny.model(family), NORMS)
    with torch.inference_mode():
        norm.weight.copy_(torch.rand_like(norm.weight))
        x = torch.randn(3, 2, len(norm.weight)) * 50
        x[1, 0] = 0
        torch.testing.assert_close(FastNorm(norm)(x), norm(x))


@pytest.mark.parametrize("family", FAST)
def test_the_rotation_in_place_is_transformers_rotation(family: str) -> None:
    torch.manual_seed(0)
    rows, new, heads, dim = 3, 4, 5, 16
    queries, keys = torch.randn(rows, new, heads, dim), torch.randn(rows, new, 2, dim)
    angles = torch.rand(rows, new, dim // 2).repeat(1, 1, 2)
    cos, sin = angles.cos(), angles.sin()
    module = sys.modules[type(part(tiny.model(family), ATTENTIONS)).__module__]
    expected = module.apply_rotary_pos_emb(queries.transpose(1, 2), keys.transpose(1, 2), cos, sin)
    rotation = Rotation()
    rotation.prepare(cos, sin)
    for x, rotated in zip((queries, keys), expected, strict=True):
        rotation.rotate(x)
        torch.testing.assert_close(x.transpose(1, 2), rotated)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_the_engine_uses_them_where_it_knows_the_family_and_calculates_as_the_model_does(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[int] = []
    monkeypatch.setattr(build, "use_fast_layers", lambda model: used.append(use_fast_layers(model)))
    model = tiny.model(family)
    with Running(model, max_rows=8) as running:
        forward, length = running.engine.forward, running.engine.max_length
        running.engine.call(lambda: check_against_model(forward, length, tolerance=1e-4)).result()
    is_known = family.split("-")[0] in FAST
    assert used == [model.config.num_hidden_layers if is_known else 0]


def test_a_call_without_the_engines_cache_is_transformers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.model("llama")
    attention = part(model, ATTENTIONS)
    fast = FastAttention(attention, Rotation())
    seen: list[str] = []
    monkeypatch.setattr(fast, "_plain", lambda *_, **kwargs: seen.append("plain"))
    cos = torch.ones(1, 2, attention.head_dim)
    fast(torch.randn(1, 2, model.config.hidden_size), position_embeddings=(cos, cos), attention_mask=None)
    assert seen == ["plain"]


def test_a_module_of_the_same_name_from_elsewhere_is_left_as_it_is() -> None:
    class LlamaRMSNorm(torch.nn.Module):
        """Not Llama's: it adds 1 to its weight."""

        def __init__(self) -> None:
            super().__init__()
            self.weight, self.variance_epsilon = torch.nn.Parameter(torch.zeros(32)), 1e-6

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.rms_norm(x, (32,), 1 + self.weight, self.variance_epsilon)

    model = tiny.model("llama")
    model.model.norm = LlamaRMSNorm()
    use_fast_layers(model)
    assert "forward" not in vars(model.model.norm)
    assert isinstance(vars(model.model.layers[0].input_layernorm)["forward"], FastNorm)


def test_the_check_finds_a_norm_that_is_not_transformers() -> None:
    model = tiny.model("llama")
    with Running(model, max_rows=8) as running:
        forward, length = running.engine.forward, running.engine.max_length
        vars(model.model.norm)["forward"].weight = torch.rand(len(model.model.norm.weight)) + 2
        with pytest.raises(UserError, match="logits differ"):
            running.engine.call(lambda: check_against_model(forward, length, tolerance=1e-2)).result()
