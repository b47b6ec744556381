"""How fast this machine has trained so far: what its runs told, and what calibrations left in the home's cache."""

from __future__ import annotations

import json
import platform
import time
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import psutil
from pydantic import Field, TypeAdapter

from adapters.bases import is_same_base
from adapters.common.errors import UserError
from adapters.common.files import append_line
from core.common.home import Home
from core.common.json_records import read_lines
from core.planner.time import Costs, Speed
from core.training.events import Progress, Timing
from core.training.run import Run, list_runs

SPEEDS_FILE = "speeds.jsonl"


@dataclass(frozen=True)
class MeasuredSpeed:
    """One line of the file. machine: what the figures depend on besides the recipe, see `this_machine`."""

    recipe: dict[str, Any]
    tokens_per_second: list[Annotated[float, Field(gt=0, allow_inf_nan=False)]]
    micro_batch_tokens: float | None = None
    costs: Costs = field(default_factory=Costs)
    machine: dict[str, Any] = field(default_factory=dict)


MEASURED_SPEED = TypeAdapter(MeasuredSpeed)


def save_speed(home: Home, measured: MeasuredSpeed) -> None:
    """Keep speeds together with the recipe they were measured with. Appends one line."""
    line = json.dumps({"at": time.time(), **asdict(measured)})
    append_line(home.cache / SPEEDS_FILE, line.encode())


def read_speeds(home: Home) -> list[MeasuredSpeed]:
    """What was measured on this machine with these versions, oldest first.

    Lines that say anything else are passed over.
    """
    here = this_machine()
    lines = read_lines(home.cache / SPEEDS_FILE, MEASURED_SPEED)
    return [measured for measured in lines if measured.machine == here]


@cache
def this_machine() -> dict[str, Any]:
    """What decides how fast a recipe trains: processor, cores, and the versions of what calculates."""
    versions = {name: metadata.version(name) for name in ("torch", "transformers", "peft", "trl", "bitsandbytes")}
    return {"processor": _processor(), "cores": psutil.cpu_count(), "versions": versions}


def known_speeds(home: Home, base: str) -> list[Speed]:
    """The speed of every run and measurement on this base."""
    speeds = [speed for run in list_runs(home) if (speed := _run_speed(run)) is not None]
    speeds += [
        Speed(each.recipe, median(each.tokens_per_second), each.micro_batch_tokens, each.costs)
        for each in read_speeds(home)
        if each.tokens_per_second
    ]
    return [speed for speed in speeds if is_same_base(str(speed.settings.get("model_name_or_path")), base)]


def _settings(run: Run) -> dict[str, Any]:
    try:
        return run.recipe.to_dict()
    except UserError:  # a recipe of another version, which says nothing about this one's speed
        return {}


def _run_speed(run: Run) -> Speed | None:
    """The median of what the run reported, without its first, which includes the warming up."""
    events = run.events()[0]
    steps = [event for event in events if isinstance(event, Progress)]
    rates = [event.tokens_per_second for event in steps if event.tokens_per_second]
    if len(rates) < 2:
        return None
    settings, last = _settings(run), steps[-1]
    size = last.tokens / (last.step * int(settings.get("gradient_accumulation_steps", 1))) if last.step else None
    timings = [_costs_of(event) for event in events if isinstance(event, Timing)]
    return Speed(settings, median(rates[1:]), size or None, timings[-1] if timings else Costs(), is_run=True)


def _costs_of(timing: Timing) -> Costs:
    evaluation = timing.evaluation / timing.evaluated_tokens if timing.evaluation and timing.evaluated_tokens else None
    return Costs(timing.preparing, evaluation, timing.checkpoint, timing.ending)


def _processor() -> str:
    """Its name; on Linux the model's."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
