"""The nearest recipe that fits: the one that changes least of what is learnt, and then least of how fast."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product

from core.recipes.recipe import Recipe

SHORTEST, LOWEST_RANK = 128, 4


@dataclass(frozen=True)
class Change:
    """New values of some settings. `cost` orders them: about 1 for some speed, 8 and more for what is learnt."""

    cost: float
    settings: dict[str, int | bool | str]


NOTHING = Change(0, {})


def find_nearest_that_fits(
    recipe: Recipe, good: Callable[[Recipe], bool], dataset_lengths: list[int] | None = None
) -> Recipe | None:
    """The cheapest combination of changes with which the recipe is `good`; None when it is with none.

    dataset_lengths: tokens per conversation; where known, a shorter max_length costs what it really cuts.
    """
    groups = (
        list(_checkpointing(recipe)),
        list(_batches(recipe)),
        list(_optimisers(recipe)),
        list(_quantisation(recipe)),
        list(_lengths(recipe, dataset_lengths or [])),
        list(_ranks(recipe)),
    )
    combinations = sorted(product(*groups), key=lambda changes: sum(change.cost for change in changes))
    for changes in combinations:
        candidate = recipe
        for change in changes:
            candidate = replace(candidate, **change.settings)  # type: ignore[arg-type]
        if good(candidate):
            return candidate
    return None


def describe_changes(before: Recipe, after: Recipe) -> list[str]:
    """What differs, in words: `max_length 512 instead of 2048`."""
    old, new = before.to_dict(), after.to_dict()
    return [
        f"{name} {_format_value(new[name])} instead of {_format_value(old[name])}"
        for name in new
        if new[name] != old[name]
    ]


def _format_value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _optimisers(recipe: Recipe) -> Iterator[Change]:
    yield NOTHING
    if recipe.optim.startswith("adamw_torch"):
        yield Change(1, {"optim": "adamw_8bit"})


def _batches(recipe: Recipe) -> Iterator[Change]:
    """Smaller micro-batches with as many conversations per optimiser step: the same learning, a little slower."""
    yield NOTHING
    size, accumulation = recipe.per_device_train_batch_size, recipe.gradient_accumulation_steps
    cost, smaller = 0.0, size
    while smaller > 1:
        cost, smaller = cost + 1.5, smaller // 2
        yield Change(
            cost,
            {
                "per_device_train_batch_size": smaller,
                "per_device_eval_batch_size": min(smaller, recipe.per_device_eval_batch_size),
                "gradient_accumulation_steps": -(-size * accumulation // smaller),
            },
        )
    if size == 1 and recipe.per_device_eval_batch_size > 1:
        yield Change(0.5, {"per_device_eval_batch_size": 1})


def _checkpointing(recipe: Recipe) -> Iterator[Change]:
    yield NOTHING
    if not recipe.gradient_checkpointing:
        yield Change(3, {"gradient_checkpointing": True})  # the same learning for about a third more time


def _quantisation(recipe: Recipe) -> Iterator[Change]:
    yield NOTHING
    if not recipe.load_in_4bit:
        yield Change(8, {"load_in_4bit": True})
    if not recipe.use_bnb_nested_quant:
        yield Change(9 if not recipe.load_in_4bit else 2, {"load_in_4bit": True, "use_bnb_nested_quant": True})


def _lengths(recipe: Recipe, dataset_lengths: list[int]) -> Iterator[Change]:
    """Longer conversations are cut: what stands behind is not learnt at all. Where none is as long, nothing is lost."""
    yield NOTHING
    trained = sum(min(length, recipe.max_length) for length in dataset_lengths)
    halvings, shorter = 1, recipe.max_length // 2
    while shorter >= SHORTEST:
        kept = sum(min(length, shorter) for length in dataset_lengths)
        cost = 2 + 100 * (1 - kept / trained) if trained else 8 * halvings
        yield Change(cost, {"max_length": shorter})
        halvings, shorter = halvings + 1, shorter // 2


def _ranks(recipe: Recipe) -> Iterator[Change]:
    """A lower rank learns less; alpha follows, so that the adapter's strength stays."""
    yield NOTHING
    cost, rank, alpha = 0.0, recipe.lora_r // 2, recipe.lora_alpha // 2
    while rank >= LOWEST_RANK:
        cost += 10
        yield Change(cost, {"lora_r": rank, "lora_alpha": max(1, alpha)})
        rank, alpha = rank // 2, alpha // 2
