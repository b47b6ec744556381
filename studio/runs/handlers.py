"""What the buttons of the Runs tab do."""

from __future__ import annotations

import math
import os
from typing import Any

import gradio as gr

from adapters.common.damaged_files import open_plain
from adapters.common.errors import UserError
from core.common.redaction import masked
from core.recipes.trl_config import to_trl
from core.training import launcher, queue, trash
from core.training.run import Run, find_run
from core.training.state import RunState
from studio.auth.identity import Role
from studio.auth.permissions import requires
from studio.context import Studio
from studio.html.format import size
from studio.runs.table_view import RunsTableState
from studio.ui.html_events import clicked_action

LOG_BYTES = 20_000


@requires(Role.VISITOR)
def change_table(state: RunsTableState, run_id: str | None, event: gr.EventData) -> list[Any]:
    """How the table is sorted, which runs are compared, and which one shows beneath it: a matter of this browser."""
    action, value = clicked_action(event)
    if action == "show":
        return [state, value]
    return [state.with_compared(value) if action == "pick" else state.sorted_by(value), run_id]


@requires(Role.OWNER)
def click_in_table(studio: Studio, event: gr.EventData) -> None:
    """A button inside the table, the trash or the status bar."""
    action, run_id = clicked_action(event)
    if action == "empty-trash":
        gr.Info(f"The trash is empty: {size(trash.empty_trash(studio.home))} are free again.")
    elif action == "restore":
        gr.Info(f"{trash.restore_run(studio.home, run_id).name} is back.")
    elif action == "stop":
        stop_run(studio, run_id)
    elif action in ("earlier", "later"):
        run, waiting = find_run(studio.home, run_id), [waiting_run.id for waiting_run in queue.list_queued(studio.home)]
        position = waiting.index(run_id) if run_id in waiting else 0
        queue.move_queued(run, position + (1 if action == "later" else -1))


@requires(Role.OWNER)
def stop_run(studio: Studio, run_id: str | None) -> None:
    run = chosen_run(studio, run_id)
    was_queued = run.state() is RunState.QUEUED
    launcher.request_stop(run)
    gr.Info("The run is cancelled." if was_queued else "It stops after its current step and keeps what it has learnt.")


@requires(Role.OWNER)
def pause_run(studio: Studio, run_id: str | None) -> None:
    launcher.request_pause(chosen_run(studio, run_id), "Paused.", resumes_itself=False)
    gr.Info("The run writes a checkpoint and rests until it is resumed.")


@requires(Role.OWNER)
def resume_run(studio: Studio, run_id: str | None) -> None:
    launcher.resume_run(chosen_run(studio, run_id))
    queue.start_next(studio.home)


@requires(Role.OWNER)
def continue_run(studio: Studio, run_id: str | None, text: str | float | None) -> None:
    """Train a run that has ended on, to `text` epochs in all, or steps where its recipe counts in steps."""
    run, wanted = chosen_run(studio, run_id), to_number(text)
    recipe = run.recipe
    by_steps = recipe.max_steps > 0
    if not wanted:
        has = f"{recipe.max_steps} steps" if by_steps else f"{recipe.num_train_epochs:g} epochs"
        raise UserError("How far it shall go is not given.", f"It has {has}: write a larger number.")
    if by_steps:
        launcher.extend_run(run, max_steps=int(wanted))
    else:
        launcher.extend_run(run, num_train_epochs=wanted)
    queue.start_next(studio.home)


@requires(Role.OWNER)
def delete_run(studio: Studio, run_id: str | None) -> str:
    trash.trash_run(chosen_run(studio, run_id))
    gr.Info("The run is in the trash, beneath the table; its adapter, if it has one, stays.")
    return ""


@requires(Role.OWNER)
def show_log(studio: Studio, run_id: str | None) -> str:
    return log_tail(chosen_run(studio, run_id))


@requires(Role.OWNER)
def show_recipe_as_yaml(studio: Studio, run_id: str | None) -> str:
    return chosen_run(studio, run_id).recipe.to_yaml()


@requires(Role.OWNER)
def show_recipe_for_trl(studio: Studio, run_id: str | None) -> str:
    return to_trl(chosen_run(studio, run_id).recipe)


def chosen_run(studio: Studio, run_id: str | None) -> Run:
    if not run_id:
        raise UserError("No run is chosen.", "Start one, or choose one in the table.")
    return find_run(studio.home, run_id)


def to_number(text: str | float | None) -> float:
    """What was written, or 0 where that is no number."""
    try:
        number = float(str(text or 0).replace(",", "."))
    except ValueError:
        return 0.0
    return number if math.isfinite(number) else 0.0


def log_tail(run: Run) -> str:
    """The newest part of a run's log."""
    log = open_plain(run.log_path)
    if log is None:
        return "The log is empty so far."
    with log as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_BYTES))
        return masked(file.read().decode(errors="replace"))
