"""Chatting with a run while it learns: its newest checkpoint is an adapter like any other."""

from __future__ import annotations

import re

from adapters.common.errors import UserError
from core.common.home import Home
from core.training import checkpoints
from core.training.run import Run, list_runs
from core.training.state import ACTIVE, RunState
from studio.engine.client import EngineClient

RUN_PREFIX = "run:"  # no adapter's name has a colon
UNFINISHED = ACTIVE | {RunState.INTERRUPTED}


def choices(home: Home) -> list[tuple[str, str]]:
    """(label, value) for every run that is under way and has a checkpoint: "buccaneer · step 60 (training)"."""
    found = []
    for run in list_runs(home):
        state = run.state()
        if state in UNFINISHED and (saved := checkpoints.newest_checkpoint(run.checkpoints_folder)):
            found.append((f"{run.name} · step {saved.step} ({state})", RUN_PREFIX + run.id))
    return found


def load_model(client: EngineClient, home: Home, value: str) -> str:
    """The name of the model that was chosen in a column. Of a run, the newest checkpoint is loaded first.

    Blocks while the engine reads the checkpoint. Raises UserError when the run has none any more.
    """
    if not value.startswith(RUN_PREFIX):
        return value
    run = Run(home.runs / value.removeprefix(RUN_PREFIX))
    saved = checkpoints.newest_checkpoint(run.checkpoints_folder) if run.folder.is_dir() else None
    if saved is None:
        raise UserError("This run has no checkpoint any more.", "Choose its finished adapter, or another one.")
    stem = f"{run.name[:40]}.step-"
    name = f"{stem}{saved.step}"
    client.load(name, str(saved.path))
    for older_name in superseded(stem, saved.step, client.resident_adapters()):
        client.unload(older_name)
    return name


def superseded(stem: str, step: int, resident: list[str]) -> list[str]:
    """The resident checkpoints of a run that no question goes to any more. The engine finishes its answers with them.

    The newest one before `step` stays: a question may just be on its way to it.
    """
    steps = sorted(int(name[len(stem) :]) for name in resident if re.fullmatch(re.escape(stem) + r"\d+", name))
    earlier = [number for number in steps if number < step]
    return [f"{stem}{number}" for number in earlier[:-1]]
