"""Chatting with a run while it learns: its newest checkpoint is an adapter like any other."""

from __future__ import annotations

import re

from adapters.common.errors import UserError
from core.common.home import Home
from core.training import checkpoints
from core.training.run import Run, list_runs
from core.training.state import ACTIVE, RunState
from studio.engine.client import EngineClient

MARK = "run:"  # no adapter's name has a colon
LEARNING = ACTIVE | {RunState.INTERRUPTED}


def choices(home: Home) -> list[tuple[str, str]]:
    """(label, value) for every run that is under way and has a checkpoint: "buccaneer · step 60 (training)"."""
    found = []
    for run in list_runs(home):
        state = run.state()
        if state in LEARNING and (saved := checkpoints.newest(run.checkpoints_folder)):
            found.append((f"{run.name} · step {saved.step} ({state})", MARK + run.id))
    return found


def resident(client: EngineClient, home: Home, value: str) -> str:
    """The model name behind what was chosen in a column; a run's newest checkpoint is made resident first.

    Blocks while the engine reads the checkpoint. Raises UserError when the run has none any more.
    """
    if not value.startswith(MARK):
        return value
    run = Run(home.runs / value.removeprefix(MARK))
    saved = checkpoints.newest(run.checkpoints_folder) if run.folder.is_dir() else None
    if saved is None:
        raise UserError("This run has no checkpoint any more.", "Choose its finished adapter, or another one.")
    stem = f"{run.name[:40]}.step-"
    name = f"{stem}{saved.step}"
    client.load(name, str(saved.path))
    for older in superseded(stem, saved.step, client.resident()):
        client.unload(older)
    return name


def superseded(stem: str, step: int, resident: list[str]) -> list[str]:
    """Checkpoints of a run that no question goes to any more; the engine finishes what it answers with one.

    The newest one before `step` stays: a question may just be on its way to it.
    """
    steps = sorted(int(name[len(stem) :]) for name in resident if re.fullmatch(re.escape(stem) + r"\d+", name))
    return [f"{stem}{each}" for each in [each for each in steps if each < step][:-1]]
