"""How fast this machine has trained so far: what its runs told, and what calibrations left in the home's cache."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from statistics import median
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from adapters.bases import is_same_base
from adapters.common.errors import UserError
from adapters.common.files import append_line
from core.common.home import Home
from core.common.json_records import read_lines
from core.planner.time import Speed
from core.recipes.recipe import Recipe
from core.training.events import Progress
from core.training.run import Run, list_runs

SPEEDS_FILE = "speeds.jsonl"


@dataclass(frozen=True)
class MeasuredSpeed:
    recipe: dict[str, Any]
    tokens_per_second: list[Annotated[float, Field(gt=0, allow_inf_nan=False)]]


MEASURED_SPEED = TypeAdapter(MeasuredSpeed)


def save_speeds(home: Home, recipe: Recipe, rates: list[float]) -> None:
    """Keep speeds together with the recipe they were measured with. Appends one line."""
    line = json.dumps({"at": time.time(), "tokens_per_second": rates, "recipe": recipe.to_dict()})
    append_line(home.cache / SPEEDS_FILE, line.encode())


def read_speeds(home: Home) -> list[tuple[dict[str, Any], list[float]]]:
    """Recipes and their speeds, oldest first. A line that says anything else is passed over."""
    lines = read_lines(home.cache / SPEEDS_FILE, MEASURED_SPEED)
    return [(measured.recipe, measured.tokens_per_second) for measured in lines]


def known_speeds(home: Home, base: str) -> list[Speed]:
    """The speed of every run and calibration on this base."""
    speeds = [(_settings(run), _run_rate(run)) for run in list_runs(home)]
    speeds += [(settings, median(rates) if rates else None) for settings, rates in read_speeds(home)]
    return [
        Speed(settings, rate)
        for settings, rate in speeds
        if rate and is_same_base(str(settings.get("model_name_or_path")), base)
    ]


def _settings(run: Run) -> dict[str, Any]:
    try:
        return run.recipe.to_dict()
    except UserError:  # a recipe of another version, which says nothing about this one's speed
        return {}


def _run_rate(run: Run) -> float | None:
    """The median of what the run reported, without its first, which includes the warming up."""
    reported = [event.tokens_per_second for event in run.events()[0] if isinstance(event, Progress)]
    rates = [rate for rate in reported if rate]
    return median(rates[1:]) if len(rates) >= 2 else None
