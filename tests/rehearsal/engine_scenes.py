"""The batches that the engine serves in a rehearsal, and how often each of their decode steps may wait and copy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

STEPS = 3


@dataclass(frozen=True)
class Batch:
    """adapters: per row the number of its adapter, None for the base. params: of sampling. waits: of the host for the
    card; uploads: copies from the host to it; both per decode step."""

    adapters: tuple[int | None, ...]
    params: dict[str, Any] = field(default_factory=lambda: {"temperature": 0.0})
    waits: int = 1
    uploads: int = 1


GREEDY = Batch((None,))
SAMPLED = {"temperature": 0.8}
EVERY_SETTING: dict[str, Any] = {
    "temperature": 0.7,
    "top_p": 0.9,
    "top_k": 40,
    "min_p": 0.01,
    "repetition_penalty": 1.1,
    "frequency_penalty": 0.1,
    "presence_penalty": 0.1,
    "logit_bias": ((3, 1.0),),
    "logprobs": 5,
    "seed": 1,
}
RECORDED = "8 adapters, recorded"
SCENES = {
    "the base, greedy": GREEDY,
    # Per row: three waits for its log-probabilities; two copies for its bias and one for the count of its last token.
    # Per step: rows, temperature, top_p, min_p, top_k and the random numbers.
    "2 rows on the base, every setting": Batch((None, None), EVERY_SETTING, waits=7, uploads=13),
    "an adapter, greedy": Batch((0,)),
    "8 adapters, greedy": Batch(tuple(range(8))),
    # Which rows are drawn, their temperatures and their random numbers.
    "the base and 3 adapters, sampled": Batch((None, 0, 1, 2), SAMPLED, uploads=4),
    "16 rows, greedy": Batch((None, *range(8), *range(7))),
}
