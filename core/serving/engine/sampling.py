"""From logits to tokens: every sequence has its own settings, its own random numbers and its own penalties."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from core.serving.engine.sampling_params import SampledToken, SamplingParams


@dataclass
class SequenceSampler:
    """What one sequence keeps between its tokens. The random numbers depend on the seed and on nothing else."""

    params: SamplingParams
    prompt: Sequence[int]
    generator: random.Random = field(init=False)
    counts: Tensor | None = None  # [vocab]: how often the output has each token; only for sequences with penalties
    present: Tensor | None = None  # [vocab]: whether prompt or output has it

    def __post_init__(self) -> None:
        self.generator = random.Random(self.params.seed)  # None: from the operating system's entropy

    def adjust(self, logits: Tensor) -> Tensor:
        """Logits [vocab] after penalties and bias, as a new tensor."""
        p = self.params
        if self.counts is None or self.present is None:
            self.counts = torch.zeros_like(logits)
            self.present = torch.zeros_like(logits, dtype=torch.bool)
            self.present[torch.tensor(list(set(self.prompt)), device=logits.device)] = True
        if p.repetition_penalty != 1.0:
            penalised = torch.where(logits > 0, logits / p.repetition_penalty, logits * p.repetition_penalty)
            logits = torch.where(self.present, penalised, logits)
        if p.frequency_penalty or p.presence_penalty:
            logits = logits - p.frequency_penalty * self.counts - p.presence_penalty * (self.counts > 0)
        if p.logit_bias:
            ids, values = zip(*p.logit_bias, strict=True)
            bias = torch.tensor(values, dtype=logits.dtype, device=logits.device)
            logits = logits.index_add(0, torch.tensor(ids, device=logits.device), bias)
        return logits

    def add(self, token: int) -> None:
        """Count a sampled token for the penalties."""
        if self.counts is not None and self.present is not None:
            self.counts[token] += 1
            self.present[token] = True


def sample(logits: Tensor, samplers: Sequence[SequenceSampler]) -> list[SampledToken | None]:
    """Sample one token per row of `logits` [sequences, vocab]. None where a row's logits are not finite numbers.

    Each sequence is sampled in one of three ways (greedy, plain, truncated), which its own settings alone decide, so
    that its tokens do not depend on the settings of the sequences beside it.
    """
    raw = logits.float()
    logits = raw
    if any(sampler.params.adjusts_logits for sampler in samplers):
        logits = torch.stack(
            [sampler.adjust(raw[i]) if sampler.params.adjusts_logits else raw[i] for i, sampler in enumerate(samplers)]
        )
    best, tokens = logits.max(dim=-1)
    not_greedy = [i for i, sampler in enumerate(samplers) if sampler.params.temperature > 0]
    plain = [i for i in not_greedy if not samplers[i].params.truncates]
    truncated = [i for i in not_greedy if samplers[i].params.truncates]
    for group in (plain, truncated):
        if group:
            index = torch.tensor(group, device=logits.device)
            tokens[index] = _sample_by_probability(logits[index], [samplers[i] for i in group])
    # One transfer to the host for the whole step: tokens, and the largest logit, which NaN and infinity reach.
    token_ids, finite = torch.stack((tokens.double(), best.isfinite().double())).tolist()
    sampled: list[SampledToken | None] = []
    for i, sampler in enumerate(samplers):
        if not finite[i]:
            sampled.append(None)
            continue
        token, count = int(token_ids[i]), sampler.params.logprobs
        sampled.append(SampledToken(token) if count is None else _with_logprobs(token, raw[i], count))
        sampler.add(token)
    return sampled


def _sample_by_probability(logits: Tensor, samplers: Sequence[SequenceSampler]) -> Tensor:
    """Inverse-CDF sampling: one uniform number per row. Truncation in transformers' order: top_k, top_p, min_p."""
    device = logits.device

    def column(values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=device)[:, None]

    probabilities = (logits / column([sampler.params.temperature for sampler in samplers])).softmax(-1)
    order: Tensor | None = None
    if samplers[0].params.truncates:
        probabilities, order = probabilities.sort(dim=-1, descending=True, stable=True)
        rank = torch.arange(probabilities.shape[-1], device=device)
        limits = torch.tensor([sampler.params.top_k or len(rank) for sampler in samplers], device=device)[:, None]
        probabilities = probabilities.masked_fill(rank >= limits, 0.0)
        before = probabilities.cumsum(-1) - probabilities
        # top_p is a share of what top_k has left; the most likely token always stays
        cut = before >= column([sampler.params.top_p for sampler in samplers]) * probabilities.sum(-1, keepdim=True)
        cut |= probabilities < column([sampler.params.min_p for sampler in samplers]) * probabilities[:, :1]
        cut[:, 0] = False
        probabilities = probabilities.masked_fill(cut, 0.0)
    cumulative = probabilities.cumsum(-1, dtype=torch.float64)
    uniform = [sampler.generator.random() for sampler in samplers]
    target = torch.tensor(uniform, dtype=torch.float64, device=device)[:, None] * cumulative[:, -1:]
    index = torch.searchsorted(cumulative, target, right=True).clamp_(max=cumulative.shape[-1] - 1)
    return (index if order is None else order.gather(1, index))[:, 0]


def _with_logprobs(token: int, logits: Tensor, count: int) -> SampledToken:
    logprobs = logits.log_softmax(-1)
    values, ids = logprobs.topk(min(count, logprobs.shape[-1]))
    return SampledToken(token, float(logprobs[token]), tuple(zip(ids.tolist(), values.tolist(), strict=True)))
