"""The loss on a CPU where only an adapter is trained: the head is multiplied once forward and once backward.

TRL's own, away from CUDA, scores every position, trained or not, and calculates all scores a second time in its
backward. As the head is frozen and the loss a sum, the gradient is known as soon as the scores are.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, log_softmax
from transformers import PreTrainedConfig, PreTrainedModel

from core.data.tokenize.encode import IGNORED

TOKENS = 128  # scored at a time: few enough that a vocabulary of scores for each stays near the processor
# What families do to the scores besides, by the names that their configurations have for it.
RESCALED = ("final_logit_softcapping", "logit_scale", "output_multiplier", "lm_head_multiplier", "logits_scaling")


class FrozenHeadLoss(torch.autograd.Function):
    """Sum of the negative log-likelihoods of `targets` [tokens], given the last hidden states [tokens, hidden]."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
        total = states.new_zeros(())
        gradient = torch.empty_like(states) if ctx.needs_input_grad[0] else None
        for start in range(0, len(states), TOKENS):
            rows = slice(start, start + TOKENS)
            wanted = targets[rows, None]
            scores = log_softmax(linear(states[rows], weight, bias), dim=-1)
            total -= scores.gather(1, wanted).sum()
            if gradient is not None:
                scores.exp_().scatter_add_(1, wanted, scores.new_full(wanted.shape, -1))
                torch.mm(scores, weight, out=gradient[rows])
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * outputs[0], None, None, None


def has_plain_frozen_head(model: PreTrainedModel) -> bool:
    """Whether `frozen_head_loss` is the loss of this model, which lies on a CPU and calculates in fp32."""
    head, config = model.get_output_embeddings(), model.config.get_text_config()
    return (
        type(head) is nn.Linear
        and head.weight.device.type == "cpu"
        and head.weight.dtype == torch.float32
        and not any(parameter.requires_grad for parameter in head.parameters())
        and not _rescales_scores(config)
        and not getattr(config, "output_router_logits", False)
    )


def frozen_head_loss(model: PreTrainedModel, inputs: dict[str, Tensor], count: Tensor | int | None) -> Tensor:
    """The loss of a micro-batch [rows, length], summed over the tokens that are trained and divided by `count` (None:
    by how many these are)."""
    given = {name: tensor for name, tensor in inputs.items() if name != "labels"}
    states = model.base_model(**given | {"use_cache": False}).last_hidden_state[:, :-1]
    targets = inputs["labels"][:, 1:]
    trained = targets != IGNORED
    head: Any = model.get_output_embeddings()
    scored = states[trained], head.weight, head.bias, targets[trained]
    total: Tensor = FrozenHeadLoss.apply(*scored)  # type: ignore[no-untyped-call]
    return total / torch.as_tensor(trained.sum() if count is None else count).clamp(min=1)


def _rescales_scores(config: PreTrainedConfig) -> bool:
    return any(getattr(config, name, None) not in (None, 1) for name in RESCALED)
