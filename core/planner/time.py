"""How long a run takes: steps from the dataset's real lengths, speed from earlier runs, and how sure that is.

Counted are the worker's start, steps, evaluations, checkpoints with their sample answers, and what comes after the last
of these. Not counted is waiting for chats, which nobody knows beforehand.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from core.planner.gpus import Gpu
from core.recipes.recipe import Recipe
from core.recipes.warmup import count_steps, count_steps_per_epoch

SIMILAR = ("per_device_train_batch_size", "max_length", "packing", "gradient_checkpointing", "load_in_4bit", "lora_r")
LEAST, OTHERWISE = 0.20, 0.40  # relative uncertainty: of a rate from like runs; of one from other settings
EVALUATION_COST = 0.4  # of a training token's time: no backward


@dataclass(frozen=True)
class Schedule:
    """What will be gone through. Tokens are real ones, cut to max_length, without padding.

    rows: sequences per epoch, after packing. evaluated_tokens: in all evaluations together. checkpoints: as many are
    written, that of each evaluation included, which may be the best. padding: share of the calculated tokens that are
    padding.
    """

    tokens_per_epoch: int
    rows: int
    steps: int
    tokens: int
    evaluated_tokens: int
    padding: float
    micro_batches: int = 1
    checkpoints: int = 0

    @property
    def micro_batch_tokens(self) -> float:
        return self.tokens / self.micro_batches


@dataclass(frozen=True)
class Costs:
    """Seconds of what a run does besides its steps; None where nobody has measured it.

    preparing: until the first step. evaluation: per token. checkpoint: each, its sample answers included. ending: after
    the last of these.
    """

    preparing: float | None = None
    evaluation: float | None = None
    checkpoint: float | None = None
    ending: float | None = None


@dataclass(frozen=True)
class Speed:
    """What a run or a measurement on the same base reached on this machine. settings: its recipe's.

    micro_batch_tokens: tokens of one of its micro-batches, without padding; None where that is not known. is_run: the
    costs are those of a whole run.
    """

    settings: dict[str, Any]
    tokens_per_second: float
    micro_batch_tokens: float | None = None
    costs: Costs = Costs()
    is_run: bool = False


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
    evaluations = count_multiples(recipe.eval_steps, 0, steps) if recipe.eval_fraction > 0 else 0
    return Schedule(
        tokens_per_epoch=tokens,
        rows=rows,
        steps=steps,
        tokens=round(tokens * steps / count_steps_per_epoch(recipe, rows)),
        evaluated_tokens=evaluations * (sum(lengths) - tokens),
        padding=_padding(lengths, recipe),
        micro_batches=max(1, steps * recipe.gradient_accumulation_steps),
        checkpoints=count_checkpoints(recipe.save_steps, recipe.eval_steps if evaluations else None, 0, steps),
    )


def count_multiples(of: float, after: int, last: int) -> int:
    """How many steps from `after` (not counted) to `last` are multiples of `of`; the last one always counts."""
    return int(last // of - after // of + (last % of > 0)) if after < last else 0


def count_checkpoints(save_steps: float, eval_steps: float | None, after: int, last: int) -> int:
    """How many are written from `after` (not counted) to `last`, if each evaluation is the best so far.

    eval_steps: None where nothing is evaluated.
    """
    saves = count_multiples(save_steps, after, last)
    if eval_steps is None:
        return saves
    both = count_multiples(math.lcm(int(save_steps), int(eval_steps)), after, last)
    return saves + count_multiples(eval_steps, after, last) - both


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
    if not known:
        return TimeEstimate("No run on this base has been measured on this machine yet")
    similar = [speed for speed in known if _is_similar(speed.settings, recipe)]
    rates = [speed.tokens_per_second for speed in similar]
    if rates:
        rate, least, what = median(rates), LEAST, f"the median of {len(rates)} of earlier runs like this one"
    else:
        rate, least = rate_for(known, steps.micro_batch_tokens), OTHERWISE
        rates, what = [rate], "from what was measured on this base with other settings"
    spread = max(least, (max(rates) - min(rates)) / (2 * rate))
    seconds = steps.tokens / rate + _seconds_besides(steps, rate, known)
    return TimeEstimate(f"{rate:,.0f} tokens/s, {what}", rate, seconds, seconds * spread)


def rate_for(speeds: Sequence[Speed], micro_batch_tokens: float) -> float:
    """Tokens per second of micro-batches of another size than those measured.

    A micro-batch takes a time that does not depend on its size, and one that grows with it: between two that were
    measured its seconds lie on the line between theirs, beyond them on the line through the nearest two.
    """
    found: dict[float, list[float]] = defaultdict(list)
    for speed in speeds:
        if speed.micro_batch_tokens:
            found[speed.micro_batch_tokens].append(speed.micro_batch_tokens / speed.tokens_per_second)
    points = sorted((size, median(seconds)) for size, seconds in found.items())
    if len(points) < 2:
        return median(speed.tokens_per_second for speed in speeds)
    after = min(max(1, bisect_left(points, (micro_batch_tokens, 0.0))), len(points) - 1)
    (smaller, less), (larger, more) = points[after - 1 : after + 1]
    seconds = less + (more - less) * (micro_batch_tokens - smaller) / (larger - smaller)
    fastest = max(size / taken for size, taken in points)
    # The line may lead to less than nothing, or to a speed that nothing has shown.
    return micro_batch_tokens / max(seconds, micro_batch_tokens / (2 * fastest))


def _seconds_besides(steps: Schedule, rate: float, speeds: Sequence[Speed]) -> float:
    """What is no training step. What nobody has measured is left out, but for evaluations, which go by the steps."""

    def usual(name: str) -> float:
        """What runs took; before there is one, what was measured without."""
        known = [(speed.is_run, value) for speed in speeds if (value := getattr(speed.costs, name)) is not None]
        of_runs = [value for is_run, value in known if is_run]
        told: list[float] = of_runs or [value for _, value in known] or [0.0]
        return median(told)

    evaluation = usual("evaluation") or EVALUATION_COST / rate
    return (
        usual("preparing")
        + evaluation * steps.evaluated_tokens
        + usual("checkpoint") * steps.checkpoints
        + usual("ending")
    )


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
