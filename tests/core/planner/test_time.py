"""Steps, packing and times, against TRL's own packing and transformers' own counting."""

from __future__ import annotations

import random
from typing import Any

import pytest
from datasets import Dataset
from trl import pack_dataset

from core.planner import count_packed_rows, make_schedule
from core.recipes.recipe import Recipe


def recipe(**settings: Any) -> Recipe:
    given = {"model_name_or_path": "base", "dataset_name": "data", "eval_fraction": 0.0, "max_length": 100}
    return Recipe.from_dict(given | settings)


@pytest.mark.parametrize("seed", range(5))
def test_packs_as_trl_does(seed: int) -> None:
    draw = random.Random(seed)
    lengths = [draw.randint(1, 130) for _ in range(draw.randint(1, 300))]
    rows = Dataset.from_dict({"input_ids": [[1] * min(length, 100) for length in lengths]})
    assert count_packed_rows(lengths, 100) == len(pack_dataset(rows, 100, "bfd"))


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({"gradient_accumulation_steps": 1}, 10),
        ({"gradient_accumulation_steps": 4}, 3),
        ({"per_device_train_batch_size": 3, "gradient_accumulation_steps": 2}, 2),
        ({"gradient_accumulation_steps": 4, "num_train_epochs": 2.5}, 8),
        ({"max_steps": 7}, 7),
        ({"packing": True, "gradient_accumulation_steps": 1}, 5),
    ],
)
def test_steps(settings: dict[str, Any], steps: int) -> None:
    assert make_schedule(recipe(**settings), [50] * 10).steps == steps


def test_tokens_are_cut_held_out_and_repeated() -> None:
    of = make_schedule(
        recipe(eval_fraction=0.2, num_train_epochs=3, gradient_accumulation_steps=1), [50] * 5 + [400] * 5
    )
    assert of.tokens_per_epoch == 600  # of (5 x 50 + 5 x 100), four fifths
    assert of.tokens == 1800
    assert of.evaluated_tokens == 150 * 2  # after 20 of 24 steps and at the end


def test_padding_is_what_the_longest_of_a_batch_adds() -> None:
    assert make_schedule(recipe(per_device_train_batch_size=2), [50, 100, 50, 100]).padding == pytest.approx(0.25)
    assert make_schedule(recipe(per_device_train_batch_size=1), [50, 100]).padding == 0
    assert make_schedule(recipe(per_device_train_batch_size=2, packing=True), [50, 100]).padding == 0
