"""Several runs side by side: their curves in one chart, and what differs in their recipes and results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from markupsafe import Markup

from adapters.cards.curves import smooth
from studio.html.chart import Line, line_chart
from studio.html.format import number
from studio.html.templating import render
from studio.runs.run_cache import RunSnapshot


def render_comparison(runs: Sequence[RunSnapshot], smoothing: float) -> Markup:
    """Nothing where there are not at least two."""
    if len(runs) < 2:
        return Markup("")
    names = _distinct_names(runs)
    lines = []
    for colour, (run, name) in enumerate(zip(runs, names, strict=True)):
        lines.append(Line(name, smooth(run.training, smoothing), colour))
        lines.append(Line(f"{name}, eval", run.evaluated, colour, dashed=True, dots=True))
    chart = line_chart(lines, f"Losses of {len(runs)} runs by step")
    return render("runs/comparison.html", chart=chart, names=names, rows=differences(runs))


def differences(runs: Sequence[RunSnapshot]) -> list[tuple[str, list[str]]]:
    """(setting, its value in each run) for the settings that are not the same in all, then the results."""
    recipes: list[dict[str, Any]] = [asdict(run.recipe) if run.recipe else {} for run in runs]
    rows = [
        (name, [_to_text(recipe.get(name)) for recipe in recipes])
        for name in max(recipes, key=len)
        if name != "run_name" and len({str(recipe.get(name)) for recipe in recipes}) > 1
    ]
    results = [
        ("state", [str(run.state) for run in runs]),
        ("steps", [str(run.summary.step) for run in runs]),
        ("loss", [number(run.summary.loss) for run in runs]),
        ("eval loss", [number(run.summary.eval_loss) for run in runs]),
        ("tokens/s", [number(run.summary.tokens_per_second, 0) for run in runs]),
    ]
    return rows + results


def _distinct_names(runs: Sequence[RunSnapshot]) -> list[str]:
    """The names of the runs; where several have the same, with the time in their ids."""
    names = [run.summary.name for run in runs]
    return [
        name if names.count(name) == 1 else f"{name} ({run.id[9:15]})" for name, run in zip(names, runs, strict=True)
    ]


def _to_text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "–" if value is None else str(value)
