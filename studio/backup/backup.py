"""Brings a home back at start, and keeps it whenever there is something new: a checkpoint, an adapter, a setting."""

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
from studio.backup.files import ChangedMeanwhile, Kept, Reader, belonging, signature
from studio.backup.folder import open_folder

log = logging.getLogger(__name__)
SPACE_VOLUME = Path("/data")  # where Hugging Face mounts a Space's bucket
LOOK_SECONDS = 2.0
ATTEMPTS = 5  # at one state, while files change under the reader
LONGEST_PAUSE = 600.0  # seconds between two attempts at a place that fails
MARKER = ".restoring"


class Target(Protocol):
    where: str

    def save(self, home: Path, files: dict[str, Kept]) -> None: ...

    def restore(self, stage: Path) -> dict[str, Kept]: ...


@dataclass(frozen=True)
class Standing:
    """How keeping goes. at: when the last state was kept, in seconds since the epoch. error: why it is not, if so."""

    where: str
    at: float | None = None
    files: int = 0
    size: int = 0
    error: str = ""


def kept_word(standing: Standing) -> str:
    """For everyone, so without names and reasons."""
    return "failing" if standing.error else "ok" if standing.at else "not yet"


class Keeper:
    """`pause`: seconds between two states at least."""

    def __init__(self, home: Home, target: Target, pause: float) -> None:
        self.home = home
        self.target = target
        self.pause = pause
        self.standing = Standing(target.where)
        self._reader = Reader(home)
        self._seen: dict[str, tuple[int, int]] | None = None
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="keeper", daemon=True)

    def restore(self) -> int:
        """Bring back what is kept into a home that has nothing, or whose restoring was cut off; how many files.

        Raises UserError when the place fails: an empty home would otherwise soon be what is kept.
        """
        marker = self.home.root / MARKER
        if belonging(self.home) and not marker.exists():
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
        """Keep the last state, and wait so long for it at most."""
        self._stopping.set()
        last = threading.Thread(target=self.keep, name="keeper-last", daemon=True)
        last.start()
        last.join(seconds)
        if last.is_alive():
            log.warning("the last state could not be kept in %.0f s; the one before is", seconds)

    def keep(self) -> bool:
        """Keep the home as it is now. False when that failed; `standing` says why."""
        with self._lock:
            seen = signature(self.home)
            try:
                files = self._save()
            except Exception as error:
                if not isinstance(error, UserError | OSError | ChangedMeanwhile):
                    log.exception("the home could not be kept")
                reason = f"{error}" if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
                self.standing = Standing(
                    self.target.where, self.standing.at, self.standing.files, self.standing.size, masked(reason)
                )
                log.warning("nothing is kept in %s: %s", self.target.where, masked(reason))
                return False
            self._seen = seen
            size = sum(kept.size for kept in files.values())
            self.standing = Standing(self.target.where, time.time(), len(files), size)
            return True

    def _save(self) -> dict[str, Kept]:
        for attempt in range(ATTEMPTS):
            try:
                files = self._reader.all()
                self.target.save(self.home.root, files)
                return files
            except ChangedMeanwhile as error:
                if attempt == ATTEMPTS - 1:
                    raise
                log.info("%s changed while it was read; reading anew", error)
        raise AssertionError("unreachable")

    def _watch(self) -> None:
        pause = self.pause
        while not self._stopping.wait(LOOK_SECONDS):
            if signature(self.home) == self._seen:
                continue
            kept = self.keep()
            pause = self.pause if kept else min(LONGEST_PAUSE, 2 * max(pause, 1.0))
            self._stopping.wait(pause)


def place_for(given: str | None) -> str | None:
    """Where to keep the home: what was asked for, else STUDIO_KEEP_IN, else a Space's volume if it has one."""
    asked = given or os.environ.get("STUDIO_KEEP_IN")
    if asked:
        return asked
    return str(SPACE_VOLUME) if os.environ.get("SPACE_ID") and os.access(SPACE_VOLUME, os.W_OK) else None


def keeper_for(home: Home, place: str) -> Keeper:
    """`place`: a folder, or the owner/name of a private dataset repository. Raises UserError when it cannot be used."""
    if place.startswith(("/", ".", "~")):
        folder = expanded(place).resolve()
        if home.root.resolve().is_relative_to(folder) or folder.is_relative_to(home.root.resolve()):
            raise UserError(
                f"The home folder {home.root} cannot be kept in {folder}: one lies in the other.",
                "Choose another folder.",
            )
        return Keeper(home, open_folder(folder), pause=5.0)
    from huggingface_hub import HfApi

    from adapters.hub.transfer import check_repo_id
    from studio.backup.hub import HubTarget

    target = HubTarget(HfApi(library_name="guanaco-studio"), check_repo_id(place))
    target.prepare()
    return Keeper(home, target, pause=60.0)
