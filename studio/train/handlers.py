"""What happens on the Train page: a dataset is chosen, the run is planned and started, recipes come and go as YAML."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import gradio as gr

from adapters.common.errors import UserError
from core.data.samples import SAMPLES
from core.recipes.trl_config import to_trl
from core.training import queue
from core.training.run import create_run
from studio.auth.identity import Role, user_of
from studio.auth.permissions import requires
from studio.context import Studio
from studio.data import offered_datasets
from studio.html.fragments import render_error
from studio.html.templating import render
from studio.train.calibration import calibrate
from studio.train.checks import check_fits, check_may_train, plan_here
from studio.train.components import TrainPage
from studio.train.dataset_cards import render_dataset_cards
from studio.train.lengths import DatasetLengths
from studio.train.plan_view import render_plan
from studio.train.recipe_form import LEVELS, RecipeForm
from studio.train.recipe_input import RecipeInputs, parse_pasted, recipe_for
from studio.ui.html_events import clicked_action

CHAT_SUSPENDED = "Where both do not have room, the chat is parked meanwhile and comes back by itself."


@requires(Role.VISITOR)
def choose_card(studio: Studio, request: gr.Request, event: gr.EventData) -> list[Any]:
    """The dataset whose card was clicked, and how it is read: as on the Data page the last time."""
    _, name = clicked_action(event)
    if user_of(request).role < Role.OWNER and name not in SAMPLES:
        return [gr.skip()] * 3
    return [name, *offered_datasets.remembered_format(studio.home, name)]


@requires(Role.OWNER)
def remember_format(studio: Studio, name: str | None) -> list[str]:
    """How the dataset that was chosen is read: as on the Data page the last time."""
    return [*offered_datasets.remembered_format(studio.home, name or "")]


@requires(Role.VISITOR)
def draw_cards(studio: Studio, request: gr.Request, name: str | None) -> str:
    """The datasets' cards, that of the chosen one marked."""
    return render_dataset_cards(studio.home, name, user_of(request).role is Role.OWNER)


@requires(Role.VISITOR)
def show_level(form: RecipeForm, level: str) -> list[Any]:
    last = LEVELS.index(level)
    return [gr.Column(visible=index <= last) for index in range(len(form.groups))]


@requires(Role.OWNER)
async def show_plan(studio: Studio, page: TrainPage, lengths: DatasetLengths, *values: Any) -> AsyncIterator[str]:
    """The plan of the recipe; it comes again with steps and time when the dataset's tokens are counted."""
    inputs = RecipeInputs.of(values)
    if inputs.are_empty:
        yield render("train/no_plan.html")
        return
    try:
        recipe = recipe_for(studio, page.form, inputs)
        known = lengths.known(recipe)
        is_offered = recipe.dataset_name in offered_datasets.dataset_names(studio.home)
        counting = known is None and is_offered  # one of the Hub's is not fetched for a plan
        measuring = studio.measurement.progress if studio.measurement else ""
        yield render_plan(plan_here(studio, recipe, known), counting=counting, measuring=measuring)
        if counting:
            counted = await asyncio.to_thread(lengths.count, recipe)
            yield render_plan(plan_here(studio, recipe, counted), measuring=measuring)
    except UserError as error:
        yield render_error(error)


@requires(Role.OWNER)
def take_nearest(
    studio: Studio,
    page: TrainPage,
    lengths: DatasetLengths,
    event: gr.EventData,
    *values: Any,
) -> list[Any]:
    """The recipe that the plan calls the nearest which fits, into the fields."""
    if clicked_action(event)[0] != "nearest":
        return [gr.skip()] * len(page.recipe_outputs)
    recipe = recipe_for(studio, page.form, RecipeInputs.of(values))
    nearest = plan_here(studio, recipe, lengths.known(recipe)).nearest
    if nearest is None:
        raise UserError("There is no nearer recipe.", "The plan beside Start says what stands in the way.")
    return page.recipe_updates(nearest)


@requires(Role.OWNER)
async def measure_speed(
    studio: Studio,
    page: TrainPage,
    lengths: DatasetLengths,
    event: gr.EventData,
    *values: Any,
) -> AsyncIterator[str]:
    """Train a few steps of the recipe, and show the plan with the time that follows."""
    if clicked_action(event)[0] != "calibrate":
        yield gr.skip()  # a generator that yields nothing would empty the plan
        return
    recipe = offered_datasets.fetch_from_hub(studio.home, recipe_for(studio, page.form, RecipeInputs.of(values)))
    check_may_train(studio, recipe)
    check_fits(studio, recipe, lengths.known(recipe))
    yield render("train/measuring.html", doing="")
    failed = None
    try:
        async for doing in calibrate(studio.home, recipe):
            yield render("train/measuring.html", doing=doing)
    except UserError as error:
        failed = error
    async for plan in show_plan(studio, page, lengths, *values):
        yield plan
    if failed:
        raise failed


@requires(Role.OWNER)
def start_run(
    studio: Studio,
    page: TrainPage,
    lengths: DatasetLengths,
    start_anyway: bool,
    *values: Any,
) -> list[Any]:
    """Start a run of the recipe: its id, nothing pasted any more, and the Runs tab."""
    recipe = offered_datasets.fetch_from_hub(studio.home, recipe_for(studio, page.form, RecipeInputs.of(values)))
    check_may_train(studio, recipe)
    may_suspend_chat = studio.engine.external_url is None
    if start_anyway:
        recipe = replace(recipe, allow_unserved=True)
    chat_stays = start_anyway or check_fits(studio, recipe, lengths.known(recipe), may_suspend_chat=may_suspend_chat)
    run = create_run(studio.home, recipe)
    queue.start_next(studio.home)
    gr.Info(f"The run starts. {'Chat goes on meanwhile.' if chat_stays else CHAT_SUSPENDED}")
    return [run.id, "", gr.Tabs(selected="runs")]


@requires(Role.OWNER)
def fill_from_yaml(studio: Studio, page: TrainPage, yaml_text: str | None) -> list[Any]:
    """The pasted recipe into the fields."""
    recipe, left_out = parse_pasted(studio, yaml_text or "")
    if left_out:
        gr.Info(f"Decided here, so left out: {', '.join(left_out)}.")
    return page.recipe_updates(recipe)


@requires(Role.OWNER)
def export_yaml(form: RecipeForm, name: str | None, *values: Any) -> str:
    return form.to_recipe(name, values).to_yaml()


@requires(Role.OWNER)
def export_trl(form: RecipeForm, name: str | None, *values: Any) -> str:
    """As a config of `trl sft`."""
    return to_trl(form.to_recipe(name, values))
