"""Deleted runs lie in the home's trash folder until it is emptied, and can be taken back from there."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from adapters.common import damaged_files
from adapters.common.errors import UserError
from adapters.common.files import remove_tree, sync_folder
from core.common.home import Home
from core.training.run import Run
from core.training.state import ACTIVE, RunState


@dataclass(frozen=True)
class Trashed:
    """A run in the trash. `at`: when it was put there, in seconds since the epoch."""

    id: str
    at: float
    bytes: int


def trash_run(run: Run) -> None:
    """Move a run's folder to the trash; its adapter in the store stays. Raises UserError while it runs or waits."""
    state = run.state()
    if state in ACTIVE or state is RunState.QUEUED:
        raise UserError(f"The run {run.id} is {state}.", "Stop it first.")
    folder = damaged_files.ensure_folder(_folder(run.home))
    target = folder / run.id
    if target.exists():  # an earlier run of this second that was deleted too
        remove_tree(target)
    run.folder.rename(target)
    with suppress(OSError):  # on a full disk the folder's own time has to do
        (target / "deleted").write_text(str(time.time()))
    sync_folder(folder)


def list_trashed(home: Home) -> list[Trashed]:
    """What lies in the trash, the newest first."""
    folder = _folder(home)
    if not folder.is_dir():
        return []
    folders = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    found = [Trashed(path.name, _trashed_at(path), folder_size(path)) for path in folders]
    return sorted(found, key=lambda trashed: trashed.at, reverse=True)


def restore_run(home: Home, run_id: str) -> Run:
    """Take a run back out of the trash. Raises UserError when it is not there, or its place is taken."""
    folders = {path.name: path for path in (_folder(home).iterdir() if _folder(home).is_dir() else ())}
    if run_id not in folders:
        raise UserError(f"There is no run {run_id!r} in the trash.", "The trash may have been emptied.")
    target = home.runs / run_id
    if target.exists():
        raise UserError(f"There is a run {run_id} again.", "Delete that one first.")
    damaged_files.ensure_plain(folders[run_id] / "deleted").unlink(missing_ok=True)
    folders[run_id].rename(target)
    sync_folder(home.runs)
    return Run(target)


def empty_trash(home: Home) -> int:
    """Delete what lies in the trash for good. Returns how many bytes that frees."""
    freed = 0
    for trashed in list_trashed(home):
        freed += trashed.bytes
        remove_tree(_folder(home) / trashed.id)
    return freed


def folder_size(folder: Path) -> int:
    """Bytes of all files beneath `folder`; what vanishes meanwhile is not counted."""
    total = 0
    for path in folder.rglob("*"):
        try:
            if path.is_file() and not path.is_symlink():
                total += path.stat().st_size
        except OSError:
            continue
    return total


def _folder(home: Home) -> Path:
    # Beside the runs, not beneath them: TensorBoard draws everything that lies beneath.
    return home.root / "trash"


def _trashed_at(folder: Path) -> float:
    return damaged_files.read(folder / "deleted", float) or folder.stat().st_mtime
