"""Whether a run's learning rate ever rises: what can be known of a schedule before the run starts, without torch."""

from __future__ import annotations

from math import ceil

from adapters.common.errors import UserError
from core.recipes.recipe import Recipe

NO_WARMUP = ("constant",)  # of the schedules that a recipe may name, those that pass the warm-up over


def count_steps(recipe: Recipe, rows: int) -> int:
    """Optimiser steps over so many rows of training data, counted as transformers' Trainer does: the last, smaller
    batch and accumulation count in full."""
    per_epoch = count_steps_per_epoch(recipe, rows)
    return recipe.max_steps if recipe.max_steps > 0 else ceil(recipe.num_train_epochs * per_epoch)


def count_steps_per_epoch(recipe: Recipe, rows: int) -> int:
    batches = ceil(rows / recipe.per_device_train_batch_size)
    return max(1, ceil(batches / recipe.gradient_accumulation_steps))


def count_warmup_steps(recipe: Recipe, steps: int) -> int:
    """Steps of rising learning rate in a run of so many: below 1 the setting is a share, which is rounded up."""
    if recipe.lr_scheduler_type in NO_WARMUP:
        return 0
    return int(recipe.warmup_steps) if recipe.warmup_steps >= 1 else ceil(steps * recipe.warmup_steps)


def check_learns(recipe: Recipe, steps: int) -> None:
    """Raises UserError for a run in which nothing could be learnt: a warm-up begins at the rate 0, and so does the one
    step that there is. steps: below 1 where they are not known."""
    if steps == 1 and count_warmup_steps(recipe, steps):
        raise UserError(
            f"The run has one optimiser step, and its warm-up (warmup_steps: {recipe.warmup_steps:g}) begins at the "
            "learning rate 0: nothing would be learnt.",
            "Set warmup_steps to 0, or have more steps: more epochs, smaller batches, less gradient accumulation.",
        )


def check_schedule(recipe: Recipe, steps: int) -> None:
    """Raises UserError as check_learns does, and where the schedule has no rate for exactly so many steps."""
    check_learns(recipe, steps)
    if recipe.lr_scheduler_type == "polynomial" and steps == count_warmup_steps(recipe, steps):
        raise UserError(
            f"The polynomial schedule divides by the steps after the warm-up, and all {steps:,} are its warm-up.",
            "Choose a smaller warmup_steps, or another lr_scheduler_type.",
        )


def warmup_warning(recipe: Recipe, steps: int) -> str:
    """A sentence where the run ends before its learning rate has risen to its peak, else ""."""
    warmup = count_warmup_steps(recipe, steps)
    if steps < 1 or steps > warmup:
        return ""
    highest = recipe.learning_rate * (steps - 1) / warmup
    return (
        f"The warm-up takes {warmup:,} steps and the run only {steps:,}: its learning rate gets no higher than "
        f"{highest:.2g}, of {recipe.learning_rate:g}. A smaller warmup_steps teaches more."
    )
