"""The Runs tab: its layout, and which handler each of its events has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.context import Studio
from studio.runs import handlers
from studio.runs.table_view import RunsTableState
from studio.ui.events import bind
from studio.ui.html_events import clickable_html

# A refused confirmation empties the choice, and without one nothing is deleted.
CONFIRM = "(run) => run && confirm('Move this run, its checkpoints and its curves to the trash?') ? run : null"


@dataclass(frozen=True)
class RunsPage:
    """What other parts of the page need of this tab.

    run_id: the run that shows beneath the table. inputs: what studio.runs.view.render_tab makes the values of `outputs`
    from. changes: events after which `outputs` are no longer what they were.
    """

    run_id: gr.Textbox
    clone: gr.Button
    from_adapter: gr.Button
    inputs: list[Any]
    outputs: list[Any]
    changes: list[Any]


def build(studio: Studio) -> RunsPage:
    run_id = gr.Textbox("", label="Run", visible="hidden", elem_id="shown-run")
    table_state = gr.State(RunsTableState())
    with gr.Row(equal_height=True):
        filter_text = gr.Textbox(
            label="Filter",
            show_label=False,
            container=False,
            placeholder="Filter: name, state, dataset, adapter …",
            elem_id="filter-runs",
        )
    table = clickable_html("", "runs-table")
    trash = clickable_html("", "trash")
    compared = gr.HTML("", elem_id="compared")
    card = gr.HTML("", elem_id="run-card")
    with gr.Row(elem_classes="actions"):
        stop = gr.Button("Stop and keep", size="sm", elem_id="stop-run", visible=False)
        pause = gr.Button("Pause", size="sm", elem_id="pause-run", visible=False)
        resume = gr.Button("Resume", size="sm", elem_id="resume-run", visible=False)
        clone = gr.Button("Clone its recipe", size="sm", elem_id="clone-run", visible=False)
        from_adapter = gr.Button("New run from its adapter", size="sm", elem_id="run-from-adapter", visible=False)
        delete = gr.Button("Delete", size="sm", variant="stop", elem_id="delete-run", visible=False)
    with gr.Row(visible=False, elem_classes="actions", equal_height=True) as continuing:
        epochs = gr.Textbox(
            "",
            label="Train on, to so many epochs in all (steps where max_steps is set)",
            placeholder="more than it has",
            max_lines=1,
            elem_id="more-epochs",
            min_width=300,
            scale=0,
        )
        continue_button = gr.Button("Continue", size="sm", elem_id="continue-run", scale=0, min_width=110)
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            chart = gr.HTML("", elem_id="loss-plot")
            smoothing = gr.Slider(0, 0.95, 0.6, step=0.05, label="Smoothing", elem_id="smoothing")
        with gr.Column(scale=2, min_width=280):
            history = gr.HTML("", elem_id="timeline")
    samples = gr.HTML("", elem_id="samples")
    with gr.Accordion("Log", open=False):
        show_log = gr.Button("Show the newest lines", size="sm", elem_id="show-log")
        log = gr.Code(label="log.txt", language=None, lines=12, elem_id="run-log", interactive=False)
    with gr.Accordion("Recipe", open=False):
        with gr.Row():
            as_yaml = gr.Button("As YAML", size="sm", elem_id="run-yaml")
            as_trl = gr.Button("As trl sft --config takes it", size="sm", elem_id="run-trl")
        recipe = gr.Code(label="recipe.yaml", language="yaml", lines=10, elem_id="run-recipe", interactive=False)

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    change_table = bind(handlers.change_table)
    click = bind(handlers.click_in_table, studio)
    delete_run = bind(handlers.delete_run, studio)
    changes = [
        # One after the other, and none left out: each click begins from what the one before has made.
        table.select(change_table, [table_state, run_id], [table_state, run_id], trigger_mode="multiple", **private),
        table.click(click, None, None, **private),
        trash.click(click, None, None, **private),
        stop.click(bind(handlers.stop_run, studio), run_id, None, **private),
        pause.click(bind(handlers.pause_run, studio), run_id, None, **private),
        resume.click(bind(handlers.resume_run, studio), run_id, None, **private),
        continue_button.click(bind(handlers.continue_run, studio), [run_id, epochs], None, **private),
        delete.click(delete_run, run_id, run_id, js=CONFIRM, **private),
    ]
    show_log.click(bind(handlers.show_log, studio), run_id, log, **private)
    as_yaml.click(bind(handlers.show_recipe_as_yaml, studio), run_id, recipe, **private)
    as_trl.click(bind(handlers.show_recipe_for_trl, studio), run_id, recipe, **private)
    buttons = [stop, pause, resume, clone, from_adapter, delete, continuing]
    outputs = [table, trash, compared, card, *buttons, chart, history, samples]
    inputs = [run_id, table_state, filter_text, smoothing]
    return RunsPage(run_id, clone, from_adapter, inputs, outputs, changes)
