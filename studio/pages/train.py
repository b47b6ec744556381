"""Train: a recipe with sensible defaults, start and stop, the live loss curve, and the list of runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from core.base import HUB_ID
from core.data.formats import FORMATS
from core.errors import UserError
from core.plan import changed, plan
from core.recipe import SETTINGS, Recipe, defaults_for
from core.training import queue
from core.training.run import (
    Run,
    create_run,
    delete_run,
    find_run,
    list_runs,
    request_leave,
    request_stop,
    resume,
)
from studio import imports
from studio.card import card_here
from studio.context import Studio
from studio.masking import masked
from studio.pages.telling import told
from studio.plan_view import plan_card
from studio.present import curves, progress, runs_table, told_in_place

LOG_BYTES = 20_000
PLAN_LATER = '<div class="empty">Choose a dataset: whether the run fits this machine will show here.</div>'
# A refused confirmation empties the choice, and without one nothing is deleted.
CONFIRM = "(run) => run && confirm('Delete this run, its checkpoints and its curves?') ? run : null"


@dataclass(frozen=True)
class TrainPage:
    """`taken` is what the Data page hands over: dataset_name, dataset_format, skip_bad_rows, max_length."""

    dataset: gr.Dropdown
    taken: list[Any]
    shown_run: gr.Dropdown
    card: gr.HTML
    plot: gr.LinePlot
    runs: gr.HTML


def build(studio: Studio) -> TrainPage:
    defaults = {name: field.default for name, field in SETTINGS.items()} | defaults_for(studio.base)
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            dataset = gr.Dropdown(
                [],  # filled in when the page loads, like the runs below, for those who may see it
                value=None,
                label="Dataset",
                allow_custom_value=True,
                info="A sample, one of your files (Data page), or a Hub id owner/name.",
                elem_id="train-dataset",
            )
            run_name = gr.Textbox(label="run_name", info="Also the adapter's name.", elem_id="run-name")
            with gr.Row():
                epochs = gr.Number(
                    defaults["num_train_epochs"], label="num_train_epochs", info=about("num_train_epochs"), minimum=0.01
                )
                rate = gr.Number(defaults["learning_rate"], label="learning_rate", info=about("learning_rate"))
                rank = gr.Dropdown([4, 8, 16, 32, 64], value=defaults["lora_r"], label="lora_r", info=about("lora_r"))
            with gr.Accordion("More settings", open=False):
                more: dict[str, gr.Number | gr.Dropdown | gr.Checkbox] = {
                    name: gr.Number(defaults[name], label=name, info=about(name), precision=0 if whole else None)
                    for name, whole in (
                        ("max_steps", True),
                        ("per_device_train_batch_size", True),
                        ("gradient_accumulation_steps", True),
                        ("max_length", True),
                        ("lora_alpha", True),
                        ("eval_fraction", False),
                        ("save_steps", True),
                        ("seed", True),
                    )
                }
                more["dataset_format"] = gr.Dropdown(
                    [("as detected", ""), *FORMATS], value="", label="dataset_format", info=about("dataset_format")
                )
                more["packing"] = gr.Checkbox(defaults["packing"], label="packing", info=about("packing"))
                more["skip_bad_rows"] = gr.Checkbox(False, label="skip_bad_rows", info=about("skip_bad_rows"))
                anyway = gr.Checkbox(
                    False, label="Start even if the plan says that it does not fit", elem_id="start-anyway"
                )
            with gr.Accordion("As YAML", open=False):
                gr.Markdown("A recipe that is pasted here is used instead of the fields above.")
                pasted = gr.Code(language="yaml", label="recipe.yaml", lines=8, elem_id="recipe-yaml")
                export = gr.Button("Fill in from the fields above", size="sm")
            start = gr.Button("Start fine-tune", variant="primary", elem_id="start-run")
            planned = gr.HTML(PLAN_LATER, elem_id="plan")
        with gr.Column(scale=2, min_width=360):
            shown_run = gr.Dropdown([], value=None, label="Run", elem_id="shown-run")
            card = gr.HTML(progress(None, None), elem_id="run-card")
            with gr.Row():
                stop = gr.Button("Stop and keep", size="sm", elem_id="stop-run")
                pause = gr.Button("Pause", size="sm", elem_id="pause-run")
                take_up = gr.Button("Resume", size="sm", elem_id="resume-run")
                delete = gr.Button("Delete run", size="sm", variant="stop", elem_id="delete-run")
            plot = gr.LinePlot(
                x="step",
                y="loss",
                color="series",
                color_map={"training": "#0a8f5b", "eval": "#b45309"},
                height=360,
                label="Loss",
                x_title="step",
                y_title="loss",
                elem_id="loss-plot",
            )
            with gr.Accordion("Log", open=False):
                log = gr.Code(label="log.txt", language=None, lines=12, elem_id="run-log")
                show_log = gr.Button("Show the newest lines", size="sm")
    runs = gr.HTML(runs_table([]), elem_id="runs-table")

    fields = [dataset, run_name, epochs, rate, rank, *more.values()]

    def recipe_of(values: tuple[Any, ...]) -> Recipe:
        names = ("dataset_name", "run_name", "num_train_epochs", "learning_rate", "lora_r", *more)
        given = {name: value for name, value in zip(names, values, strict=True) if value not in (None, "")}
        return Recipe.from_dict({"model_name_or_path": studio.base, **given})

    def estimate(yaml: str | None, *values: Any) -> str:
        try:
            recipe = Recipe.from_yaml(yaml) if yaml and yaml.strip() else recipe_of(values)
            return plan_card(plan(recipe, card_here(), home=studio.home))
        except UserError as error:
            return told_in_place(error)

    def begin(overridden: bool, yaml: str | None, *values: Any) -> list[Any]:
        recipe = Recipe.from_yaml(yaml) if yaml and yaml.strip() else recipe_of(values)
        check(studio, recipe)
        if not overridden:
            check_fits(studio, recipe)
        run = create_run(studio.home, recipe)
        queue.advance(studio.home)
        gr.Info("The run starts. Chat goes on meanwhile.")
        return [gr.Dropdown(choices=run_choices(studio), value=run.id), ""]

    def end(run_id: str | None) -> None:
        request_stop(chosen(studio, run_id))
        gr.Info("The run stops after its current step and keeps what it has learnt.")

    def rest(run_id: str | None) -> None:
        request_leave(chosen(studio, run_id), "Paused.", resumes_itself=False)
        gr.Info("The run writes a checkpoint and rests until it is resumed.")

    def go_on(run_id: str | None) -> None:
        resume(chosen(studio, run_id))
        queue.advance(studio.home)

    def remove(run_id: str | None) -> gr.Dropdown:
        delete_run(chosen(studio, run_id))
        gr.Info("The run is deleted; its adapter, if it has one, stays.")
        return gr.Dropdown(choices=run_choices(studio), value=newest(studio))

    def to_yaml(*values: Any) -> str:
        return recipe_of(values).to_yaml()

    def log_of(run_id: str | None) -> str:
        return tail(find_run(studio.home, run_id)) if run_id else ""

    private: dict[str, Any] = {"api_visibility": "private"}
    start.click(told(begin), [anyway, pasted, *fields], [shown_run, pasted], **private)
    # Text boxes when they are left, the rest as it changes: planning at every key would flicker.
    changes = [getattr(field, "blur" if isinstance(field, gr.Textbox) else "change") for field in fields]
    gr.on([*changes, pasted.blur], estimate, [pasted, *fields], planned, show_progress="hidden", **private)
    stop.click(told(end), shown_run, None, **private)
    pause.click(told(rest), shown_run, None, **private)
    take_up.click(told(go_on), shown_run, None, **private)
    delete.click(told(remove), shown_run, shown_run, js=CONFIRM, **private)
    export.click(told(to_yaml), fields, pasted, **private)
    show_log.click(told(log_of), shown_run, log, **private)
    taken = [dataset, more["dataset_format"], more["skip_bad_rows"], more["max_length"]]
    return TrainPage(dataset, taken, shown_run, card, plot, runs)


def about(name: str) -> str:
    return str(SETTINGS[name].metadata["help"])


def check(studio: Studio, recipe: Recipe) -> None:
    """What the page allows: the studio's own base, and only datasets that it offers. Raises UserError."""
    if recipe.model_name_or_path != studio.base:
        raise UserError(
            f"This studio serves the base {studio.base}, and the recipe wants {recipe.model_name_or_path}.",
            "Change model_name_or_path, or start the studio with that base (--base).",
        )
    offered = {value for _, value in imports.choices(studio.home)}
    if recipe.dataset_name not in offered and not HUB_ID.match(recipe.dataset_name):
        raise UserError(
            f"{recipe.dataset_name!r} is neither a dataset of this studio nor a Hub id.",
            "Upload the file on the Data page; only the command line reads other folders.",
        )
    from core.data import read_dataset

    dataset = read_dataset(
        recipe.dataset_name,
        dataset_format=recipe.dataset_format,
        config=recipe.dataset_config,
        split=recipe.dataset_train_split,
        revision=recipe.dataset_revision,
    )
    if dataset.problems and not recipe.skip_bad_rows:
        raise UserError(
            f"{len(dataset.problems)} of {dataset.rows} rows cannot be converted.",
            "See them on the Data page and correct them, or tick skip_bad_rows to leave them out.",
        )


def check_fits(studio: Studio, recipe: Recipe) -> None:
    """Raises UserError, naming the nearest recipe that does, when the plan says that this one cannot fit."""
    planned = plan(recipe, card_here(), home=studio.home)
    if not planned.fits:
        nearest = ", ".join(changed(recipe, planned.nearest)) if planned.nearest else ""
        raise UserError(
            planned.reason,
            f"This would: {nearest}." if nearest else "Tick the last box of More settings to try it all the same.",
        )


def chosen(studio: Studio, run_id: str | None) -> Run:
    if not run_id:
        raise UserError("No run is chosen.", "Start one, or choose one in the list above.")
    return find_run(studio.home, run_id)


def run_choices(studio: Studio) -> list[tuple[str, str]]:
    return [(f"{run.name} · {run.id[:15]}", run.id) for run in list_runs(studio.home)]


def newest(studio: Studio) -> str | None:
    runs = list_runs(studio.home)
    return runs[0].id if runs else None


def view(run: Run | None) -> list[Any]:
    """Card and plot of one run, as the tick shows them."""
    if run is None:
        return [progress(None, None), curves([])]
    return [progress(run.summary(), run.status()), curves(run.events()[0])]


def tail(run: Run) -> str:
    """The newest part of a run's log."""
    if not run.log_path.exists():
        return "The log is empty so far."
    with run.log_path.open("rb") as file:
        file.seek(max(0, run.log_path.stat().st_size - LOG_BYTES))
        return masked(file.read().decode(errors="replace"))
