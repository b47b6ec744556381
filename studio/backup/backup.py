"""Restores a home folder at start, and saves it whenever something is new: a checkpoint, an adapter, a setting."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from adapters.common.errors import UserError
from adapters.common.files import expanded, temporary_name
from core.common.home import Home
from core.common.redaction import masked
from studio.backup.files import FileChanged, FileDigest, FileHasher, change_signature, files_to_back_up
from studio.backup.folder import open_folder_target

log = logging.getLogger(__name__)
SPACE_VOLUME = Path("/data")  # where Hugging Face mounts a Space's bucket
CHECK_SECONDS = 2.0
ATTEMPTS = 5  # at one state, while files change under the reader
MAX_BACKOFF_SECONDS = 600.0  # between two attempts at a target that fails
MARKER = ".restoring"


class BackupTarget(Protocol):
    where: str

    def save(self, home: Path, files: dict[str, FileDigest]) -> None: ...

    def restore(self, stage: Path) -> dict[str, FileDigest]: ...


@dataclass(frozen=True)
class BackupStatus:
    """at: when the last state was saved, in seconds since the epoch. error: why the latest one could not be."""

    where: str
    at: float | None = None
    files: int = 0
    size: int = 0
    error: str = ""


def status_word(status: BackupStatus) -> str:
    """The status for everyone, so without names and reasons."""
    return "failing" if status.error else "ok" if status.at else "not yet"


class Backup:
    """Saves a home folder in `target`, at most once in `pause` seconds, and restores it from there."""

    def __init__(self, home: Home, target: BackupTarget, pause: float) -> None:
        self.home = home
        self.target = target
        self.pause = pause
        self.status = BackupStatus(target.where)
        self._hasher = FileHasher(home)
        self._saved_signature: dict[str, tuple[int, int]] | None = None
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="backup", daemon=True)

    def restore(self) -> int:
        """Restore the newest state into a home that is empty, or whose restoring was cut off. Returns how many files.

        Raises UserError when the target fails: an empty home would otherwise soon be its newest state.
        """
        marker = self.home.root / MARKER
        if files_to_back_up(self.home) and not marker.exists():
            return 0
        marker.touch()
        stage = Path(tempfile.mkdtemp(prefix=temporary_name("restore"), dir=self.home.root))
        try:
            files = self.target.restore(stage)
            for path in files:
                (self.home.root / path).parent.mkdir(parents=True, exist_ok=True)
                (stage / path).replace(self.home.root / path)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
        marker.unlink()
        return len(files)

    def start(self) -> None:
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Save the last state, and wait for it for at most `seconds`."""
        self._stopping.set()
        last = threading.Thread(target=self.save, name="backup-last", daemon=True)
        last.start()
        last.join(seconds)
        if last.is_alive():
            log.warning("the last state could not be saved in %.0f s; the one before is there", seconds)

    def save(self) -> bool:
        """Save the home as it is now. False when that failed; `status` says why."""
        with self._lock:
            signature = change_signature(self.home)
            try:
                files = self._save_files()
            except Exception as error:
                if not isinstance(error, UserError | OSError | FileChanged):
                    log.exception("the home could not be saved")
                reason = f"{error}" if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
                self.status = BackupStatus(
                    self.target.where, self.status.at, self.status.files, self.status.size, masked(reason)
                )
                log.warning("nothing is saved in %s: %s", self.target.where, masked(reason))
                return False
            self._saved_signature = signature
            size = sum(file.size for file in files.values())
            self.status = BackupStatus(self.target.where, time.time(), len(files), size)
            return True

    def _save_files(self) -> dict[str, FileDigest]:
        for attempt in range(ATTEMPTS):
            try:
                files = self._hasher.hash_all()
                self.target.save(self.home.root, files)
                return files
            except FileChanged as error:
                if attempt == ATTEMPTS - 1:
                    raise
                log.info("%s changed while it was read; reading anew", error)
        raise AssertionError("unreachable")

    def _watch(self) -> None:
        pause = self.pause
        while not self._stopping.wait(CHECK_SECONDS):
            if change_signature(self.home) == self._saved_signature:
                continue
            saved = self.save()
            pause = self.pause if saved else min(MAX_BACKOFF_SECONDS, 2 * max(pause, 1.0))
            self._stopping.wait(pause)


def backup_location(asked: str | None) -> str | None:
    """Where to save the home: what was asked for, else STUDIO_KEEP_IN, else a Space's volume if it has one."""
    if asked := asked or os.environ.get("STUDIO_KEEP_IN"):
        return asked
    return str(SPACE_VOLUME) if os.environ.get("SPACE_ID") and os.access(SPACE_VOLUME, os.W_OK) else None


def open_backup(home: Home, location: str) -> Backup:
    """`location`: a folder, or the owner/name of a private dataset repository.

    Raises UserError when it cannot be used.
    """
    if location.startswith(("/", ".", "~")):
        folder = expanded(location).resolve()
        if home.root.resolve().is_relative_to(folder) or folder.is_relative_to(home.root.resolve()):
            raise UserError(
                f"The home folder {home.root} cannot be kept in {folder}: one lies in the other.",
                "Choose another folder.",
            )
        return Backup(home, open_folder_target(folder), pause=5.0)
    from huggingface_hub import HfApi

    from adapters.hub.login import check_repo_id
    from studio.backup.hub import HubTarget

    target = HubTarget(HfApi(library_name="guanaco-studio"), check_repo_id(location))
    target.prepare()
    return Backup(home, target, pause=60.0)
