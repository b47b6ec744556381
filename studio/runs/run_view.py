"""One run as the page shows it: card, curves, sample answers, timeline. Pure functions."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace

from markupsafe import Markup

from adapters.cards.curves import smooth
from adapters.common.errors import without_paths
from core.models.base import name_of
from core.training.events import Checkpoint, Evaluation, Note, SampleAnswer
from core.training.phase import Phase
from core.training.state import ACTIVE, RunState
from studio.html.chart import Line, line_chart
from studio.html.format import duration, number, size
from studio.html.templating import render
from studio.runs.run_cache import RunSnapshot

WORKING = frozenset({RunState.TRAINING, RunState.SAVING})
SHA256 = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")


@dataclass(frozen=True)
class TimelineEntry:
    """`at`: seconds since the epoch. `state`: the state that the run changed to, or nothing."""

    at: float
    text: str
    state: str = ""


def render_run_card(
    run: RunSnapshot,
    memory: int | None = None,
    answers: int = 0,
    position: int | None = None,
    chat_is_suspended: bool = False,
    phase: Phase | None = None,
) -> Markup:
    """Progress bar, figures, and the last reason.

    memory: bytes of its worker. answers: how many the engine is writing. position: how many runs start before a queued
    one. phase: what its worker is doing.
    """
    summary = run.summary
    share = summary.step / summary.max_steps if summary.max_steps else 0.0
    state = str(summary.state)
    if position is not None:
        state = f"queued, {position} before it" if position else "queued, next"
    facts = {
        "State": state,
        "Step": f"{summary.step} of {summary.max_steps}" if summary.max_steps else "–",
        "Loss": number(summary.loss),
        "Eval loss": number(summary.eval_loss),
        "Tokens/s": number(summary.tokens_per_second, 0),
        "Left": duration(seconds_left(run, phase)),
    }
    if doing := current_phase(run, phase):
        facts["Now"] = doing
    if memory is not None:
        facts["Memory"] = size(memory)
    if chat_is_suspended and run.state in ACTIVE:
        facts["Chat"] = "parked until this run ends"
    elif run.state is RunState.TRAINING:
        facts["Chat"] = f"{answers} answering, training waits" if answers else "idle"
    if summary.adapter:
        facts["Adapter"] = summary.adapter
    percent = 100.0 if summary.state == "done" else 100 * share
    return render("runs/card.html", run=run, summary=summary, facts=facts, percent=percent)


def current_phase(run: RunSnapshot, phase: Phase | None) -> str:
    """What the worker of a living run does besides training steps, and how far that is; "" where it trains."""
    if run.state not in WORKING or phase is None or not phase.name:
        return ""
    return f"{phase.name}, {phase.done} of {phase.total}" if phase.total else phase.name


def seconds_left(run: RunSnapshot, phase: Phase | None) -> float | None:
    """Seconds to the end of a living run."""
    if run.state in WORKING and phase is not None and phase.left is not None:
        return phase.left_at(time.time())
    return run.summary.eta_seconds


def render_loss_chart(run: RunSnapshot, smoothing: float) -> Markup:
    """Training loss, smoothed over the raw values, and eval loss."""
    lines = [Line("loss, smoothed" if smoothing else "loss", smooth(run.training, smoothing), 0)]
    if smoothing:
        lines.insert(0, Line("loss", run.training, 0, faint=True))
    lines.append(Line("eval loss", run.evaluated, 1, dashed=True, dots=True))
    return line_chart(lines, f"Loss of {run.summary.name} by step")


def render_timeline(run: RunSnapshot) -> Markup:
    """Every change of state with its time and reason, checkpoints, and what the run noted; the newest first."""
    entries = [TimelineEntry(change.at, change.reason, str(change.state)) for change in run.status.timeline]
    for event in run.events:
        if isinstance(event, Checkpoint):
            entries.append(TimelineEntry(event.at, f"checkpoint of step {event.step}"))
        elif isinstance(event, Note):
            short = SHA256.sub(r"\1…", event.text)  # whole in the log and the record
            entries.append(TimelineEntry(event.at, short))
        elif isinstance(event, Evaluation) and event.best:
            text = f"best eval loss so far: {event.eval_loss:.3f} at step {event.step}"
            entries.append(TimelineEntry(event.at, text))
    return render("runs/timeline.html", entries=sorted(entries, key=lambda entry: entry.at)[::-1])


def render_samples(run: RunSnapshot) -> Markup:
    """What the run answered to the same questions at each checkpoint, a column each, so that one sees it learn."""
    answers: dict[tuple[int, str], str] = {}
    for event in run.events:
        if isinstance(event, SampleAnswer):
            answers[event.step, event.prompt] = event.answer
    if not answers:
        may_come = run.state in ACTIVE or run.state is RunState.QUEUED
        why = "come with the first checkpoint" if may_come else "were not kept"
        return render("shared/empty.html", text=f"Answers to fixed questions {why}.")
    return render(
        "runs/samples.html",
        answers=answers,
        steps=sorted({step for step, _ in answers}),
        prompts=list(dict.fromkeys(prompt for _, prompt in answers)),
        best_step=best_step(run),
    )


def best_step(run: RunSnapshot) -> int | None:
    """The step with the lowest eval loss, whose weights are kept where the recipe says so."""
    return int(min((loss, step) for step, loss in run.evaluated)[1]) if run.evaluated else None


def hide_paths(run: RunSnapshot) -> RunSnapshot:
    """A run as others than the owner may see it: nothing in it says where files lie on this machine."""
    timeline = tuple(replace(change, reason=without_paths(change.reason)) for change in run.status.timeline)
    events = (
        replace(event, text=without_paths(event.text)) if isinstance(event, Note) else event for event in run.events
    )
    recipe = run.recipe
    if recipe is not None:
        base = name_of(recipe.model_name_or_path)
        recipe = replace(recipe, dataset_name=run.dataset, model_name_or_path=base)
    return replace(
        run,
        status=replace(run.status, timeline=timeline),
        summary=replace(run.summary, reason=without_paths(run.summary.reason)),
        recipe=recipe,
        recipe_error=without_paths(run.recipe_error),
        events=tuple(events),
    )
