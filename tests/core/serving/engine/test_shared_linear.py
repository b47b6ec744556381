"""Layers that read one input are one product: the same numbers, calculated once."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.serving.engine.linear_forms import BatchedLinear, ConvertedLinear, ExactLinear
from core.serving.engine.shared_linear import MemberLinear, share_product
from core.serving.engine.weights import FORMS, add_batched, convert_weights
from tests.core.serving import tiny

SIZES = (96, 32, 64)


def layers(kind: type[ConvertedLinear]) -> tuple[list[ConvertedLinear], list[MemberLinear]]:
    """Three layers, each alone and all as members of one product. The second has no bias."""
    torch.manual_seed(0)
    plain = [nn.Linear(64, size, bias=size != SIZES[1]).requires_grad_(False) for size in SIZES]
    alone = [kind.of([layer], torch.float32) for layer in plain]
    return alone, share_product(kind, plain, torch.float32)


@pytest.mark.parametrize("form", FORMS)
def test_members_give_what_the_layers_give_alone(form: str) -> None:
    alone, members = layers(FORMS[form])
    with torch.inference_mode():
        for rows in (1, 5):
            x = torch.randn(rows, 2, 64)
            for layer, member in zip(alone, members, strict=True):
                torch.testing.assert_close(member(x), layer(x), rtol=1e-5, atol=1e-4)


def test_members_read_each_input_once_and_keep_none(monkeypatch: pytest.MonkeyPatch) -> None:
    _, members = layers(ExactLinear)
    product, calls = members[0].product, 0
    plain = product.linear.forward

    def counted(x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return plain(x)

    monkeypatch.setattr(product.linear, "forward", counted)
    with torch.inference_mode():
        for _ in range(2):
            x = torch.randn(1, 64)
            outputs = [member(x) for member in members]
        outputs[1].zero_()  # as an adapter writes to its part
    assert calls == 2
    assert outputs[0].ne(0).all() and outputs[2].ne(0).all()
    assert product._x is None and not product._outputs


def test_a_member_that_is_asked_alone_gives_its_part_of_each_input() -> None:
    alone, members = layers(ExactLinear)
    with torch.inference_mode():
        for _ in range(3):
            x = torch.randn(2, 64)
            torch.testing.assert_close(members[1](x), alone[1](x))


def attention_and_mlp(model: Any) -> list[list[str]]:
    return [
        [f"model.layers.{layer}.{part}.{name}_proj" for name in names]
        for layer in range(model.config.num_hidden_layers)
        for part, names in (("self_attn", "qkv"), ("mlp", ("gate", "up")))
    ]


def test_a_base_with_shared_products_says_the_same_and_keeps_its_layers_names() -> None:
    plain = tiny.model("qwen2", hidden_size=64, intermediate_size=96)
    shared = tiny.model("qwen2", hidden_size=64, intermediate_size=96)
    names = {path: (layer.out_features, layer.in_features) for path, layer in linears(plain).items()}
    convert_weights(plain, "fp16")
    convert_weights(shared, "fp16", attention_and_mlp(shared))
    assert {path: (layer.out_features, layer.in_features) for path, layer in linears(shared).items()} == names
    assert isinstance(shared.model.layers[0].mlp.up_proj, MemberLinear)
    tokens = torch.arange(12).view(2, 6)
    with torch.inference_mode():
        torch.testing.assert_close(shared(input_ids=tokens).logits, plain(input_ids=tokens).logits)


def test_a_form_that_one_of_them_cannot_take_leaves_them_alone() -> None:
    model = tiny.model("llama", hidden_size=80, intermediate_size=96)
    convert_weights(model, "int8", attention_and_mlp(model))
    assert not any(isinstance(layer, MemberLinear) for layer in linears(model).values())


def test_a_large_exact_product_gets_its_second_copy() -> None:
    plain = [nn.Linear(512, 512, bias=False).requires_grad_(False) for _ in range(2)]
    members = share_product(ExactLinear, plain, torch.float32)
    model = nn.Sequential(*members)
    x = torch.randn(4, 512)
    with torch.inference_mode():
        before = [member(x).clone() for member in members]
        add_batched(model)
        assert isinstance(members[0].product.linear, BatchedLinear)
        for member, expected in zip(members, before, strict=True):
            torch.testing.assert_close(member(x), expected, rtol=1e-4, atol=1e-4)


def linears(model: nn.Module) -> dict[str, nn.Linear]:
    return {path: module for path, module in model.named_modules() if isinstance(module, nn.Linear)}
