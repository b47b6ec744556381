"""The time that a plan gives, from what earlier runs and calibrations measured."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from core.common.home import Home
from core.planner import Gpu, plan_run
from core.planner.model_shape import shape_of
from core.recipes.recipe import Recipe
from core.training.events import Progress, append_event
from core.training.run import create_run
from core.training.speeds import known_speeds, save_speeds
from tests.core.planner.configs import LLAMA_2_7B

HERE = replace(Gpu.find("t4"), here=True)


def recipe(**settings: Any) -> Recipe:
    given = {"model_name_or_path": "base", "dataset_name": "data", "eval_fraction": 0.0, "max_length": 100}
    return Recipe.from_dict(given | settings)


def ran(home: Home, rates: list[float], **settings: Any) -> None:
    """An earlier run that told these speeds."""
    run = create_run(home, recipe(**settings))
    for step, rate in enumerate(rates, 1):
        event = Progress(
            step=step, max_steps=len(rates), epoch=0.0, loss=1.0, learning_rate=1e-4, tokens_per_second=rate
        )
        append_event(run.events_path, event)


def estimated(home: Home, gpu: Gpu = HERE, **settings: Any) -> Any:
    shape, speeds = shape_of(LLAMA_2_7B, "base"), partial(known_speeds, home, "base")
    return plan_run(recipe(**settings), gpu, shape=shape, speeds=speeds, dataset_lengths=[50] * 80, chat=None)


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
    settings: dict[str, Any] = {"num_train_epochs": 2.0, "gradient_accumulation_steps": 1}
    plain, with_evaluation = estimated(home, **settings), estimated(home, eval_fraction=0.1, **settings)
    trained = 0.9 * plain.eta_seconds
    assert with_evaluation.eta_seconds == pytest.approx(trained + 0.4 * 400 * (1 + 144 // 20) / 100)
