"""What the home folder holds and how much of it can go."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from adapters.common.errors import UserError
from adapters.common.files import remove_tree
from core.common.home import Home
from core.training.run import list_runs
from core.training.state import ACTIVE, RunState
from core.training.trash import folder_size

KEEPS_CHECKPOINTS = ACTIVE | {RunState.QUEUED, RunState.INTERRUPTED}  # they are gone on from


@dataclass(frozen=True)
class Used:
    """Bytes by kind. `checkpoints` is the part of `runs` that only serves to continue runs that have ended."""

    runs: int
    checkpoints: int
    adapters: int
    datasets: int
    cache: int
    trash: int
    free: int


def used(home: Home) -> Used:
    """Reads every folder: for a page that is asked for it, not for a tick."""
    return Used(
        folder_size(home.runs),
        sum(folder_size(run.checkpoints_folder) for run in list_runs(home) if run.state() not in KEEPS_CHECKPOINTS),
        folder_size(home.adapters),
        folder_size(home.datasets),
        folder_size(home.cache),
        folder_size(home.root / "trash"),
        shutil.disk_usage(home.root).free,
    )


def drop_checkpoints(home: Home) -> int:
    """Delete the checkpoints of runs that have ended; their adapters and curves stay. Returns the bytes freed.

    Such a run can then not be continued, only trained anew or from its adapter.
    """
    freed = 0
    for run in list_runs(home):
        folder = run.checkpoints_folder
        if run.state() not in KEEPS_CHECKPOINTS and folder.is_dir():
            freed += folder_size(folder)
            remove_tree(folder)
    return freed


def drop_cache(home: Home) -> int:
    """Delete what can be made again; a process that has a file mapped keeps it until it ends. Returns the bytes freed.

    Raises UserError while a run is active or waits: its trainer would have to make the cache anew.
    """
    busy = [run.name for run in list_runs(home) if run.state() in ACTIVE or run.state() is RunState.QUEUED]
    if busy:
        raise UserError(f"The run {busy[0]} needs the cache.", "Wait for its end, or stop it.")
    freed = folder_size(home.cache)
    for path in list(home.cache.iterdir()):
        if path.is_dir() and not path.is_symlink():
            remove_tree(path)
        else:
            path.unlink()
    return freed
