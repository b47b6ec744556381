"""A home with something to keep, and a bucket that may die in the middle of an operation."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from adapters.store import AdapterStore
from core.common.home import Home
from core.recipes.recipe import Recipe
from core.training.run import create_run
from studio.backup.backup import Backup
from studio.backup.files import files_to_back_up
from studio.backup.folder import FolderTarget, MountedBucket
from tests.adapters.folders import write_adapter


class Killed(BaseException):
    """The process ends here: nothing that it would still have done is done."""


class Bucket(MountedBucket):
    """A mounted bucket: a file is there when it is closed, whole, or (`torn`) as far as it came when the power went.

    Whoever writes to it dies at the operation number `dies_at`, in the middle of it.
    """

    def __init__(self, root: Path, dies_at: int = -1, torn: bool = False) -> None:
        super().__init__(root)
        self.left = dies_at
        self.torn = torn
        self.operations = 0

    def _dying(self) -> bool:
        self.operations += 1
        self.left -= 1
        return self.left == -1

    def write(self, name: str, content: Iterator[bytes]) -> None:
        whole = b"".join(content)
        assert not (self.root / name).exists(), "a bucket's files are not written in place"
        if self._dying():
            if self.torn:
                super().write(name, iter([whole[: len(whole) // 2]]))
            raise Killed
        super().write(name, iter([whole]))

    def delete(self, name: str) -> None:
        if self._dying():
            raise Killed
        super().delete(name)


def fill(home: Home, tmp_path: Path) -> None:
    """A run with a checkpoint, an adapter, a dataset and settings; and what must not be kept."""
    run = create_run(home, Recipe.from_dict({"dataset_name": "pirate"}))
    (run.checkpoints_folder / "checkpoint-8").mkdir(parents=True)
    (run.checkpoints_folder / "checkpoint-8" / "optimizer.pt").write_bytes(os.urandom(3_000_000))
    (run.checkpoints_folder / ".saving").mkdir()
    (run.checkpoints_folder / ".saving" / "half").write_text("x")
    run.beat()
    AdapterStore(home.adapters).import_folder(write_adapter(tmp_path / "lora"), "mine")
    (home.datasets / "mine").mkdir()
    (home.datasets / "mine" / "data.jsonl").write_text("{}\n")
    (home.root / "keys.json").write_text("[]")
    (home.cache / "base.bin").write_bytes(b"x")
    (home.processes / "engine.json").write_text("{}")


def contents(home: Home) -> dict[str, bytes]:
    return {path: (home.root / path).read_bytes() for path in files_to_back_up(home)}


def another(tmp_path: Path, name: str = "after-the-restart") -> Home:
    return Home.open(tmp_path / name)


def backup_to(bucket: MountedBucket, home: Home) -> Backup:
    return Backup(home, FolderTarget(bucket, "the bucket"), pause=0.0)
