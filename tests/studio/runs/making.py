"""Runs with events, made in a moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.recipes.recipe import Recipe
from core.training.events import Progress, append_event
from core.training.run import Run, create_run
from studio.context import Studio
from studio.runs.run_cache import RunCache, RunSnapshot


def make_run(studio: Studio, name: str, losses: Sequence[float] = (), **settings: Any) -> Run:
    run = create_run(studio.home, Recipe.from_dict({"dataset_name": "pirate", "run_name": name, **settings}))
    for step, loss in enumerate(losses, 1):
        append_event(
            run.events_path, Progress(step=step, max_steps=len(losses), epoch=0, loss=loss, learning_rate=1e-3)
        )
    return run


def snapshots(studio: Studio) -> dict[str, RunSnapshot]:
    return {run.summary.name: run for run in RunCache(studio.home).runs()}
