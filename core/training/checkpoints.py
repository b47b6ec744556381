"""A run's checkpoints on disk: which are there, which are whole, which may go. Imports nothing heavy.

A checkpoint is a plain PEFT folder (so one can chat with it) plus what the trainer needs to go on from it. It is
written in a staging folder and renamed into place: what is called `checkpoint-N` is whole, unless the disk lost some.
"""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

from adapters.common import damaged_files
from adapters.common.files import remove_tree

NAME = re.compile(r"^checkpoint-(\d+)$")
STAGING = ".saving"
TORCH_FILES = ("optimizer.pt", "scheduler.pt", "rng_state.pth")  # zip archives: their directory is at the end


@dataclass(frozen=True)
class SavedCheckpoint:
    step: int
    path: Path


def list_checkpoints(folder: Path) -> list[SavedCheckpoint]:
    """All whole checkpoints beneath a run's checkpoints folder, oldest first."""
    if not folder.is_dir():
        return []
    found = [SavedCheckpoint(int(match[1]), path) for path in folder.iterdir() if (match := NAME.match(path.name))]
    return sorted((saved for saved in found if is_complete(saved.path)), key=lambda saved: saved.step)


def newest_checkpoint(folder: Path) -> SavedCheckpoint | None:
    return max(list_checkpoints(folder), key=lambda saved: saved.step, default=None)


def is_complete(path: Path) -> bool:
    """Whether training can go on from here: every file there, none cut short."""
    try:
        json.loads((path / "trainer_state.json").read_bytes())
        json.loads((path / "adapter_config.json").read_bytes())
        if not all(zipfile.is_zipfile(path / name) for name in TORCH_FILES):
            return False
        return _tensor_bytes(path / "adapter_model.safetensors") == (path / "adapter_model.safetensors").stat().st_size
    except (OSError, *damaged_files.NOT_UNDERSTOOD):
        return False


def find_best_step(path: Path) -> int | None:
    """The step with the lowest eval loss up to this checkpoint, or None where nothing was held out."""
    history = json.loads((path / "trainer_state.json").read_bytes())["log_history"]
    measured = [(entry["eval_loss"], entry["step"]) for entry in history if "eval_loss" in entry]
    return min(measured)[1] if measured else None


def prune_checkpoints(folder: Path, keep: int, best: int | None) -> None:
    """Delete all but the newest `keep` and the best one, and what a killed worker left in staging."""
    shutil.rmtree(folder / STAGING, ignore_errors=True)
    for saved in list_checkpoints(folder)[:-keep]:
        if saved.step != best:
            remove_tree(saved.path)


def _tensor_bytes(path: Path) -> int:
    """The size that a safetensors file says it has: 8 bytes of header length, the header, the tensors."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > path.stat().st_size:
            raise ValueError("header longer than the file")
        header = json.loads(file.read(length))
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    return 8 + length + max(ends, default=0)
