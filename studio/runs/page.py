"""Runs: all of them in a table, one in detail, several compared; everything that can be done to them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from adapters.common.damaged_files import opened
from adapters.common.errors import UserError
from core.common.redaction import masked
from core.recipes.trl_config import to_trl
from core.training import queue, trash
from core.training.launcher import extend_run, request_pause, request_stop, resume_run
from core.training.run import Run, find_run
from core.training.state import ACTIVE, RunState
from studio.auth.identity import Role, User
from studio.context import Studio
from studio.engine.status import SUSPENDED
from studio.runs import run_view, runs_view
from studio.runs.run_cache import RunCache, RunSnapshot, worker_memory
from studio.runs.runs_view import RunsTableState
from studio.ui.events import told
from studio.ui.format import size
from studio.ui.html_events import clickable_html, clicked_action

LOG_BYTES = 20_000
# A refused confirmation empties the choice, and without one nothing is deleted.
CONFIRM = "(run) => run && confirm('Move this run, its checkpoints and its curves to the trash?') ? run : null"
NOT_SEEN = '<div class="empty">The runs of this studio are shown to its owner.</div>'
ENDED = frozenset({RunState.DONE, RunState.STOPPED})


@dataclass(frozen=True)
class RunsPage:
    """`inputs` say how this browser looks at the runs, `outputs` are drawn by `draw`, `changes` ask for it anew."""

    shown: gr.Textbox
    act: Callable[[gr.EventData], None]
    clone: gr.Button
    from_adapter: gr.Button
    inputs: list[Any]
    outputs: list[Any]
    changes: list[Any]


def build(studio: Studio) -> RunsPage:
    shown = gr.Textbox("", label="Run", visible="hidden", elem_id="shown-run")
    look = gr.State(RunsTableState())
    with gr.Row(equal_height=True):
        words = gr.Textbox(
            label="Filter",
            show_label=False,
            container=False,
            placeholder="Filter: name, state, dataset, adapter …",
            elem_id="filter-runs",
        )
    table = clickable_html("", "runs-table")
    bin_ = clickable_html("", "trash")
    compared = gr.HTML("", elem_id="compared")
    card = gr.HTML("", elem_id="run-card")
    with gr.Row(elem_classes="actions"):
        stop = gr.Button("Stop and keep", size="sm", elem_id="stop-run", visible=False)
        pause = gr.Button("Pause", size="sm", elem_id="pause-run", visible=False)
        take_up = gr.Button("Resume", size="sm", elem_id="resume-run", visible=False)
        clone = gr.Button("Clone its recipe", size="sm", elem_id="clone-run", visible=False)
        from_adapter = gr.Button("New run from its adapter", size="sm", elem_id="run-from-adapter", visible=False)
        delete = gr.Button("Delete", size="sm", variant="stop", elem_id="delete-run", visible=False)
    with gr.Row(visible=False, elem_classes="actions", equal_height=True) as further:
        epochs = gr.Textbox(
            "",
            label="Train on, to so many epochs in all (steps where max_steps is set)",
            placeholder="more than it has",
            max_lines=1,
            elem_id="more-epochs",
            min_width=300,
            scale=0,
        )
        go_further = gr.Button("Continue", size="sm", elem_id="continue-run", scale=0, min_width=110)
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

    def look_at(now: RunsTableState, run_id: str | None, event: gr.EventData) -> list[Any]:
        action, value = clicked_action(event)
        if action == "show":
            return [now, value]
        return [now.picking(value) if action == "pick" else now.sorted_by(value), run_id]

    def act(event: gr.EventData) -> None:
        action, value = clicked_action(event)
        if action == "empty-trash":
            gr.Info(f"The trash is empty: {size(trash.empty_trash(studio.home))} are free again.")
        elif action == "restore":
            gr.Info(f"{trash.restore_run(studio.home, value).name} is back.")
        elif action == "stop":
            end(value)
        elif action in ("earlier", "later"):
            run, waiting = find_run(studio.home, value), [each.id for each in queue.list_queued(studio.home)]
            queue.move_queued(run, (waiting.index(value) if value in waiting else 0) + (1 if action == "later" else -1))

    def end(run_id: str | None) -> None:
        queued = chosen(studio, run_id).state() is RunState.QUEUED
        request_stop(chosen(studio, run_id))
        gr.Info("The run is cancelled." if queued else "It stops after its current step and keeps what it has learnt.")

    def rest(run_id: str | None) -> None:
        request_pause(chosen(studio, run_id), "Paused.", resumes_itself=False)
        gr.Info("The run writes a checkpoint and rests until it is resumed.")

    def go_on(run_id: str | None) -> None:
        resume_run(chosen(studio, run_id))
        queue.start_next(studio.home)

    def train_on(run_id: str | None, text: str | float | None) -> None:
        run, wanted = chosen(studio, run_id), number_in(text)
        recipe = run.recipe
        by_steps = recipe.max_steps > 0
        if not wanted:
            has = f"{recipe.max_steps} steps" if by_steps else f"{recipe.num_train_epochs:g} epochs"
            raise UserError("How far it shall go is not given.", f"It has {has}: write a larger number.")
        if by_steps:
            extend_run(run, max_steps=int(wanted))
        else:
            extend_run(run, num_train_epochs=wanted)
        queue.start_next(studio.home)

    def remove(run_id: str | None) -> str:
        trash.trash_run(chosen(studio, run_id))
        gr.Info("The run is in the trash, beneath the table; its adapter, if it has one, stays.")
        return ""

    def log_of(run_id: str | None) -> str:
        return tail(chosen(studio, run_id))

    def yaml_of(run_id: str | None) -> str:
        return chosen(studio, run_id).recipe.to_yaml()

    def trl_of(run_id: str | None) -> str:
        return to_trl(chosen(studio, run_id).recipe)

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    changes = [
        # One after the other, and none left out: each click begins from what the one before has made.
        table.select(told(look_at), [look, shown], [look, shown], trigger_mode="multiple", **private),
        table.click(told(act), None, None, **private),
        bin_.click(told(act), None, None, **private),
        stop.click(told(end), shown, None, **private),
        pause.click(told(rest), shown, None, **private),
        take_up.click(told(go_on), shown, None, **private),
        go_further.click(told(train_on), [shown, epochs], None, **private),
        delete.click(told(remove), shown, shown, js=CONFIRM, **private),
    ]
    show_log.click(told(log_of), shown, log, **private)
    as_yaml.click(told(yaml_of), shown, recipe, **private)
    as_trl.click(told(trl_of), shown, recipe, **private)
    buttons = [stop, pause, take_up, clone, from_adapter, delete, further]
    outputs = [table, bin_, compared, card, *buttons, chart, history, samples]
    return RunsPage(shown, act, clone, from_adapter, [shown, look, words, smoothing], outputs, changes)


def draw(
    studio: Studio,
    overview: RunCache,
    runs: list[RunSnapshot],
    person: User,
    shown: str | None,
    look: RunsTableState,
    words: str | None,
    weight: float | None,
) -> list[Any]:
    """What the page shows of `runs`, in the order of RunsPage.outputs: HTML as text, and whether a part is visible."""
    if not person.sees_runs:
        return [NOT_SEEN, "", "", "", *[False] * 7, "", "", ""]
    owner, weight = person.role is Role.OWNER, weight or 0.0
    waiting = overview.queue()
    picked = [_as_seen_by(run, owner) for ident in look.picked for run in runs if run.id == ident]
    table = runs_view.runs_table(runs, look, words or "", shown, waiting, owner)
    compared = runs_view.comparison(picked, weight)
    if len(picked) == 1:
        compared = '<p class="said">Tick one more run to compare the two.</p>'
    top = [table, runs_view.trash_list(trash.list_trashed(studio.home)) if owner else "", compared]
    run = next((each for each in runs if each.id == shown), None)
    if run is None:
        return [*top, run_view.NO_CHOICE if runs else "", *[False] * 7, "", "", ""]
    run = _as_seen_by(run, owner)
    place = waiting.index(run.id) if run.id in waiting else None
    return [
        *top,
        run_view.run_card(
            run, worker_memory(run.status), overview.answering(), place, studio.engine.status.state == SUSPENDED
        ),
        *(each and owner for each in possible(run)),
        run_view.loss_chart(run, weight),
        run_view.timeline(run),
        run_view.samples_table(run),
    ]


def _as_seen_by(run: RunSnapshot, owner: bool) -> RunSnapshot:
    return run if owner else run_view.for_others(run)


def possible(run: RunSnapshot) -> list[bool]:
    """Which of stop, pause, resume, clone, new run from the adapter, delete and continue make sense for the run."""
    state = run.state
    return [
        state in (RunState.QUEUED, RunState.PREPARING, RunState.TRAINING),
        state in (RunState.PREPARING, RunState.TRAINING),
        state in (RunState.INTERRUPTED, RunState.FAILED, RunState.STOPPED),
        True,
        run.summary.adapter is not None,
        state not in ACTIVE and state is not RunState.QUEUED,
        state in ENDED,
    ]


def chosen(studio: Studio, run_id: str | None) -> Run:
    if not run_id:
        raise UserError("No run is chosen.", "Start one, or choose one in the table.")
    return find_run(studio.home, run_id)


def number_in(text: str | float | None) -> float:
    """What was written, or 0 where that is no number."""
    try:
        number = float(str(text or 0).replace(",", "."))
    except ValueError:
        return 0.0
    return number if math.isfinite(number) else 0.0


def tail(run: Run) -> str:
    """The newest part of a run's log."""
    log = opened(run.log_path)
    if log is None:
        return "The log is empty so far."
    with log as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_BYTES))
        return masked(file.read().decode(errors="replace"))


def first_shown(runs: list[RunSnapshot]) -> str:
    """The run that a browser shows at first: the one at work, else the newest."""
    first = next((run for run in runs if run.state in ACTIVE), runs[0] if runs else None)
    return first.id if first else ""
