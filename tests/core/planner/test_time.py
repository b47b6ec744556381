"""Steps, packing and times, against TRL's own packing and transformers' own counting."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from trl import pack_dataset

from core.common.home import Home
from core.planner import Gpu, count_packed_rows, make_schedule, plan_run
from core.planner.model_shape import shape_of
from core.recipes.recipe import Recipe
from core.training.calibration import calibrate, read_speeds, save_speeds
from core.training.events import Progress, append_event
from core.training.run import create_run
from tests.core.planner.configs import LLAMA_2_7B

HERE = replace(Gpu.find("t4"), here=True)


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


def ran(home: Home, rates: list[float], **settings: Any) -> None:
    """An earlier run that told these speeds."""
    run = create_run(home, recipe(**settings))
    for step, rate in enumerate(rates, 1):
        event = Progress(
            step=step, max_steps=len(rates), epoch=0.0, loss=1.0, learning_rate=1e-4, tokens_per_second=rate
        )
        append_event(run.events_path, event)


def estimated(home: Home, gpu: Gpu = HERE, **settings: Any) -> Any:
    shape = shape_of(LLAMA_2_7B, "base")
    return plan_run(recipe(**settings), gpu, shape=shape, home=home, dataset_lengths=[50] * 80, chat=None)


def test_no_speed_no_time(home: Home) -> None:
    of = estimated(home)
    assert of.eta_seconds is None
    assert of.time
    assert "No run on this base" in of.time.source


def test_speed_of_runs_like_this_one(home: Home) -> None:
    ran(home, [1.0, 100.0, 100.0, 100.0])  # the first step warms up
    ran(home, [1.0, 120.0, 120.0])
    of = estimated(home)
    assert of.eta_seconds == pytest.approx(4000 / 110)
    assert of.eta_uncertainty == pytest.approx(4000 / 110 * 0.1)


def test_runs_that_differ_make_it_less_sure(home: Home) -> None:
    ran(home, [1.0, 60.0])
    ran(home, [1.0, 100.0])
    ran(home, [1.0, 140.0])
    assert estimated(home).eta_uncertainty == pytest.approx(40 * 0.4)


def test_other_settings_tell_less(home: Home) -> None:
    ran(home, [1.0, 100.0], max_length=64)
    of = estimated(home)
    assert of.eta_seconds == pytest.approx(40)
    assert of.eta_uncertainty == pytest.approx(16)
    assert "other settings" in of.time.source


def test_other_bases_and_other_machines_tell_nothing(home: Home) -> None:
    ran(home, [1.0, 100.0], model_name_or_path="other")
    assert estimated(home).eta_seconds is None
    ran(home, [1.0, 100.0])
    assert estimated(home).eta_seconds is not None
    assert estimated(home, Gpu.find("l4")).eta_seconds is None


def test_a_calibration_counts_like_a_run(home: Home) -> None:
    save_speeds(home, recipe(), [90.0, 100.0, 110.0])
    (home.cache / "speeds.jsonl").open("a").write('{"at": 1, "tok')
    of = estimated(home)
    assert of.eta_seconds == pytest.approx(40)
    assert of.eta_uncertainty == pytest.approx(4)


def test_evaluation_takes_its_time(home: Home) -> None:
    ran(home, [1.0, 100.0])
    settings = {"num_train_epochs": 2.0, "gradient_accumulation_steps": 1}
    plain, with_evaluation = estimated(home, **settings), estimated(home, eval_fraction=0.1, **settings)
    trained = 0.9 * plain.eta_seconds
    assert with_evaluation.eta_seconds == pytest.approx(trained + 0.4 * 400 * (1 + 144 // 20) / 100)


def test_calibrating_trains_a_few_real_steps(home: Home, tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    row = json.dumps({"text": "### Human: Where is the ship?### Assistant: Arr, in the bay."})
    data.write_text(f"{row}\n" * 12)
    given = recipe(model_name_or_path="builtin", dataset_name=str(data), per_device_train_batch_size=2)
    rates = calibrate(given, home)
    assert len(rates) >= 3
    assert all(rate > 0 for rate in rates)
    save_speeds(home, given, rates)
    assert read_speeds(home) == [(given.to_dict(), rates)]
    assert not list(home.runs.iterdir())
    assert not list(home.adapters.iterdir())
