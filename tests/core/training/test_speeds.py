"""The time that a plan gives, from what earlier runs and calibrations measured."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from core.common.home import Home
from core.planner import Gpu, plan_run
from core.planner.model_shape import shape_of
from core.planner.time import Costs, Speed, estimate_time, make_schedule, rate_for
from core.recipes.recipe import Recipe
from core.training.events import Progress, Timing, append_event
from core.training.run import create_run
from core.training.speeds import MeasuredSpeed, known_speeds, save_speed, this_machine
from tests.core.planner.configs import LLAMA_2_7B

NO_COSTS = Costs()
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
    assert of.eta_uncertainty == pytest.approx(4000 / 110 * 0.2)


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
    save_speed(home, MeasuredSpeed(recipe().to_dict(), [90.0, 100.0, 110.0], machine=this_machine()))
    (home.cache / "speeds.jsonl").open("a").write('{"at": 1, "tok')
    of = estimated(home)
    assert of.eta_seconds == pytest.approx(40)
    assert of.eta_uncertainty == pytest.approx(8)


def test_evaluation_takes_its_time(home: Home) -> None:
    ran(home, [1.0, 100.0])
    settings: dict[str, Any] = {"num_train_epochs": 2.0, "gradient_accumulation_steps": 1}
    plain, with_evaluation = estimated(home, **settings), estimated(home, eval_fraction=0.1, **settings)
    trained = 0.9 * plain.eta_seconds
    assert with_evaluation.eta_seconds == pytest.approx(trained + 0.4 * 400 * -(-144 // 20) / 100)


def measured(home: Home, rows: int, rate: float, size: float, costs: Costs = NO_COSTS) -> None:
    given = recipe(per_device_train_batch_size=rows).to_dict()
    save_speed(home, MeasuredSpeed(given, [rate], size, costs, this_machine()))


def test_start_evaluations_checkpoints_and_the_end_take_their_time(home: Home) -> None:
    costs = Costs(preparing=7.0, evaluation=0.01, checkpoint=2.0, ending=5.0)
    measured(home, recipe().per_device_train_batch_size, 100.0, 50.0, costs)
    settings: dict[str, Any] = {"num_train_epochs": 2.0, "gradient_accumulation_steps": 1}
    of = estimated(home, eval_fraction=0.1, eval_steps=20, save_steps=30, **settings)
    steps = of.schedule.steps
    assert steps == 144
    checkpoints = len({*range(20, 145, 20), *range(30, 145, 30), 144})
    wanted = of.schedule.tokens / 100 + 7 + 0.01 * 400 * 8 + 2 * checkpoints + 5
    assert of.eta_seconds == pytest.approx(wanted)


def test_micro_batches_of_another_size_lie_between_those_that_were_measured() -> None:
    speeds = [Speed({}, 100.0, 100.0), Speed({}, 200.0, 400.0)]  # 1 s and 2 s
    assert [rate_for(speeds, size) for size in (100.0, 250.0, 400.0)] == pytest.approx([100, 250 / 1.5, 200])
    assert rate_for(speeds, 700.0) == pytest.approx(700 / 3)
    assert rate_for(speeds, 1.0) == pytest.approx(1 / 0.67)
    assert rate_for(speeds[:1], 5000.0) == 100.0
    assert rate_for([Speed({}, 100.0, 100.0), Speed({}, 10_000.0, 400.0)], 800.0) <= 20_000


def test_a_run_that_told_its_times_is_counted_with_them(home: Home) -> None:
    run = create_run(home, recipe())
    for step in (1, 2):
        event = Progress(step=step, max_steps=2, epoch=0.0, loss=1.0, learning_rate=1e-4, tokens_per_second=50.0)
        append_event(run.events_path, replace(event, tokens=step * 80))
    append_event(
        run.events_path, Timing(preparing=9.0, evaluation=3.0, checkpoint=2.0, ending=1.0, evaluated_tokens=30)
    )
    (speed,) = known_speeds(home, "base")
    assert speed.micro_batch_tokens == 80 / recipe().gradient_accumulation_steps
    assert speed.costs == Costs(preparing=9.0, evaluation=0.1, checkpoint=2.0, ending=1.0)


def test_what_runs_took_counts_for_more_than_what_was_measured_without_one() -> None:
    measured, run = Costs(preparing=3.0, evaluation=0.5), Costs(preparing=9.0)
    speeds = [Speed({}, 100.0, 100.0, measured), Speed({}, 100.0, 100.0, measured), Speed({}, 100.0, 100.0, run, True)]
    schedule = make_schedule(recipe(max_steps=10, eval_fraction=0.5, eval_steps=10), [100] * 20)
    told = estimate_time(recipe(), HERE, schedule, lambda: speeds)
    assert told.seconds == pytest.approx(schedule.tokens / 100 + 9.0 + 0.5 * schedule.evaluated_tokens)
