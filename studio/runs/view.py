"""What the Runs tab shows: the values of its components, for one browser."""

from __future__ import annotations

from typing import Any

from core.training.state import ACTIVE, RunState
from core.training.trash import list_trashed
from studio.auth.identity import Role, User
from studio.context import Studio
from studio.engine.status import SUSPENDED
from studio.html.templating import render
from studio.runs.comparison_view import render_comparison
from studio.runs.run_cache import RunCache, RunSnapshot, worker_memory
from studio.runs.run_view import hide_paths, render_loss_chart, render_run_card, render_samples, render_timeline
from studio.runs.table_view import RunsTableState, render_runs_table, render_trash

ENDED = frozenset({RunState.DONE, RunState.STOPPED})
NO_CHOICE = "Choose a run in the table: its curve, answers and history will show here."


def render_tab(
    studio: Studio,
    cache: RunCache,
    runs: list[RunSnapshot],
    user: User,
    run_id: str | None,
    state: RunsTableState,
    filter_text: str | None,
    smoothing: float | None,
) -> list[Any]:
    """The values of RunsPage.outputs, in their order: HTML as text, and whether a part is visible.

    runs: all runs. run_id: the one that shows beneath the table.
    """
    if not user.sees_runs:
        closed = render("shared/empty.html", text="The runs of this studio are shown to its owner.")
        return [closed, "", "", "", *[False] * 7, "", "", ""]
    is_owner = user.role is Role.OWNER
    smoothing = smoothing or 0.0
    queued_ids = cache.queued_ids()
    by_id = {run.id: run for run in runs}
    compared = [by_id[compared_id] for compared_id in state.compared if compared_id in by_id]
    top = [
        render_runs_table(runs, state, filter_text or "", run_id, queued_ids, is_owner),
        render_trash(list_trashed(studio.home)) if is_owner else "",
        render("runs/compare_one_more.html")
        if len(compared) == 1
        else render_comparison([run if is_owner else hide_paths(run) for run in compared], smoothing),
    ]
    run = by_id.get(run_id or "")
    if run is None:
        card = render("shared/empty.html", text=NO_CHOICE) if runs else ""
        return [*top, card, *[False] * 7, "", "", ""]
    run = run if is_owner else hide_paths(run)
    return [
        *top,
        render_run_card(
            run,
            worker_memory(run.status),
            cache.answers_in_progress(),
            queued_ids.index(run.id) if run.id in queued_ids else None,
            studio.engine.status.state == SUSPENDED,
            cache.phase_of(run),
        ),
        *(is_possible and is_owner for is_possible in possible_actions(run)),
        render_loss_chart(run, smoothing),
        render_timeline(run),
        render_samples(run),
    ]


def possible_actions(run: RunSnapshot) -> list[bool]:
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


def first_shown_run(runs: list[RunSnapshot]) -> str:
    """The id of the run that a browser shows at first: the active one, else the newest."""
    first = next((run for run in runs if run.state in ACTIVE), runs[0] if runs else None)
    return first.id if first else ""
