"""What the buttons of the Runs page do to real runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import gradio as gr
import pytest

from adapters.common.errors import UserError
from core.common.process import Identity
from core.recipes.recipe import Recipe
from core.training import queue
from core.training.launcher import request_stop
from core.training.run import Run, create_run
from core.training.state import RunState
from studio.context import Studio
from studio.runs.handlers import click_in_table, continue_run, pause_run, resume_run, stop_run
from tests.app_process import left_behind
from tests.core.training.conftest import wait_for


@pytest.fixture(autouse=True)
def nothing_is_left(quiet_studio: Studio) -> Iterator[None]:
    yield
    for process in left_behind(quiet_studio.home.root):
        process.kill()


def waiting(studio: Studio) -> list[str]:
    return [run.name for run in queue.list_queued(studio.home)]


def queued(studio: Studio, name: str, **settings: Any) -> Run:
    fixed = {"dataset_name": "pirate", "eval_fraction": 0, "sample_prompts": []}
    return create_run(studio.home, Recipe.from_dict(fixed | {"run_name": name} | settings))


def click(studio: Studio, action: str, run: Run) -> None:
    """A button that was drawn in the table or the status bar."""
    click_in_table(studio, gr.EventData(None, {"action": action, "value": run.id}))


def test_the_queue_is_reordered_and_cancelled(quiet_studio: Studio) -> None:
    a, b, c = (queued(quiet_studio, name) for name in "abc")
    assert waiting(quiet_studio) == ["a", "b", "c"]
    click(quiet_studio, "earlier", c)
    assert waiting(quiet_studio) == ["a", "c", "b"]
    click(quiet_studio, "later", a)
    assert waiting(quiet_studio) == ["c", "a", "b"]
    click(quiet_studio, "later", b)  # it is the last one already
    click(quiet_studio, "earlier", c)  # and this one the first
    assert waiting(quiet_studio) == ["c", "a", "b"]
    for run in (a, b, c):
        click(quiet_studio, "stop", run)
        assert run.state() is RunState.STOPPED
    assert waiting(quiet_studio) == []
    with pytest.raises(UserError, match="Only a queued run can be moved"):
        click(quiet_studio, "earlier", a)


@pytest.mark.slow
def test_pausing_asks_for_a_checkpoint_and_does_not_resume_by_itself(quiet_studio: Studio) -> None:
    run = queued(quiet_studio, "paused", max_steps=100_000, save_steps=100_000)
    started = queue.start_next(quiet_studio.home)
    assert started is not None and started.id == run.id
    wait_for(run, lambda events: run.summary().step >= 2)
    pause_run(quiet_studio, run.id)
    wait_for(run, lambda events: run.state() is RunState.INTERRUPTED)
    assert run.status().reason == "Paused." and not run.status().resumes_itself
    (saved,) = run.checkpoints()
    assert queue.start_next(quiet_studio.home) is None

    resume_run(quiet_studio, run.id)
    wait_for(run, lambda events: run.summary().step > saved.step)
    assert run.status().resumed_from == saved.step
    stop_run(quiet_studio, run.id)
    wait_for(run, lambda events: run.state() is RunState.STOPPED)
    assert run.status().adapter == "paused"


def test_training_on_counts_in_what_the_run_goes_by(quiet_studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = queued(quiet_studio, "busy")  # so that nothing else is started
    own = Identity.own()
    busy.move(RunState.PREPARING, pid=os.getpid(), started=own.started)
    steps, epochs = queued(quiet_studio, "steps", max_steps=5), queued(quiet_studio, "epochs", num_train_epochs=2)
    for run in (steps, epochs):
        request_stop(run)
    with pytest.raises(UserError, match="It has 5 steps: write a larger number"):
        continue_run(quiet_studio, steps.id, None)
    with pytest.raises(UserError, match="2 epochs"):
        continue_run(quiet_studio, epochs.id, 0)
    with pytest.raises(UserError, match="larger number"):
        continue_run(quiet_studio, epochs.id, "many")
    with pytest.raises(UserError, match="max_steps = 5, and 3 is no more"):
        continue_run(quiet_studio, steps.id, 3)
    continue_run(quiet_studio, steps.id, 9)
    continue_run(quiet_studio, epochs.id, 3.5)
    assert (steps.recipe.max_steps, epochs.recipe.num_train_epochs, epochs.recipe.max_steps) == (9, 3.5, -1)
    assert waiting(quiet_studio) == ["steps", "epochs"]
    for run in (steps, epochs):
        request_stop(run)
    busy.move(RunState.FAILED)
