"""Base and adapter as one product: PEFT's own outputs and gradients, to the rounding of fp32."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import AutoModelForCausalLM

from core.training.lora_product import LoraProductLinear, use_lora_product
from tests.core.planner.measuring import config_of


def adapted(with_product: bool, family: str = "llama", **settings: Any) -> Any:
    torch.manual_seed(0)
    config = LoraConfig(
        **{"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "task_type": "CAUSAL_LM"} | settings
    )
    if with_product:
        use_lora_product(config)
    model = get_peft_model(AutoModelForCausalLM.from_config(config_of(family)), config)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # which PEFT begins with zeros
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def trained(model: Any) -> tuple[Tensor, dict[str, Tensor]]:
    tokens = torch.randint(3, 500, (2, 24), generator=torch.Generator().manual_seed(1))
    torch.manual_seed(2)  # for what is dropped
    logits = model(input_ids=tokens, use_cache=False).logits
    logits.square().mean().backward()
    return logits, {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("llama", {}),
        ("qwen2", {}),  # has biases
        ("llama", {"use_rslora": True, "target_modules": ["q_proj", "down_proj"]}),
        ("llama", {"lora_dropout": 0.2}),
        ("llama", {"use_dora": True}),
    ],
)
def test_outputs_and_gradients_are_pefts(family: str, settings: dict[str, Any]) -> None:
    own, its = (adapted(with_product, family, **settings) for with_product in (True, False))
    assert any(isinstance(module, LoraProductLinear) for module in own.modules())
    (own_logits, own_gradients), (its_logits, its_gradients) = trained(own), trained(its)
    torch.testing.assert_close(own_logits, its_logits, rtol=1e-4, atol=1e-5)
    assert own_gradients.keys() == its_gradients.keys()
    for name, gradient in its_gradients.items():
        torch.testing.assert_close(own_gradients[name], gradient, rtol=1e-3, atol=1e-7)


def test_without_its_adapter_the_base_answers() -> None:
    model = adapted(with_product=True)
    tokens = torch.arange(3, 20)[None]
    with torch.no_grad(), model.disable_adapter():
        alone = model(input_ids=tokens).logits
    torch.testing.assert_close(alone, model.unload()(input_ids=tokens).logits)
