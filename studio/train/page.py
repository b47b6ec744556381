"""Train: what to learn from, how, and Start. A beginner chooses a card and starts; an expert pastes a recipe."""

from __future__ import annotations

from typing import Any

import gradio as gr

from studio.context import Studio
from studio.html.templating import render
from studio.train import handlers, recipe_form
from studio.train.components import TrainPage
from studio.train.dataset_cards import render_dataset_cards
from studio.train.lengths import DatasetLengths
from studio.ui.events import bind, bind_silently
from studio.ui.html_events import clickable_html

PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


def build(studio: Studio, shown_run: gr.Textbox, tabs: gr.Tabs) -> tuple[TrainPage, Any]:
    """The page, and the event of having started a run. `shown_run` and `tabs` are where the run then shows."""
    gr.HTML(render("train/step.html", number=1, title="What to learn from"))
    dataset_cards = clickable_html(render_dataset_cards(studio.home, None, is_owner=False), "dataset-cards")
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            gr.HTML(render("train/step.html", number=2, title="How"))
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
                yaml = gr.Code(
                    language="yaml",
                    label="A recipe, or a config of `trl sft`: used instead of the fields",
                    lines=6,
                    elem_id="recipe-yaml",
                )
                with gr.Row():
                    fill = gr.Button("Into the fields", size="sm", elem_id="yaml-into-fields")
                    export = gr.Button("The fields as YAML", size="sm", elem_id="fields-as-yaml")
                    export_trl = gr.Button("The fields for trl sft --config", size="sm", elem_id="fields-as-trl")
                exported = gr.Code(
                    language="yaml", label="Copy or download", lines=6, interactive=False, elem_id="exported-yaml"
                )
        with gr.Column(scale=2, min_width=320, elem_id="plan-column"):
            gr.HTML(render("train/step.html", number=3, title="Start"))
            plan = clickable_html(render("train/no_plan.html"), "plan")
            start = gr.Button("Start fine-tune", variant="primary", elem_id="start-run")
            start_anyway = gr.Checkbox(
                False,
                label="Start even if the plan says that it does not fit, or can't be chatted with",
                elem_id="start-anyway",
            )
    page = TrainPage(dataset_cards, dataset, form, yaml, plan, start_anyway)
    started = connect(studio, page, start, [shown_run, yaml, tabs])
    fields = [dataset, *form.fields.values()]
    fill.click(bind(handlers.fill_from_yaml, studio, page), yaml, page.recipe_outputs, **PRIVATE)
    export.click(bind(handlers.export_yaml, form), fields, exported, **PRIVATE)
    export_trl.click(bind(handlers.export_trl, form), fields, exported, **PRIVATE)
    return page, started


def connect(studio: Studio, page: TrainPage, start: gr.Button, start_outputs: list[Any]) -> Any:
    """Wire the choice of a dataset, the plan, and Start. Returns the event of having started a run."""
    form, inputs = page.form, page.recipe_inputs
    lengths = DatasetLengths(studio)
    show_plan = bind(handlers.show_plan, studio, page, lengths)
    reading = [form.fields["dataset_format"], form.fields["dataset_columns"]]
    page.dataset_cards.select(
        bind(handlers.choose_card, studio), None, [page.dataset, *reading], queue=False, **PRIVATE
    )
    formatted = page.dataset.input(
        bind(handlers.remember_format, studio), page.dataset, reading, queue=False, **PRIVATE
    )
    page.dataset.change(
        bind_silently(handlers.draw_cards, studio), page.dataset, page.dataset_cards, queue=False, **PRIVATE
    )
    form.level.change(bind_silently(handlers.show_level, form), form.level, form.groups, queue=False, **PRIVATE)
    # Text boxes when they are left, the rest as it changes: planning at every key would flicker.
    changes = [field.blur if isinstance(field, gr.Textbox) else field.change for field in form.fields.values()]
    gr.on(
        [page.dataset.change, *changes, page.yaml.blur],
        show_plan,
        inputs,
        page.plan,
        trigger_mode="always_last",
        **PRIVATE,
    )
    formatted.success(show_plan, inputs, page.plan, **PRIVATE)
    take_nearest = bind(handlers.take_nearest, studio, page, lengths)
    page.plan.select(take_nearest, inputs, page.recipe_outputs, **PRIVATE)
    page.plan.select(bind(handlers.measure_speed, studio, page, lengths), inputs, page.plan, **PRIVATE)
    start_run = bind(handlers.start_run, studio, page, lengths)
    return start.click(start_run, [page.start_anyway, *inputs], start_outputs, **PRIVATE)
