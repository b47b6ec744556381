"""Drawing tokens: transformers' truncation, OpenAI's penalties, seeds that nothing else in the batch disturbs."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from core.serving.engine.sampling import SequenceSampler, sample
from core.serving.engine.sampling_params import SamplingParams

VOCAB = 40


def rows(count: int, prompt: tuple[int, ...] = (1,), **params: Any) -> list[SequenceSampler]:
    return [SequenceSampler(SamplingParams(**(params | {"seed": i})), prompt) for i in range(count)]


def drawn(logits: torch.Tensor, samplers: list[SequenceSampler]) -> list[int]:
    found = sample(logits, samplers)
    return [each.token for each in found if each is not None]


@pytest.mark.parametrize(
    "params",
    [
        {"temperature": 0.7},
        {"top_k": 5},
        {"top_p": 0.6},
        {"min_p": 0.2},
        {"temperature": 1.5, "top_k": 12, "top_p": 0.7, "min_p": 0.05},
        {"temperature": 0.3, "top_k": 1},
        {"top_p": 0.0},
    ],
)
def test_draws_follow_the_distribution_that_transformers_warpers_leave(params: dict[str, Any]) -> None:
    torch.manual_seed(1)
    logits = torch.randn(1, VOCAB) * 2
    warpers = LogitsProcessorList([TemperatureLogitsWarper(params.get("temperature", 1.0))])
    if "top_k" in params:
        warpers.append(TopKLogitsWarper(params["top_k"]))
    if "top_p" in params:
        warpers.append(TopPLogitsWarper(params["top_p"]))
    if "min_p" in params:
        warpers.append(MinPLogitsWarper(params["min_p"]))
    wanted = warpers(torch.ones(1, 1, dtype=torch.long), logits.clone()).softmax(-1)[0]

    count = 4000
    tally = Counter(drawn(logits.expand(count, -1), rows(count, **params)))
    assert set(tally) <= set(wanted.nonzero()[:, 0].tolist())
    share = torch.tensor([tally[i] / count for i in range(VOCAB)])
    assert float((share - wanted).abs().max()) < 0.035  # 4 standard deviations of the largest share


def test_a_seed_gives_the_same_tokens_whatever_the_neighbours_ask_for() -> None:
    torch.manual_seed(2)
    logits = torch.randn(12, VOCAB)
    for mine in (
        SamplingParams(seed=7),
        SamplingParams(seed=7, top_p=0.8),
        SamplingParams(seed=7, top_k=3, frequency_penalty=0.5),
    ):
        alone = SequenceSampler(mine, (1, 2))
        tokens = [drawn(step[None], [alone])[0] for step in logits]
        me = SequenceSampler(mine, (1, 2))
        others = [
            SequenceSampler(SamplingParams(seed=1, top_p=0.3), (1,)),
            SequenceSampler(SamplingParams(seed=7), (1,)),
            SequenceSampler(SamplingParams(temperature=0.0), (1,)),
            SequenceSampler(SamplingParams(min_p=0.5, presence_penalty=1.0), (1,)),
        ]
        in_batch = [drawn(step.expand(5, -1), [*others[:2], me, *others[2:]])[2] for step in logits]
        assert in_batch == tokens


def test_rows_without_a_seed_differ() -> None:
    flat = torch.zeros(8, 100_000)
    samplers = [SequenceSampler(SamplingParams(), (1,)) for _ in range(8)]
    assert len(set(drawn(flat, samplers))) == 8


def test_repetition_penalty_is_transformers() -> None:
    torch.manual_seed(3)
    logits, prompt = torch.randn(1, VOCAB), (3, 4, 4, 9)
    row = SequenceSampler(SamplingParams(temperature=0.0, repetition_penalty=1.7), prompt)
    wanted = RepetitionPenaltyLogitsProcessor(1.7)(torch.tensor([prompt]), logits.clone())[0]
    assert torch.allclose(row.adjust(logits[0]), wanted)


def test_frequency_and_presence_penalties_count_the_output_alone() -> None:
    row = SequenceSampler(SamplingParams(temperature=0.0, frequency_penalty=0.5, presence_penalty=0.25), (5, 5))
    logits = torch.zeros(1, VOCAB)
    logits[0, 6] = 1.2
    tokens = [drawn(logits, [row])[0] for _ in range(3)]
    assert tokens[:2] == [6, 6]  # 1.2, then 1.2 - 0.75
    assert tokens[2] != 6  # 1.2 - 1.25 is below the others' 0
    adjusted = row.adjust(torch.zeros(VOCAB))
    assert adjusted[6] == pytest.approx(-0.5 * 2 - 0.25)
    assert adjusted[5] == 0.0


def test_logit_bias_can_force_and_forbid() -> None:
    logits = torch.zeros(2, VOCAB)
    logits[:, 3] = 5.0
    force = SequenceSampler(SamplingParams(temperature=0.0, logit_bias=((11, 100.0),)), (1,))
    forbid = SequenceSampler(SamplingParams(temperature=0.0, logit_bias=((3, -100.0),)), (1,))
    assert drawn(logits, [force, forbid])[0] == 11
    assert drawn(logits, [force, forbid])[1] != 3


def test_logprobs_are_those_of_the_model_before_temperature() -> None:
    torch.manual_seed(4)
    logits = torch.randn(1, VOCAB)
    (one,) = sample(logits, [SequenceSampler(SamplingParams(temperature=0.5, seed=1, top_k=3, logprobs=4), (1,))])
    wanted = logits.log_softmax(-1)[0]
    assert one is not None
    assert one.logprob == pytest.approx(float(wanted[one.token]))
    assert [token for token, _ in one.top] == wanted.topk(4).indices.tolist()
    assert [value for _, value in one.top] == pytest.approx(wanted.topk(4).values.tolist())


def test_a_row_whose_logits_are_no_numbers_is_told_apart() -> None:
    logits = torch.zeros(4, VOCAB)
    logits[1, 5], logits[2, 5] = float("nan"), float("inf")
    found = sample(logits, [SequenceSampler(SamplingParams(temperature=t), (1,)) for t in (0.0, 0.0, 1.0, 1.0)])
    assert [each is None for each in found] == [False, True, True, False]
