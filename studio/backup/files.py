"""Which files of a home folder are backed up, in which order they are read, and their hashes."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from adapters.common.errors import UserError
from core.common.home import Home

EXCLUDED_FOLDERS = ("cache", "processes")  # what can be made again, and who is alive on this machine
TRANSIENT_FILES = ("heartbeat",)  # written all the time, and of no use elsewhere
GROWING_FILES = ("events.jsonl", "log.txt")  # and TensorBoard's events: that these grew is no reason to save a state
CHUNK_BYTES = 1 << 20


class FileChanged(Exception):
    """A file was replaced or deleted while it was read: begin anew."""


@dataclass(frozen=True)
class FileDigest:
    """One file as it was when it was read."""

    sha256: str
    size: int


def files_to_back_up(home: Home) -> list[str]:
    """The paths of all files to save, relative to the home folder.

    The order lets what is read one after the other make sense together, as after a power cut: where a run stands comes
    first, so that it never claims a checkpoint or an adapter that is not there.
    """
    paths = []
    for folder, folders, names in os.walk(home.root):
        relative = Path(folder).relative_to(home.root)
        folders[:] = [name for name in folders if not name.startswith(".") and not is_excluded(relative / name)]
        paths += [
            (relative / name).as_posix()
            for name in names
            if not name.startswith(".") and name not in TRANSIENT_FILES and not name.endswith((".lock", ".log"))
            if Path(folder, name).is_file()  # a link to nothing would never be read, and a pipe never end
        ]
    return sorted(paths, key=lambda path: (read_order(path), path))


def is_excluded(folder: Path) -> bool:
    return folder.as_posix() in EXCLUDED_FOLDERS


def read_order(path: str) -> int:
    parts = path.split("/")
    if parts[0] == "runs":
        if parts[-1] in ("state.json", "recipe.yaml", "queue.json"):
            return 0
        return 1 if "checkpoints" in parts else 2
    return 3


def change_signature(home: Home) -> dict[str, tuple[int, int]]:
    """Changes when there is something new to save: a checkpoint, an adapter, a dataset, a state, a setting."""
    found = {}
    for path in files_to_back_up(home):
        if path.endswith(GROWING_FILES) or "tfevents" in path:
            continue
        try:
            stat = (home.root / path).stat()
        except FileNotFoundError:
            continue
        found[path] = (stat.st_size, stat.st_mtime_ns)
    return found


class FileHasher:
    """Hashes files, those that have not changed since only once."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._known: dict[str, tuple[tuple[int, int, int], FileDigest]] = {}

    def hash_all(self) -> dict[str, FileDigest]:
        """Every file to keep. Raises FileChanged."""
        return {path: self.hash_file(path) for path in files_to_back_up(self.home)}

    def hash_file(self, path: str) -> FileDigest:
        try:
            with (self.home.root / path).open("rb") as file:
                stat = os.fstat(file.fileno())
                key = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
                known = self._known.get(path)
                if known is not None and known[0] == key:
                    return known[1]
                digest, left = hashlib.sha256(), stat.st_size
                while left and (piece := file.read(min(CHUNK_BYTES, left))):
                    digest.update(piece)
                    left -= len(piece)
        except FileNotFoundError as error:
            raise FileChanged(path) from error
        file_digest = FileDigest(digest.hexdigest(), stat.st_size - left)
        self._known[path] = (key, file_digest)
        return file_digest


def path_inside(root: Path, path: str) -> Path:
    """`path` beneath `root`. Raises UserError for one that leads elsewhere."""
    if path.startswith("/") or "\\" in path or {"", ".", ".."} & set(path.split("/")):
        raise UserError(f"What is to be restored lists a file outside of its own folder ({path!r}).", "Do not use it.")
    return root / path
