"""The loss of a frozen head: TRL's loss and gradients, to the rounding of fp32."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel
from trl.trainer.utils import add_fused_lm_head

from core.data.tokenize.encode import IGNORED
from core.training.frozen_head_loss import TOKENS, frozen_head_loss, has_plain_frozen_head
from tests.core.planner.measuring import VOCABULARY, config_of


def model_of(family: str, **changes: Any) -> PreTrainedModel:
    """A random model of which only the first layer is trained."""
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config_of(family, **changes))
    model.requires_grad_(False)
    model.base_model.layers[0].requires_grad_(True)
    return model


def micro_batch(length: int = TOKENS + 40) -> dict[str, Tensor]:
    """Two rows, of which the first is padded; the first half of each is not trained."""
    tokens = torch.randint(3, VOCABULARY, (2, length), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(tokens)
    mask[0, -10:] = 0
    labels = tokens.masked_fill(mask == 0, IGNORED)
    labels[:, : length // 4] = IGNORED
    return {"input_ids": tokens, "attention_mask": mask, "labels": labels}


def gradients(model: PreTrainedModel, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, [p for p in model.parameters() if p.requires_grad]))


@pytest.mark.parametrize(
    ("family", "count"), [("llama", None), ("llama", 700), ("qwen3", None), ("gemma", 700), ("phi3", None)]
)
def test_loss_and_gradients_are_trls(family: str, count: int | None) -> None:
    model, batch = model_of(family), micro_batch()
    own = frozen_head_loss(model, batch, count)
    own_gradients = gradients(model, own)
    add_fused_lm_head(model)
    its = model(**batch, num_items_in_batch=count, fused_lm_head=True).loss
    assert own.item() == pytest.approx(its.item(), rel=1e-6)
    for ours, theirs in zip(own_gradients, gradients(model, its), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-7)


def test_a_micro_batch_without_trained_tokens_adds_nothing() -> None:
    model, batch = model_of("llama"), micro_batch()
    batch["labels"].fill_(IGNORED)
    loss = frozen_head_loss(model, batch, None)
    assert loss.item() == 0
    assert not any(gradient.any() for gradient in gradients(model, loss))


def test_evaluation_needs_no_gradients() -> None:
    model, batch = model_of("llama"), micro_batch()
    with torch.no_grad():
        evaluated = frozen_head_loss(model, batch, None)
    torch.testing.assert_close(evaluated, frozen_head_loss(model, batch, None).detach())


def test_heads_that_do_more_than_one_product_are_left_to_trl() -> None:
    assert has_plain_frozen_head(model_of("llama"))
    assert not has_plain_frozen_head(model_of("gemma2"))  # caps its scores
    assert not has_plain_frozen_head(model_of("granite", logits_scaling=8.0))
    assert not has_plain_frozen_head(model_of("llama").to(torch.bfloat16))
    trained = model_of("llama")
    trained.get_output_embeddings().requires_grad_(True)
    assert not has_plain_frozen_head(trained)
