"""A folder as the target of backups, such as a Space's bucket at /data.

A mounted bucket stores a file when it is closed. It knows no locks, no appending and no renaming, so none is needed:
contents lie under their hash, and a list of all files, which is written last under a name with its own hash, makes
them a state. What was cut off is no state, and the one before is whole.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from adapters.common.errors import UserError
from studio.backup.files import CHUNK_BYTES, FileChanged, FileDigest, path_inside

log = logging.getLogger(__name__)
FOLDER = "guanaco-studio"
STATE = re.compile(r"state-(\d{8})-([0-9a-f]{64})\.json")
STATES_KEPT = 2


class MountedBucket:
    """The four things that may be done in a mounted bucket."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self, folder: str) -> dict[str, int]:
        """File name -> size."""
        try:
            return {path.name: path.stat().st_size for path in (self.root / folder).iterdir() if path.is_file()}
        except FileNotFoundError:
            return {}

    def read(self, name: str) -> Iterator[bytes]:
        with (self.root / name).open("rb") as file:
            while piece := file.read(CHUNK_BYTES):
                yield piece

    def write(self, name: str, content: Iterator[bytes]) -> None:
        """A new file, whole at the end."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for piece in content:
                file.write(piece)

    def delete(self, name: str) -> None:
        (self.root / name).unlink(missing_ok=True)


class FolderTarget:
    def __init__(self, volume: MountedBucket, where: str) -> None:
        self.volume = volume
        self.where = where

    def save(self, home: Path, files: dict[str, FileDigest]) -> None:
        """Make `files` the newest state. Raises FileChanged when one of them is no longer what it was, OSError."""
        contents = self.volume.names("contents")
        for path, file in files.items():
            stored_size = contents.get(file.sha256)
            if stored_size == file.size:
                continue
            if stored_size is not None:
                self.volume.delete(f"contents/{file.sha256}")  # cut off when it was written
            try:
                self.volume.write(f"contents/{file.sha256}", read_unchanged(home / path, file))
            except (FileChanged, FileNotFoundError) as error:
                self.volume.delete(f"contents/{file.sha256}")
                raise FileChanged(path) from error
            contents[file.sha256] = file.size
        listing = json.dumps({path: asdict(file) for path, file in files.items()}, indent=0).encode()
        number = 1 + max((number for number, _ in self._states()), default=0)
        name = f"state-{number:08}-{hashlib.sha256(listing).hexdigest()}.json"
        self.volume.write(f"states/{name}", iter([listing]))
        self._sweep()

    def restore(self, stage: Path) -> dict[str, FileDigest]:
        """Put the newest whole state into the empty folder `stage`; its files, none when there was never a whole one.

        Raises UserError when there are states, and contents are missing in all of them.
        """
        damaged = False
        for _, name in self._states():
            try:
                files = self._listing(name)
                damaged = True
                for path, file in files.items():
                    self._fetch(file, path_inside(stage, path))
                return files
            except (FileChanged, FileNotFoundError) as error:
                log.warning("the state %s is not whole (%s); trying the one before", name, error)
        if damaged:
            raise UserError(
                f"Of what is kept in {self.where}, files are missing or damaged in every state.",
                "Put them back, or keep the home elsewhere: it would begin empty here.",
            )
        return {}

    def _states(self) -> list[tuple[int, str]]:
        """(number, name), newest first."""
        found = [(int(match[1]), name) for name in self.volume.names("states") if (match := STATE.fullmatch(name))]
        return sorted(found, reverse=True)

    def _listing(self, name: str) -> dict[str, FileDigest]:
        """Raises FileChanged when the list was cut off."""
        content = b"".join(self.volume.read(f"states/{name}"))
        match = STATE.fullmatch(name)
        if match is None or hashlib.sha256(content).hexdigest() != match[2]:
            raise FileChanged(name)
        return {path: FileDigest(**fields) for path, fields in json.loads(content).items()}

    def _fetch(self, expected: FileDigest, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with target.open("wb") as file:
            for piece in self.volume.read(f"contents/{expected.sha256}"):
                digest.update(piece)
                file.write(piece)
        if digest.hexdigest() != expected.sha256:
            raise FileChanged(expected.sha256)

    def _sweep(self) -> None:
        """Delete old states, and the contents that no other needs. A state that is not whole counts as none."""
        needed: set[str] = set()
        whole = 0
        for _, name in self._states():
            try:
                files = self._listing(name) if whole < STATES_KEPT else None
            except FileChanged:
                files = None
            if files is None:
                self.volume.delete(f"states/{name}")
            else:
                whole += 1
                needed |= {file.sha256 for file in files.values()}
        for name in self.volume.names("contents"):
            if name not in needed:
                self.volume.delete(f"contents/{name}")


def read_unchanged(path: Path, expected: FileDigest) -> Iterator[bytes]:
    """The first `expected.size` bytes, so that a file may grow meanwhile. Raises FileChanged when they are others."""
    digest, left = hashlib.sha256(), expected.size
    with path.open("rb") as file:
        while left and (piece := file.read(min(CHUNK_BYTES, left))):
            digest.update(piece)
            left -= len(piece)
            yield piece
    if digest.hexdigest() != expected.sha256:
        raise FileChanged(str(path))


def open_folder_target(folder: Path) -> FolderTarget:
    """Raises UserError when nothing can be written there."""
    root = folder / FOLDER
    try:
        root.mkdir(parents=True, exist_ok=True)
        probe = root / "can-be-written"
        probe.write_bytes(b"yes")
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"Nothing can be kept in {folder}: {error.strerror}.", "Choose a folder that can be written to."
        ) from error
    return FolderTarget(MountedBucket(root), str(folder))
