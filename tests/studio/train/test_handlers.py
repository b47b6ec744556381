"""The Train page's handlers: the nearest recipe that fits, measuring the speed, and what is not started."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr
import pytest

from adapters.common.errors import UserError
from core.planner import plan_run
from core.recipes.recipe import Recipe
from core.training.run import list_runs
from core.training.speeds import read_speeds
from studio.context import Studio
from studio.engine.gpu import find_gpu
from studio.train import handlers, recipe_form
from studio.train.components import TrainPage
from studio.train.lengths import DatasetLengths
from studio.train.page import build

TOO_MUCH = {"max_length": 1 << 20, "per_device_train_batch_size": 1024, "packing": True}
Context = tuple[Studio, TrainPage, DatasetLengths]


@pytest.fixture(scope="module")
def page(quiet_studio: Studio) -> TrainPage:
    with gr.Blocks():
        return build(quiet_studio, gr.Textbox(), gr.Tabs())[0]


@pytest.fixture
def context(quiet_studio: Studio, page: TrainPage) -> Context:
    return quiet_studio, page, DatasetLengths(quiet_studio)


def inputs_of(page: TrainPage, recipe: Recipe) -> list[Any]:
    """What the page's inputs hold for `recipe`: nothing pasted, its dataset, its settings."""
    settings = recipe.to_dict()
    fields = [recipe_form.field_value(name, settings[name]) for name in page.form.fields]
    return ["", recipe.dataset_name, *fields]


def click_on(action: str) -> gr.EventData:
    return gr.EventData(None, {"action": action, "value": ""})


def all_of(updates: AsyncIterator[str]) -> list[str]:
    async def collect() -> list[str]:
        return [update async for update in updates]

    return asyncio.run(collect())


def test_one_click_takes_the_nearest_recipe_that_fits(context: Context, page: TrainPage) -> None:
    too_much = Recipe.from_dict({"dataset_name": "pirate", **TOO_MUCH})
    assert not plan_run(too_much, find_gpu()).fits
    filled = handlers.take_nearest(*context, click_on("nearest"), *inputs_of(page, too_much))
    fields = tuple(update.value if isinstance(update, gr.Slider) else update for update in filled[1:-2])
    taken = page.form.to_recipe(filled[0], fields)
    assert plan_run(taken, find_gpu()).fits
    assert taken.max_length < TOO_MUCH["max_length"]


def test_where_nothing_nearer_is_that_is_told_and_other_clicks_do_nothing(context: Context, page: TrainPage) -> None:
    fits = inputs_of(page, Recipe.from_dict({"dataset_name": "pirate"}))
    with pytest.raises(UserError, match="no nearer recipe"):
        handlers.take_nearest(*context, click_on("nearest"), *fits)
    updates = handlers.take_nearest(*context, click_on("calibrate"), *fits)
    assert all(update == gr.skip() for update in updates)
    shown = all_of(handlers.measure_speed(*context, click_on("nearest"), *fits))
    assert shown == [gr.skip()], "the plan stays"


def test_what_cannot_fit_is_not_started_unless_overridden(
    context: Context, page: TrainPage, quiet_studio: Studio
) -> None:
    too_much = inputs_of(page, Recipe.from_dict({"dataset_name": "pirate", **TOO_MUCH}))
    with pytest.raises(UserError, match=r"It does not fit.*This would"):
        handlers.start_run(*context, False, *too_much)
    assert list_runs(quiet_studio.home) == []


@pytest.mark.slow
def test_what_nobody_could_chat_with_here_is_not_started_unless_it_is_meant(
    context: Context, page: TrainPage, quiet_studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.training.queue.start_worker", lambda run: None)
    inputs = inputs_of(page, Recipe.from_dict({"dataset_name": "pirate", "lora_r": 128}))
    shown = all_of(handlers.show_plan(*context, *inputs))[-1]
    assert 'data-fits="true" data-served="false"' in shown
    assert "slots hold up to 64" in shown and 'data-look="nearest"' in shown
    with pytest.raises(UserError, match=r"slots hold up to 64.*This would do: lora_r 64 instead of 128"):
        handlers.start_run(*context, False, *inputs)
    assert list_runs(quiet_studio.home) == []
    handlers.start_run(*context, True, *inputs)
    (run,) = list_runs(quiet_studio.home)
    assert run.recipe.allow_unserved
    assert run.recipe.lora_r == 128
    shutil.rmtree(run.folder)


@pytest.mark.slow
def test_measuring_the_speed_trains_a_few_steps_and_the_plan_then_has_a_time(
    context: Context, page: TrainPage, quiet_studio: Studio
) -> None:
    small = {"dataset_name": "pirate", "max_length": 64, "per_device_train_batch_size": 1, "max_samples": 20}
    inputs = inputs_of(page, Recipe.from_dict(small))
    first, *later = all_of(handlers.measure_speed(*context, click_on("calibrate"), *inputs))
    assert "Training a few steps" in first
    assert any("step 6 of 6" in shown for shown in later)
    assert "<b>Time</b>" in later[-1]
    assert "±" in later[-1]
    assert read_speeds(quiet_studio.home)
