"""Train: what to learn from, how, and Start. A beginner chooses a card and starts; an expert pastes a recipe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import gradio as gr
import yaml

from adapters.common.errors import UserError
from core.data.load import is_on_hub
from core.data.samples import SAMPLES
from core.models.base import resolve
from core.planner import NOT_SERVED, Chat, Plan, ServingLimits, count_most_steps, describe_changes, plan_run
from core.recipes.dataset import read_recipe_dataset
from core.recipes.recipe import Recipe
from core.recipes.trl_config import from_trl, to_trl
from core.recipes.warmup import check_learns
from core.training import queue
from core.training.run import create_run
from core.training.speeds import known_speeds
from studio.auth.identity import Role, user_of
from studio.context import Studio
from studio.data import offered_datasets
from studio.data.dataset_settings import RECIPE_SETTINGS
from studio.train import recipe_form
from studio.train.calibration import calibrate
from studio.train.dataset_cards import cards
from studio.train.gpu import card_here
from studio.train.lengths import Lengths
from studio.train.plan_view import plan_card
from studio.ui.events import told
from studio.ui.fragments import render_error
from studio.ui.html_events import clickable_html, clicked_action

PLAN_LATER = (
    '<div class="empty">Choose what to learn from: whether the run fits, and how long it takes, shows here.</div>'
)
PARKED = "Where both do not have room, the chat is parked meanwhile and comes back by itself."


@dataclass(frozen=True)
class TrainPage:
    """`taken` is what the Data page hands over: dataset_name, and the settings that reading.RECIPE_SETTINGS names.

    fill: a recipe as values of `filled`. started: the event of having started a run. mark: draws the cards in `picks`.
    """

    dataset: gr.Dropdown
    picks: gr.HTML
    mark: Callable[..., str]
    init_adapter: gr.Dropdown
    taken: list[Any]
    filled: list[Any]
    fill: Callable[[Recipe], list[Any]]
    started: Any


def build(studio: Studio, shown_run: gr.Textbox, tabs: gr.Tabs) -> TrainPage:
    """`shown_run` and `tabs` are where a run that was started is then seen."""
    lengths = Lengths(studio)
    gr.HTML('<h2 class="step"><i>1</i>What to learn from</h2>')
    picks = clickable_html(cards(studio.home, None, owner=False), "dataset-cards")
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            gr.HTML('<h2 class="step"><i>2</i>How</h2>')
            dataset = gr.Dropdown(
                [],  # filled in when the page loads, for those who may see it
                value=None,
                label="Dataset",
                allow_custom_value=True,
                info="A card above, one of your files (Data page), or a Hub id owner/name.",
                elem_id="train-dataset",
            )
            form = recipe_form.build(studio)
            with gr.Accordion("As YAML", open=False, elem_id="yaml"):
                pasted = gr.Code(
                    language="yaml",
                    label="A recipe, or a config of `trl sft`: used instead of the fields",
                    lines=6,
                    elem_id="recipe-yaml",
                )
                with gr.Row():
                    take = gr.Button("Into the fields", size="sm", elem_id="yaml-into-fields")
                    export = gr.Button("The fields as YAML", size="sm", elem_id="fields-as-yaml")
                    export_trl = gr.Button("The fields for trl sft --config", size="sm", elem_id="fields-as-trl")
                exported = gr.Code(
                    language="yaml", label="Copy or download", lines=6, interactive=False, elem_id="exported-yaml"
                )
        with gr.Column(scale=2, min_width=320, elem_id="plan-column"):
            gr.HTML('<h2 class="step"><i>3</i>Start</h2>')
            planned = clickable_html(PLAN_LATER, "plan")
            start = gr.Button("Start fine-tune", variant="primary", elem_id="start-run")
            anyway = gr.Checkbox(
                False,
                label="Start even if the plan says that it does not fit, or can't be chatted with",
                elem_id="start-anyway",
            )

    fields = list(form.fields.values())

    def pick(request: gr.Request, event: gr.EventData) -> list[Any]:
        name = clicked_action(event)[1]
        if user_of(request).role < Role.OWNER and name not in SAMPLES:
            return [gr.skip()] * 3
        return [name, *offered_datasets.remembered_format(studio.home, name)]

    def as_remembered(name: str | None) -> list[str]:
        """How the dataset that was chosen is read: as on the Data page the last time."""
        return [*offered_datasets.remembered_format(studio.home, name or "")]

    def mark(request: gr.Request, name: str | None) -> str:
        return cards(studio.home, name, user_of(request).role is Role.OWNER)

    async def estimate(yaml_text: str | None, name: str | None, *values: Any) -> AsyncIterator[str]:
        if not name and not (yaml_text or "").strip():
            yield PLAN_LATER
            return
        try:
            recipe = recipe_for(studio, yaml_text, form, name, values)
            known, mine = lengths.known(recipe), recipe.dataset_name in offered_datasets.dataset_names(studio.home)
            counting = known is None and mine  # one of the Hub's is not fetched for a plan
            yield plan_card(planned_here(studio, recipe, known), counting=counting)
            if counting:
                counted = await asyncio.to_thread(lengths.count, recipe)
                yield plan_card(planned_here(studio, recipe, counted))
        except UserError as error:
            yield render_error(error)

    def nearest(event: gr.EventData, yaml_text: str | None, name: str | None, *values: Any) -> list[Any]:
        """The recipe that the plan calls the nearest which fits, into the fields."""
        if clicked_action(event)[0] != "nearest":
            return [gr.skip()] * len(filled)
        recipe = recipe_for(studio, yaml_text, form, name, values)
        found = planned_here(studio, recipe, lengths.known(recipe)).nearest
        if found is None:
            raise UserError("There is no nearer recipe.", "The plan beside Start says what stands in the way.")
        return fill(found)

    async def measure_speed(
        event: gr.EventData, yaml_text: str | None, name: str | None, *values: Any
    ) -> AsyncIterator[str]:
        if clicked_action(event)[0] != "calibrate":
            yield gr.skip()  # a generator that yields nothing would empty the plan
            return
        recipe = offered_datasets.fetch_from_hub(studio.home, recipe_for(studio, yaml_text, form, name, values))
        check(studio, recipe)
        check_fits(studio, recipe, lengths.known(recipe))
        yield '<div class="empty" role="status">Training a few steps to measure the speed …</div>'
        failed = None
        try:
            await calibrate(studio.home, recipe)
        except UserError as error:
            failed = error
        async for card in estimate(yaml_text, name, *values):
            yield card
        if failed:
            raise failed

    def begin(overridden: bool, yaml_text: str | None, name: str | None, *values: Any) -> list[Any]:
        recipe = offered_datasets.fetch_from_hub(studio.home, recipe_for(studio, yaml_text, form, name, values))
        check(studio, recipe)
        may_park = studio.engine.external_url is None
        if overridden:
            recipe = replace(recipe, allow_unserved=True)
        stays = overridden or check_fits(studio, recipe, lengths.known(recipe), may_park=may_park)
        run = create_run(studio.home, recipe)
        queue.start_next(studio.home)
        gr.Info(f"The run starts. {'Chat goes on meanwhile.' if stays else PARKED}")
        return [run.id, "", gr.Tabs(selected="runs")]

    def into_fields(yaml_text: str | None) -> list[Any]:
        recipe, left = recipe_in(studio, yaml_text or "")
        if left:
            gr.Info(f"Decided here, so left out: {', '.join(left)}.")
        return fill(recipe)

    def as_yaml(name: str | None, *values: Any) -> str:
        return form.recipe(name, values).to_yaml()

    def as_trl(name: str | None, *values: Any) -> str:
        return to_trl(form.recipe(name, values))

    def show_level(level: str) -> list[Any]:
        last = recipe_form.LEVELS.index(level)
        return [gr.Column(visible=place <= last) for place in range(len(form.groups))]

    def fill(recipe: Recipe) -> list[Any]:
        return [recipe.dataset_name, *form.filled_with(recipe), "", recipe_form.LEVELS[2]]

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    filled = [dataset, *fields, pasted, form.level]
    reading = [form.fields["dataset_format"], form.fields["dataset_columns"]]
    picks.select(told(pick), None, [dataset, *reading], queue=False, **private)
    as_before = dataset.input(told(as_remembered), dataset, reading, queue=False, **private)
    dataset.change(mark, dataset, picks, queue=False, **private)
    form.level.change(show_level, form.level, form.groups, queue=False, **private)
    # Text boxes when they are left, the rest as it changes: planning at every key would flicker.
    changes = [getattr(field, "blur" if isinstance(field, gr.Textbox) else "change") for field in fields]
    gr.on(
        [dataset.change, *changes, pasted.blur],
        estimate,
        [pasted, dataset, *fields],
        planned,
        trigger_mode="always_last",
        **private,
    )
    as_before.success(estimate, [pasted, dataset, *fields], planned, **private)
    planned.select(told(nearest), [pasted, dataset, *fields], filled, **private)
    planned.select(told(measure_speed), [pasted, dataset, *fields], planned, **private)
    started = start.click(told(begin), [anyway, pasted, dataset, *fields], [shown_run, pasted, tabs], **private)
    take.click(told(into_fields), pasted, filled, **private)
    export.click(told(as_yaml), [dataset, *fields], exported, **private)
    export_trl.click(told(as_trl), [dataset, *fields], exported, **private)
    taken = [dataset, *(form.fields[name] for name in RECIPE_SETTINGS)]
    return TrainPage(dataset, picks, mark, form.fields["init_adapter"], taken, filled, fill, started)


def recipe_for(
    studio: Studio, yaml_text: str | None, form: recipe_form.RecipeForm, dataset: str | None, values: tuple[Any, ...]
) -> Recipe:
    """The pasted recipe, or else the one in the fields. Raises UserError."""
    if yaml_text and yaml_text.strip():
        return recipe_in(studio, yaml_text)[0]
    return form.recipe(dataset, values)


def recipe_in(studio: Studio, text: str) -> tuple[Recipe, list[str]]:
    """A pasted recipe or TRL config, for this studio's base where it names none, and what of it is decided here."""
    try:
        given = yaml.safe_load(text)
    except yaml.YAMLError:
        given = None  # told below, with the remedy
    if isinstance(given, dict):
        base = given.get("model_name_or_path", studio.base)
        same = base == resolve(studio.base).location  # as TRL's configs name the built-in base
        text = yaml.safe_dump({**given, "model_name_or_path": studio.base if same else base}, sort_keys=False)
    return from_trl(text)


def check(studio: Studio, recipe: Recipe) -> None:
    """What the page allows: the studio's own base, and only datasets that it offers. Raises UserError."""
    if recipe.model_name_or_path != studio.base:
        raise UserError(
            f"This studio serves the base {studio.base}, and the recipe wants {recipe.model_name_or_path}.",
            "Change model_name_or_path, or start the studio with that base (--base).",
        )
    if recipe.dataset_name not in offered_datasets.dataset_names(studio.home) and not is_on_hub(recipe.dataset_name):
        raise UserError(
            f"{recipe.dataset_name!r} is neither a dataset of this studio nor a Hub id.",
            "Upload the file on the Data page; only the command line reads other folders.",
        )
    dataset = read_recipe_dataset(recipe)
    if dataset.problems and not recipe.skip_bad_rows:
        raise UserError(
            f"{len(dataset.problems)} of {dataset.rows} rows cannot be converted.",
            "See them on the Data page and correct them, or tick skip_bad_rows to leave them out.",
        )


def planned_here(studio: Studio, recipe: Recipe, dataset_lengths: list[int] | None) -> Plan:
    """On this machine's card, beside this studio's engine as it is set. Raises UserError."""
    engine = studio.engine
    check_learns(recipe, count_most_steps(recipe, dataset_lengths))
    return plan_run(
        recipe,
        card_here(),
        home=studio.home,
        speeds=partial(known_speeds, studio.home, recipe.model_name_or_path),
        dataset_lengths=dataset_lengths,
        chat=Chat.of(engine.settings),
        limits=ServingLimits(engine.settings.max_rank if engine.external_url is None else None),
    )


def check_fits(studio: Studio, recipe: Recipe, dataset_lengths: list[int] | None, *, may_park: bool = False) -> bool:
    """Whether the run fits beside the chat; False where it fits once the chat is parked, if that may be done.

    Raises UserError, naming the nearest recipe that does, when the plan says that this one cannot fit, or that what it
    trains could not be chatted with here.
    """
    planned = planned_here(studio, recipe, dataset_lengths)
    fits = planned.fits or (may_park and planned.without_chat)
    if planned.refused and not (fits and planned.served):
        nearest = ", ".join(describe_changes(recipe, planned.nearest)) if planned.nearest else ""
        raise UserError(
            f"{NOT_SERVED} {planned.unserved}" if fits else planned.reason,
            f"This would do: {nearest}." if nearest else "Tick the box beneath Start to try it all the same.",
        )
    return planned.fits
