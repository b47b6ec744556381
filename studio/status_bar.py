"""The line on top of every page: what the engine and the running fine-tune do, and how to stop it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from markupsafe import Markup

from core.training.phase import Phase
from core.training.state import RunState
from studio.html.templating import render
from studio.runs.run_cache import RunSnapshot
from studio.runs.run_view import current_phase, seconds_left

if TYPE_CHECKING:
    from studio.engine.status import EngineStatus


def render_status_bar(
    engine: EngineStatus,
    running: RunSnapshot | None,
    queued: int,
    answers: int = 0,
    ended: RunSnapshot | None = None,
    *,
    cause: str = "",
    phase: Phase | None = None,
) -> Markup:
    """Its data attribute is what the browser makes title, icon, polling and notifications from.

    queued: how many runs wait. answers: how many the engine is writing. ended: the run that ended last. cause: why the
    engine has failed, for who may know. phase: what the running one is doing.
    """
    percent = percent_done(running) if running else None
    browser_state = {
        "busy": running is not None or queued > 0 or engine.state in ("starting", "loading"),
        "run": running.id if running else None,
        "name": running.summary.name if running else None,
        "state": running.state if running else None,
        "share": percent,
        "ended": [ended.id, ended.status.since, ended.summary.name, ended.state] if ended else None,
    }
    return render(
        "page/status_bar.html",
        engine=engine,
        cause=cause,
        run=running,
        percent=percent,
        doing=current_phase(running, phase) if running else "",
        left=seconds_left(running, phase) if running else None,
        waits_for_chat=running is not None and answers > 0 and running.state is RunState.TRAINING,
        can_stop=running is not None and running.state not in (RunState.STOPPING, RunState.SAVING),
        queued=queued,
        browser_state=json.dumps(browser_state),
    )


def render_status_bar_without_runs(engine: EngineStatus) -> Markup:
    """The line before the runs have been read. It says nothing of them, or their first news would seem to be new."""
    return render("page/status_bar.html", engine=engine, cause="", run=None, queued=0, browser_state="")


def percent_done(run: RunSnapshot) -> float:
    """Percent of the steps that are done."""
    summary = run.summary
    return round(100 * summary.step / summary.max_steps, 1) if summary.max_steps else 0.0
