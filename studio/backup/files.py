"""Which files of a home folder are kept, and in which order they are read."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from adapters.common.errors import UserError
from core.common.home import Home

LEFT_OUT = ("cache", "processes")  # what can be made again, and who is alive on this machine
PASSING = ("heartbeat",)  # written all the time, and of no use elsewhere
GROWING = ("events.jsonl", "log.txt")  # and TensorBoard's events: that these grew is no reason to keep anything
PIECE = 1 << 20


class ChangedMeanwhile(Exception):
    """A file was replaced or deleted while it was read: begin anew."""


@dataclass(frozen=True)
class Kept:
    """One file as it was when it was read."""

    sha256: str
    size: int


def belonging(home: Home) -> list[str]:
    """The paths of all files to keep, relative to the home folder.

    The order lets what is read one after the other make sense together, as after a power cut: where a run stands comes
    first, so that it never claims a checkpoint or an adapter that is not there.
    """
    paths = []
    for folder, folders, names in os.walk(home.root):
        relative = Path(folder).relative_to(home.root)
        folders[:] = [each for each in folders if not each.startswith(".") and not is_left_out(relative / each)]
        paths += [
            (relative / each).as_posix()
            for each in names
            if not each.startswith(".") and each not in PASSING and not each.endswith((".lock", ".log"))
            if Path(folder, each).is_file()  # a link to nothing would never be read, and a pipe never end
        ]
    return sorted(paths, key=lambda path: (place(path), path))


def is_left_out(folder: Path) -> bool:
    return folder.as_posix() in LEFT_OUT


def place(path: str) -> int:
    parts = path.split("/")
    if parts[0] == "runs":
        if parts[-1] in ("state.json", "recipe.yaml", "queue.json"):
            return 0
        return 1 if "checkpoints" in parts else 2
    return 3


def signature(home: Home) -> dict[str, tuple[int, int]]:
    """Changes when there is something worth keeping: a checkpoint, an adapter, a dataset, a state, a setting."""
    found = {}
    for path in belonging(home):
        if path.endswith(GROWING) or "tfevents" in path:
            continue
        try:
            stat = (home.root / path).stat()
        except FileNotFoundError:
            continue
        found[path] = (stat.st_size, stat.st_mtime_ns)
    return found


class Reader:
    """Hashes files, those that have not changed since only once."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._known: dict[str, tuple[tuple[int, int, int], Kept]] = {}

    def all(self) -> dict[str, Kept]:
        """Every file to keep. Raises ChangedMeanwhile."""
        return {path: self.one(path) for path in belonging(self.home)}

    def one(self, path: str) -> Kept:
        try:
            with (self.home.root / path).open("rb") as file:
                stat = os.fstat(file.fileno())
                key = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
                known = self._known.get(path)
                if known is not None and known[0] == key:
                    return known[1]
                digest, left = hashlib.sha256(), stat.st_size
                while left and (piece := file.read(min(PIECE, left))):
                    digest.update(piece)
                    left -= len(piece)
        except FileNotFoundError as error:
            raise ChangedMeanwhile(path) from error
        kept = Kept(digest.hexdigest(), stat.st_size - left)
        self._known[path] = (key, kept)
        return kept


def inside(root: Path, path: str) -> Path:
    """`path` beneath `root`. Raises UserError for one that leads elsewhere."""
    if path.startswith("/") or "\\" in path or {"", ".", ".."} & set(path.split("/")):
        raise UserError(f"What is to be restored lists a file outside of its own folder ({path!r}).", "Do not use it.")
    return root / path
