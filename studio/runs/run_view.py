"""One run as the page shows it: card, curves, sample answers, timeline. Pure functions; every value is escaped."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from html import escape

from adapters.common.errors import without_paths
from core.models.base import name_of
from core.training.events import Checkpoint, Evaluation, Note, SampleAnswer
from core.training.state import ACTIVE, RunState
from studio.runs.run_cache import RunSnapshot
from studio.ui.chart import Line, line_chart, smoothed
from studio.ui.format import duration, number, size

NO_RUN = (
    '<div class="empty"><p>No fine-tune yet.</p><p><a href="/?page=train" data-go>Start one</a>: choose a sample, '
    "press Start. Chat goes on meanwhile.</p></div>"
)
SHA256 = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")
NO_CHOICE = '<div class="empty">Choose a run in the table: its curve, answers and history will show here.</div>'


def run_card(
    run: RunSnapshot, memory: int | None = None, answering: int = 0, place: int | None = None, parked: bool = False
) -> str:
    """Bar, figures, and what just happened. `place`: how many runs go before a queued one. `parked`: the chat is."""
    line = run.summary
    share = line.step / line.max_steps if line.max_steps else 0.0
    share = 1.0 if line.state == "done" else share
    training = run.state is RunState.TRAINING
    facts = {
        "State": str(line.state) if place is None else f"queued, {place} before it" if place else "queued, next",
        "Step": f"{line.step} of {line.max_steps}" if line.max_steps else "–",
        "Loss": number(line.loss),
        "Eval loss": number(line.eval_loss),
        "Tokens/s": number(line.tokens_per_second, 0),
        "Left": duration(line.eta_seconds),
    }
    if memory is not None:
        facts["Memory"] = size(memory)
    if parked and run.state in ACTIVE:
        facts["Chat"] = "parked until this run ends"
    elif training:
        facts["Chat"] = f"{answering} answering, training waits" if answering else "idle"
    if line.adapter:
        facts["Adapter"] = line.adapter
    shown = "".join(f"<span><b>{name}</b> {escape(value)}</span>" for name, value in facts.items())
    reason = f'<p class="{"error" if line.state == "failed" else ""}">{escape(line.reason)}</p>' if line.reason else ""
    stalled = '<p class="error">No sign of life for two minutes: see the log.</p>' if line.stalled else ""
    trouble = f'<p class="error">{escape(run.trouble)}</p>' if run.trouble else ""
    return (
        f'<div class="run" data-run="{escape(run.id)}" data-state="{escape(line.state)}" data-step="{line.step}">'
        f"<h3>{escape(line.name)} <small>on {escape(dataset_of(run))}, since {moment(line.created)}</small></h3>"
        f'<div class="bar" role="progressbar" aria-label="Steps of {escape(line.name)}" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="{share * 100:.0f}"><i style="width:{share:.1%}"></i></div>'
        f'<div class="facts">{shown}</div>{reason}{trouble}{stalled}</div>'
    )


def loss_chart(run: RunSnapshot, weight: float) -> str:
    """Training loss, smoothed over the raw values, and eval loss."""
    lines = [Line("loss, smoothed" if weight else "loss", smoothed(run.training, weight), 0)]
    if weight:
        lines.insert(0, Line("loss", run.training, 0, faint=True))
    lines.append(Line("eval loss", run.evaluated, 1, dashed=True, dots=True))
    return line_chart(lines, f"Loss of {run.summary.name} by step")


def timeline(run: RunSnapshot) -> str:
    """Every change of state with its time and reason, checkpoints, and what the run noted; the newest first."""
    rows = [(each.at, f"<b>{escape(each.state)}</b> {escape(each.reason)}") for each in run.status.timeline]
    for event in run.events:
        if isinstance(event, Checkpoint):
            rows.append((event.at, f"checkpoint of step {event.step}"))
        elif isinstance(event, Note):
            rows.append((event.at, escape(SHA256.sub(r"\1…", event.text))))  # whole in the log and the record
        elif isinstance(event, Evaluation) and event.best:
            rows.append((event.at, f"best eval loss so far: {event.eval_loss:.3f} at step {event.step}"))
    items = "".join(
        f"<li><time>{moment(at)}</time> {text}</li>" for at, text in sorted(rows, key=lambda row: row[0])[::-1]
    )
    return f'<ol reversed class="timeline" tabindex="0" aria-label="What happened, the newest first">{items}</ol>'


def samples_table(run: RunSnapshot) -> str:
    """What the run answered to the same questions at each checkpoint, a column each, so that one sees it learn."""
    answers: dict[tuple[int, str], str] = {}
    for event in run.events:
        if isinstance(event, SampleAnswer):
            answers[event.step, event.prompt] = event.answer
    if not answers:
        why = (
            "come with the first checkpoint" if run.state in ACTIVE or run.state is RunState.QUEUED else "were not kept"
        )
        return f'<div class="empty">Answers to fixed questions {why}.</div>'
    steps = sorted({step for step, _ in answers})
    prompts = list(dict.fromkeys(prompt for _, prompt in answers))
    best = best_step(run)
    head = "".join(f'<th scope="col">step {step}{" · best" if step == best else ""}</th>' for step in steps)
    body = "".join(
        f'<tr><th scope="row">{escape(prompt)}</th>'
        + "".join(f"<td>{escape(answers.get((step, prompt), '–'))}</td>" for step in steps)
        + "</tr>"
        for prompt in prompts
    )
    return (
        '<div class="scroll" tabindex="0"><table class="plain samples"><thead><tr><td></td>'
        f"{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def best_step(run: RunSnapshot) -> int | None:
    """The step with the lowest eval loss, whose weights are kept where the recipe says so."""
    return int(min((loss, step) for step, loss in run.evaluated)[1]) if run.evaluated else None


def for_others(run: RunSnapshot) -> RunSnapshot:
    """A run as others than the owner may look at it: nothing in it says where files lie on this machine."""
    timeline = tuple(replace(each, reason=without_paths(each.reason)) for each in run.status.timeline)
    events = (replace(each, text=without_paths(each.text)) if isinstance(each, Note) else each for each in run.events)
    recipe = run.recipe
    if recipe is not None:
        base = name_of(recipe.model_name_or_path)
        recipe = replace(recipe, dataset_name=dataset_of(run), model_name_or_path=base)
    return replace(
        run,
        status=replace(run.status, timeline=timeline),
        summary=replace(run.summary, reason=without_paths(run.summary.reason)),
        recipe=recipe,
        trouble=without_paths(run.trouble),
        events=tuple(events),
    )


def dataset_of(run: RunSnapshot) -> str:
    """A dataset as people call it: a file of the studio by its folder."""
    return run.recipe.dataset_name.rsplit("/data.", 1)[0].rsplit("/", 1)[-1] if run.recipe else "–"


def moment(at: float) -> str:
    """A time as people write it: the clock alone for today, with the date otherwise; "–" for what is no time."""
    try:
        when, today = time.localtime(at), time.localtime()
    except (ValueError, OverflowError, OSError):
        return "–"
    clock = time.strftime("%H:%M:%S", when)
    return clock if when[:3] == today[:3] else f"{when.tm_mday} {time.strftime('%b %Y', when)} {clock[:5]}"
