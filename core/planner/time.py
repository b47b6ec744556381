"""How long a run takes: steps from the dataset's real lengths, speed from earlier runs, and how sure that is."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from core.planner.gpus import Gpu
from core.recipes.recipe import Recipe
from core.recipes.warmup import count_steps, count_steps_per_epoch

SIMILAR = ("per_device_train_batch_size", "max_length", "packing", "gradient_checkpointing", "load_in_4bit", "lora_r")
LEAST, OTHERWISE = 0.10, 0.40  # relative uncertainty: of a rate from like runs; of one from other settings
EVALUATION_COST = 0.4  # of a training token's time: no backward


@dataclass(frozen=True)
class Schedule:
    """What will be gone through. Tokens are real ones, cut to max_length, without padding.

    rows: sequences per epoch, after packing. padding: share of the calculated tokens that are padding.
    """

    tokens_per_epoch: int
    rows: int
    steps: int
    tokens: int
    evaluated_tokens: int
    padding: float


@dataclass(frozen=True)
class Speed:
    """What a run or a calibration on the same base reached on this machine. settings: its recipe's."""

    settings: dict[str, Any]
    tokens_per_second: float


Speeds = Callable[[], Sequence[Speed]]  # looks them up, which reads all runs


@dataclass(frozen=True)
class TimeEstimate:
    """seconds ± uncertainty; None where no speed is known, and `source` says so."""

    source: str
    tokens_per_second: float | None = None
    seconds: float | None = None
    uncertainty: float | None = None


def make_schedule(recipe: Recipe, dataset_lengths: list[int]) -> Schedule:
    """Steps and tokens of a run over conversations of these lengths. Which are held out is not known before the
    split, so that each counts by the share that is trained.
    """
    lengths = [min(length, recipe.max_length) for length in dataset_lengths]
    share = 1 - recipe.eval_fraction
    kept = max(1, round(len(lengths) * share))
    rows = round(count_packed_rows(lengths, recipe.max_length) * share) if recipe.packing else kept
    rows = max(1, rows)
    tokens = round(sum(lengths) * share)
    steps = count_steps(recipe, rows)
    evaluations = 1 + steps // recipe.eval_steps if recipe.eval_fraction > 0 else 0
    return Schedule(
        tokens_per_epoch=tokens,
        rows=rows,
        steps=steps,
        tokens=round(tokens * steps / count_steps_per_epoch(recipe, rows)),
        evaluated_tokens=evaluations * (sum(lengths) - tokens),
        padding=_padding(lengths, recipe),
    )


def count_most_steps(recipe: Recipe, dataset_lengths: list[int] | None) -> int:
    """Optimiser steps if nothing is held out; max_steps, which may be -1, where the dataset is not known."""
    return (
        make_schedule(replace(recipe, eval_fraction=0.0), dataset_lengths).steps
        if dataset_lengths
        else recipe.max_steps
    )


def count_packed_rows(lengths: list[int], max_length: int) -> int:
    """How many sequences best-fit decreasing packs the conversations into (Ding et al. 2024; TRL's "bfd").

    Longest first, each goes where it leaves the least space; what is over max_length has been cut to it.
    """
    spaces: list[int] = []  # the different spaces left, ascending
    rows_with: Counter[int] = Counter()
    rows = 0
    for length in sorted((min(size, max_length) for size in lengths), reverse=True):
        index = bisect_left(spaces, length)
        if index == len(spaces):
            rows, left = rows + 1, max_length - length
        else:
            space = spaces[index]
            left = space - length
            rows_with[space] -= 1
            if not rows_with[space]:
                spaces.pop(index)
        if left:
            if not rows_with[left]:
                insort(spaces, left)
            rows_with[left] += 1
    return rows


def estimate_time(recipe: Recipe, gpu: Gpu, steps: Schedule, speeds: Speeds) -> TimeEstimate:
    """Speeds count only for the machine they were measured on, and only for the same base."""
    if not gpu.here:
        return TimeEstimate(f"No speed is known for {gpu.name}: speeds are measured on the machine itself")
    known = speeds()
    rates = [speed.tokens_per_second for speed in known if _is_similar(speed.settings, recipe)]
    least, what = LEAST, "earlier runs like this one"
    if not rates:
        rates, least = [speed.tokens_per_second for speed in known], OTHERWISE
        what = "earlier runs on this base with other settings"
    if not rates:
        return TimeEstimate("No run on this base has been measured on this machine yet")
    rate = median(rates)
    spread = max(least, (max(rates) - min(rates)) / (2 * rate))
    seconds = (steps.tokens + EVALUATION_COST * steps.evaluated_tokens) / rate
    source = f"{rate:,.0f} tokens/s, the median of {len(rates)} of {what}"
    return TimeEstimate(source, rate, seconds, seconds * spread)


def _is_similar(settings: dict[str, Any], recipe: Recipe) -> bool:
    return all(settings.get(name) == getattr(recipe, name) for name in SIMILAR)


def _padding(lengths: list[int], recipe: Recipe) -> float:
    """Rows of a micro-batch are padded to its longest; batches are drawn at random, so rows of any order do."""
    size = recipe.per_device_train_batch_size
    if recipe.packing or size == 1 or not lengths:
        return 0.0
    batches = [lengths[start : start + size] for start in range(0, len(lengths), size)]
    calculated = sum(len(batch) * max(batch) for batch in batches)
    return 1 - sum(lengths) / calculated
