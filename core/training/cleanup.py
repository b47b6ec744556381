"""Removing what killed processes have left half made in the home folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import psutil

from adapters.common.files import owner_of
from core.common.home import Home
from core.training import checkpoints
from core.training.run import list_statuses


def remove_leftovers(home: Home) -> None:
    """Remove temporary files and folders of processes that are gone, wherever they are beneath the home.

    What belongs to a living process stays, and so does every hidden file that is nobody's temporary one.
    """
    for folder, folders, files in os.walk(home.root):
        for name in list(filter(_is_abandoned, folders)):
            folders.remove(name)
            shutil.rmtree(Path(folder) / name, ignore_errors=True)
        for name in filter(_is_abandoned, files):
            (Path(folder) / name).unlink(missing_ok=True)
    for run, status in list_statuses(home):
        if not status.worker_lives():
            run.reserve.unlink(missing_ok=True)
            shutil.rmtree(run.checkpoints_folder / checkpoints.STAGING, ignore_errors=True)


def _is_abandoned(name: str) -> bool:
    pid = owner_of(name)
    return pid is not None and not psutil.pid_exists(pid)
