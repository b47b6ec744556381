"""A run that is stopped, or leaves, or dies: what is kept, and how it goes on."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from adapters.store import AdapterStore
from core.common.home import Home
from core.recipes.recipe import Recipe
from core.training import trainer as trainer_module
from core.training.events import Evaluation, Progress
from core.training.launcher import extend_run
from core.training.run import Run, create_run
from core.training.state import RunState
from core.training.trainer import StudioTrainer
from tests.core.training.steps import Work, at_step, losses, terminate_twice

pytestmark = pytest.mark.slow


def test_stopping_keeps_what_was_learnt_and_can_be_taken_up_again(
    whole: Run, home: Home, recipe: Recipe, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = create_run(home, replace(recipe, run_name="stopped"))
    at_step(monkeypatch, 3, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert work(run) == 0
    status = run.status()
    assert status.state is RunState.STOPPED and status.reason == "Stopped at step 3 of 6."
    assert [entry.state for entry in status.timeline][-3:] == ["stopping", "saving", "stopped"]
    store = AdapterStore(home.adapters)
    assert store.get("stopped").steps == 3
    kept = load_file(store.path("stopped") / "adapter_model.safetensors")
    assert any(tensor.abs().max() > 0 for name, tensor in kept.items() if "lora_B" in name)
    run.move(RunState.QUEUED)
    assert work(run) == 0
    assert losses(run) == losses(whole)  # bit for bit: optimiser, schedule, data order and dropout went on
    first = load_file(AdapterStore(whole.home.adapters).path("pirate") / "adapter_model.safetensors")
    second = load_file(store.path("stopped-2") / "adapter_model.safetensors")
    assert all(torch.equal(first[name], second[name]) for name in first)
    steps = [event.step for event in run.events()[0] if isinstance(event, Progress)]
    assert steps == [1, 2, 3, 4, 5, 6]
    totals = [
        [event.tokens for event in trained.events()[0] if isinstance(event, Progress)] for trained in (whole, run)
    ]
    assert totals[0] == totals[1]


def test_a_second_signal_ends_it_at_once(
    home: Home, recipe: Recipe, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_step(monkeypatch, 4, terminate_twice)
    run = create_run(home, recipe)
    assert work(run) == 1
    assert run.state() is RunState.INTERRUPTED
    assert [checkpoint.step for checkpoint in run.checkpoints()] == [2, 3]
    assert not list(home.adapters.iterdir())


def test_nothing_is_left_when_the_stop_comes_before_the_first_step(
    home: Home, recipe: Recipe, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = trainer_module.build_trainer

    def build(*args: Any, **kwargs: Any) -> StudioTrainer:
        os.kill(os.getpid(), signal.SIGTERM)
        return real(*args, **kwargs)

    monkeypatch.setattr(trainer_module, "build_trainer", build)
    run = create_run(home, recipe)
    assert work(run) == 1
    assert run.state() is RunState.STOPPED and "nothing was learnt" in run.status().reason
    assert not list(home.adapters.iterdir())


def test_leaving_writes_a_checkpoint_and_no_adapter(
    home: Home, recipe: Recipe, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_step(monkeypatch, 3, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    run = create_run(home, recipe)
    assert work(run) == 1
    assert run.state() is RunState.INTERRUPTED
    assert run.checkpoints()[-1].step == 3
    assert not list(home.adapters.iterdir())


def test_leaving_within_a_long_step_forgets_that_step_and_repeats_it_alike(
    home: Home, recipe: Recipe, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(recipe, per_device_train_batch_size=2, gradient_accumulation_steps=2, max_steps=4, save_steps=4)
    plain = create_run(home, recipe)
    assert work(plain) == 0
    monkeypatch.setattr("core.training.callbacks.PATIENCE_SECONDS", 0.0)
    at_step(monkeypatch, 3, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    run = create_run(home, recipe)
    assert work(run) == 1
    assert run.state() is RunState.INTERRUPTED
    assert [checkpoint.step for checkpoint in run.checkpoints()] == [2]
    run.move(RunState.QUEUED)
    assert work(run) == 0
    assert losses(run) == losses(plain)


def test_leaving_does_not_wait_for_an_evaluation(
    home: Home, recipe: Recipe, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = StudioTrainer.prediction_step

    def predict(self: StudioTrainer, *args: Any, **kwargs: Any) -> Any:
        os.kill(os.getpid(), signal.SIGUSR1)
        return real(self, *args, **kwargs)

    monkeypatch.setattr(StudioTrainer, "prediction_step", predict)
    run = create_run(home, replace(recipe, eval_fraction=0.5, per_device_eval_batch_size=1))
    assert work(run) == 1
    assert run.state() is RunState.INTERRUPTED
    assert run.checkpoints()[-1].step == 3  # where it was to be evaluated
    assert not [event for event in run.events()[0] if isinstance(event, Evaluation)]
    assert sorted(losses(run)) == [1, 2, 3]


def test_a_run_that_died_before_its_first_checkpoint_draws_one_curve_too(
    home: Home, recipe: Recipe, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.summary.writer import event_file_writer

    # Files of one process and second are read in the order of this number as text, where 10 comes before 9.
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(0))
    at_step(monkeypatch, 4, terminate_twice)
    run = create_run(home, replace(recipe, save_steps=6, eval_steps=6))
    assert work(run) == 1
    assert not run.checkpoints() and sorted(losses(run)) == [1, 2, 3]
    run.move(RunState.QUEUED)
    assert work(run) == 0
    curve = EventAccumulator(str(run.tensorboard)).Reload().Scalars("train/loss")
    assert [point.step for point in curve] == [1, 2, 3, 4, 5, 6]


def test_a_finished_run_goes_on_for_more_steps(home: Home, recipe: Recipe, work: Work) -> None:
    run = create_run(home, recipe)
    assert work(run) == 0
    extend_run(run, max_steps=8)
    assert work(run) == 0
    told = [event for event in run.events()[0] if isinstance(event, Progress)]
    assert [event.step for event in told] == list(range(1, 9))
    assert told[6].learning_rate > told[5].learning_rate  # the schedule is the longer run's, not at its end any more
    store = AdapterStore(home.adapters)
    assert run.status().adapter == "pirate-2"
    assert (store.get("pirate").steps, store.get("pirate-2").steps) == (6, 8)
