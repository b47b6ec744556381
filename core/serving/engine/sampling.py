"""From logits to tokens, row by row: every row has its own settings, its own random numbers and its own penalties."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from core.serving.engine.sampling_params import Drawn, SamplingParams


@dataclass
class RowSampler:
    """What one row keeps between its tokens. The random numbers depend on the seed and on nothing else."""

    params: SamplingParams
    prompt: Sequence[int]
    generator: random.Random = field(init=False)
    counts: Tensor | None = None  # [vocab]: how often the output has each token; only for rows with penalties
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

    def took(self, token: int) -> None:
        if self.counts is not None and self.present is not None:
            self.counts[token] += 1
            self.present[token] = True


def sample(logits: Tensor, rows: Sequence[RowSampler]) -> list[Drawn | None]:
    """Draw one token per row from `logits` [rows, vocab]. None for a row whose logits are not finite numbers.

    Rows are drawn by one of three ways (greedy, plain, truncated), each by its own settings alone, so that what a row
    draws does not depend on its neighbours' settings.
    """
    raw = logits.float()
    logits = raw
    if any(row.params.adjusts_logits for row in rows):
        logits = torch.stack(
            [row.adjust(raw[i]) if row.params.adjusts_logits else raw[i] for i, row in enumerate(rows)]
        )
    best, tokens = logits.max(dim=-1)
    sampled = [i for i, row in enumerate(rows) if row.params.temperature > 0]
    if sampled:
        for ways in (
            [i for i in sampled if not rows[i].params.truncates],
            [i for i in sampled if rows[i].params.truncates],
        ):
            if ways:
                index = torch.tensor(ways, device=logits.device)
                tokens[index] = _draw(logits[index], [rows[i] for i in ways])
    # One transfer to the host for the whole step: tokens, and the largest logit, which NaN and infinity reach.
    found, finite = torch.stack((tokens.double(), best.isfinite().double())).tolist()
    drawn: list[Drawn | None] = [Drawn(int(token)) if ok else None for token, ok in zip(found, finite, strict=True)]
    for i, row in enumerate(rows):
        one = drawn[i]
        if one is not None and row.params.logprobs is not None:
            drawn[i] = _with_logprobs(one.token, raw[i], row.params.logprobs)
        if one is not None:
            row.took(one.token)
    return drawn


def _draw(logits: Tensor, rows: Sequence[RowSampler]) -> Tensor:
    """Inverse-CDF sampling: one uniform number per row. Truncation in transformers' order: top_k, top_p, min_p."""
    device = logits.device

    def column(values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=device)[:, None]

    probabilities = (logits / column([row.params.temperature for row in rows])).softmax(-1)
    order: Tensor | None = None
    if rows[0].params.truncates:
        probabilities, order = probabilities.sort(dim=-1, descending=True, stable=True)
        rank = torch.arange(probabilities.shape[-1], device=device)
        limits = torch.tensor([row.params.top_k or probabilities.shape[-1] for row in rows], device=device)[:, None]
        probabilities = probabilities.masked_fill(rank >= limits, 0.0)
        before = probabilities.cumsum(-1) - probabilities
        # top_p is a share of what top_k has left; the most likely token always stays
        cut = before >= column([row.params.top_p for row in rows]) * probabilities.sum(-1, keepdim=True)
        cut |= probabilities < column([row.params.min_p for row in rows]) * probabilities[:, :1]
        cut[:, 0] = False
        probabilities = probabilities.masked_fill(cut, 0.0)
    cumulative = probabilities.cumsum(-1, dtype=torch.float64)
    uniform = torch.tensor([row.generator.random() for row in rows], dtype=torch.float64, device=device)[:, None]
    target = uniform * cumulative[:, -1:]
    index = torch.searchsorted(cumulative, target, right=True).clamp_(max=cumulative.shape[-1] - 1)
    return (index if order is None else order.gather(1, index))[:, 0]


def _with_logprobs(token: int, logits: Tensor, count: int) -> Drawn:
    logprobs = logits.log_softmax(-1)
    values, ids = logprobs.topk(min(count, logprobs.shape[-1]))
    return Drawn(token, float(logprobs[token]), tuple(zip(ids.tolist(), values.tolist(), strict=True)))
