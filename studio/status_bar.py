"""The line on top of every page: what the engine and the running fine-tune do, and how to stop it."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING

from core.training.state import RunState
from studio.runs.run_cache import RunSnapshot
from studio.ui.format import MARK, duration

if TYPE_CHECKING:
    from studio.engine.status import EngineStatus

QUIET = '<span class="quiet"><i class="dot"></i>No fine-tune is running</span>'


def render_status_bar(
    engine: EngineStatus,
    running: RunSnapshot | None,
    queued: int,
    answering: int = 0,
    ended: RunSnapshot | None = None,
    *,
    cause: str = "",
) -> str:
    """Its data attributes are what the browser makes title, icon, polling and notifications from.

    `cause`: why the engine has failed, for who may know.
    """
    parts = [*_engine(engine, cause), *(_running(running, answering) if running else [QUIET])]
    if queued:
        parts.append(f"<span>{queued} waiting</span>")
    busy = running is not None or queued > 0 or engine.state in ("starting", "loading")
    state = {
        "busy": busy,
        "run": running.id if running else None,
        "name": running.summary.name if running else None,
        "state": running.state if running else None,
        "share": share_of(running) if running else None,
        "ended": [ended.id, ended.status.since, ended.summary.name, ended.state] if ended else None,
    }
    # Not a live region: a screen reader would read every step aloud. What ends is told as an alert.
    return f'<div class="strip" data-studio="{escape(json.dumps(state))}">{"".join(parts)}</div>'


def render_status_bar_without_runs(engine: EngineStatus) -> str:
    """The line before the runs were looked at. It says nothing of them, or the first look would seem to be news."""
    return f'<div class="strip">{"".join(_engine(engine))}</div>'


def _engine(engine: EngineStatus, cause: str = "") -> list[str]:
    about = f"Engine {engine.state}" + (f" · {engine.base}" if engine.ready and engine.base else "")
    detail = "" if engine.ready else f" · {escape(engine.detail)} {escape(cause)}"
    return [
        f'<span class="brand">{MARK}Guanaco Studio</span>',
        f'<span data-engine="{escape(engine.state)}"><i class="dot {escape(engine.state)}"></i>'
        f"{escape(about)}{detail}</span>",
        '<span class="grow"></span>',
    ]


def _running(running: RunSnapshot, answering: int) -> list[str]:
    run = running.summary
    steps = f"step {run.step} of {run.max_steps}" if run.max_steps else "…"
    loss = f" · loss {run.loss:.3f}" if run.loss is not None else ""
    eta = f" · {duration(run.eta_seconds)} left" if run.eta_seconds is not None else ""
    waits = " · waits for chat" if answering and running.state is RunState.TRAINING else ""
    shown = (
        f'<span class="running"><i class="dot training"></i><a href="/?page=runs&amp;run={escape(run.id)}" data-go>'
        f"<b>{escape(run.name)}</b></a> {escape(run.state)} · {steps}{loss}{eta}{waits}</span>"
    )
    bar = (
        f'<span class="bar" role="progressbar" aria-label="{escape(run.name)}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{share_of(running):.0f}"><i style="width:{share_of(running):.1f}%"></i></span>'
    )
    stopping = running.state in (RunState.STOPPING, RunState.SAVING)
    stop = (
        ""
        if stopping
        else f'<button class="small" data-action="stop" data-value="{escape(run.id)}" '
        f'title="Ends {escape(run.name)} after its current step and keeps what it has learnt">Stop</button>'
    )
    return [shown, bar, stop]


def share_of(running: RunSnapshot) -> float:
    """Percent of the steps that are done."""
    run = running.summary
    return round(100 * run.step / run.max_steps, 1) if run.max_steps else 0.0
