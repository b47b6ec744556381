"""What the buttons of the Runs page do to real runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import gradio as gr
import pytest

from core.common.process import Identity
from core.recipes.recipe import Recipe
from core.training import queue
from core.training.launcher import request_stop
from core.training.run import Run, create_run
from core.training.state import RunState
from studio.context import Studio
from studio.page import build_page
from tests.app_process import left_behind
from tests.core.training.conftest import wait_for
from tests.studio.conftest import handler


@pytest.fixture(scope="module")
def page(quiet_studio: Studio) -> gr.Blocks:
    return build_page(quiet_studio)


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


def click(page: gr.Blocks, action: str, run: Run) -> None:
    """A button that was drawn in the table or the strip."""
    handler(page, "runs.page.act")(gr.EventData(None, {"action": action, "value": run.id}))


def test_the_queue_is_reordered_and_cancelled(page: gr.Blocks, quiet_studio: Studio) -> None:
    a, b, c = (queued(quiet_studio, name) for name in "abc")
    assert waiting(quiet_studio) == ["a", "b", "c"]
    click(page, "earlier", c)
    assert waiting(quiet_studio) == ["a", "c", "b"]
    click(page, "later", a)
    assert waiting(quiet_studio) == ["c", "a", "b"]
    click(page, "later", b)  # it is the last one already
    click(page, "earlier", c)  # and this one the first
    assert waiting(quiet_studio) == ["c", "a", "b"]
    for run in (a, b, c):
        click(page, "stop", run)
        assert run.state() is RunState.STOPPED
    assert waiting(quiet_studio) == []
    with pytest.raises(gr.Error, match="Only a queued run can be moved"):
        click(page, "earlier", a)


def test_pausing_asks_for_a_checkpoint_and_does_not_resume_by_itself(page: gr.Blocks, quiet_studio: Studio) -> None:
    run = queued(quiet_studio, "paused", max_steps=100_000, save_steps=100_000)
    started = queue.start_next(quiet_studio.home)
    assert started is not None and started.id == run.id
    wait_for(run, lambda events: run.summary().step >= 2)
    handler(page, "runs.page.rest")(run.id)
    wait_for(run, lambda events: run.state() is RunState.INTERRUPTED)
    assert run.status().reason == "Paused." and not run.status().resumes_itself
    (saved,) = run.checkpoints()
    assert queue.start_next(quiet_studio.home) is None

    handler(page, "runs.page.go_on")(run.id)
    wait_for(run, lambda events: run.summary().step > saved.step)
    assert run.status().resumed_from == saved.step
    handler(page, "runs.page.end")(run.id)
    wait_for(run, lambda events: run.state() is RunState.STOPPED)
    assert run.status().adapter == "paused"


def test_training_on_counts_in_what_the_run_goes_by(
    page: gr.Blocks, quiet_studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = queued(quiet_studio, "busy")  # so that nothing else is started
    own = Identity.own()
    busy.move(RunState.PREPARING, pid=os.getpid(), started=own.started)
    steps, epochs = queued(quiet_studio, "steps", max_steps=5), queued(quiet_studio, "epochs", num_train_epochs=2)
    for run in (steps, epochs):
        request_stop(run)
    train_on = handler(page, "runs.page.train_on")
    with pytest.raises(gr.Error, match="It has 5 steps: write a larger number"):
        train_on(steps.id, None)
    with pytest.raises(gr.Error, match="2 epochs"):
        train_on(epochs.id, 0)
    with pytest.raises(gr.Error, match="larger number"):
        train_on(epochs.id, "many")
    with pytest.raises(gr.Error, match="max_steps = 5, and 3 is no more"):
        train_on(steps.id, 3)
    train_on(steps.id, 9)
    train_on(epochs.id, 3.5)
    assert (steps.recipe.max_steps, epochs.recipe.num_train_epochs, epochs.recipe.max_steps) == (9, 3.5, -1)
    assert waiting(quiet_studio) == ["steps", "epochs"]
    for run in (steps, epochs):
        request_stop(run)
    busy.move(RunState.FAILED)


def test_a_new_run_begins_from_a_runs_adapter(page: gr.Blocks, quiet_studio: Studio) -> None:
    run = queued(quiet_studio, "pirates", learning_rate=3e-3, max_steps=7)
    request_stop(run)
    run.move(RunState.QUEUED)
    run.move(RunState.PREPARING, adapter="pirates")
    run.move(RunState.FAILED)
    filled = handler(page, "page.from_adapter")(run.id)
    given = [getattr(each, "value", each) for each in filled]
    assert "pirates" in given and 3e-3 in given and 7 in given
