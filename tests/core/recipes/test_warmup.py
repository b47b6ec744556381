"""A run that cannot learn is told before it starts, by the very learning rates that transformers would give it."""

from __future__ import annotations

import itertools

import pytest
import torch
from transformers import TrainingArguments, get_scheduler

from adapters.common.errors import UserError
from core.common.home import Home
from core.planner import Gpu, count_most_steps, plan_run
from core.recipes.fields import SCHEDULES
from core.recipes.recipe import Recipe
from core.recipes.warmup import check_learns, check_schedule, count_steps, count_warmup_steps, warmup_warning
from core.training.run import create_run

STEPS = (1, 2, 3, 10, 100)
WARMUPS = (0, 0.03, 0.5, 1, 1.9, 2, 3, 12, 1000)


def recipe(**settings: object) -> Recipe:
    return Recipe.from_dict({"dataset_name": "pirate", **settings})


def rates(given: Recipe, steps: int) -> list[float]:
    """What transformers' own schedule gives each optimiser step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=given.learning_rate)
    warmup = TrainingArguments(output_dir="unused", warmup_steps=given.warmup_steps).get_warmup_steps(steps)
    assert count_warmup_steps(given, steps) in (warmup, 0)
    schedule = get_scheduler(given.lr_scheduler_type, optimizer, warmup, steps)
    found = []
    for _ in range(steps):
        found.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize("kind", SCHEDULES)
def test_what_is_refused_are_exactly_the_runs_whose_rates_are_all_zero(kind: str) -> None:
    for steps, warmup in itertools.product(STEPS, WARMUPS):
        given = recipe(lr_scheduler_type=kind, warmup_steps=warmup, learning_rate=1e-3)
        try:
            found = rates(given, steps)
        except ZeroDivisionError:
            with pytest.raises(UserError, match=r"The polynomial schedule divides|nothing would be learnt"):
                check_schedule(given, steps)
            continue
        if sum(found) == 0:
            with pytest.raises(UserError, match="nothing would be learnt") as caught:
                check_learns(given, steps)
            assert "warmup_steps to 0" in caught.value.remedy
            continue
        check_schedule(given, steps)
        if said := warmup_warning(given, steps):
            assert f"no higher than {max(found):.2g}" in said
        elif kind != "inverse_sqrt":  # which begins below its peak where there is no warm-up
            assert max(found) == pytest.approx(1e-3, rel=0.2)


def test_a_run_of_one_step_under_a_warm_up_is_refused_before_it_exists(home: Home) -> None:
    with pytest.raises(UserError, match="nothing would be learnt"):
        create_run(home, recipe(max_steps=1))
    assert not list(home.runs.iterdir())
    for learning in (recipe(max_steps=1, warmup_steps=0), recipe(max_steps=1, lr_scheduler_type="constant")):
        create_run(home, learning)


@pytest.mark.parametrize(
    ("settings", "rows", "steps"),
    [
        ({}, 8, 3),
        ({"num_train_epochs": 1}, 8, 1),
        ({"num_train_epochs": 1}, 9, 2),
        ({"num_train_epochs": 0.01}, 80, 1),
        ({"num_train_epochs": 1, "gradient_accumulation_steps": 100}, 500, 1),
        ({"max_steps": 5}, 1, 5),
    ],
)
def test_steps_are_known_from_the_rows(settings: dict[str, object], rows: int, steps: int) -> None:
    assert count_steps(recipe(**settings), rows) == steps


def test_a_plan_refuses_only_what_is_one_step_even_if_nothing_is_held_out() -> None:
    given = recipe(num_train_epochs=1, eval_fraction=0.1)
    with pytest.raises(UserError, match="nothing would be learnt"):
        check_learns(given, count_most_steps(given, [50] * 8))
    check_learns(given, count_most_steps(given, [50] * 9))  # of which one may be held out, or none
    check_learns(given, count_most_steps(given, None))


def test_a_plan_says_that_the_warm_up_is_longer_than_the_run() -> None:
    planned = plan_run(recipe(warmup_steps=100, max_steps=11), Gpu.find("t4"), dataset_lengths=[50] * 80, chat=None)
    assert "takes 100 steps and the run only 11" in planned.about_warmup and "0.0002, of 0.002" in planned.about_warmup
