"""The home folder is the database: where it is, and the paths beneath it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from adapters.common import damaged_files
from adapters.common.errors import UserError
from adapters.common.files import expanded


def find_home(explicit: str | Path | None = None) -> Path:
    """The home folder: what was asked for, else $STUDIO_HOME, else the user's data folder."""
    if explicit:
        return expanded(explicit).resolve()
    if from_environment := os.environ.get("STUDIO_HOME"):
        return expanded(from_environment).resolve()
    return Path(platformdirs.user_data_dir("guanaco-studio", appauthor=False))


@dataclass(frozen=True)
class Home:
    """Paths beneath the home folder. `Home.open()` makes sure that they exist and can be written."""

    root: Path

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def adapters(self) -> Path:
        return self.root / "adapters"

    @property
    def datasets(self) -> Path:
        return self.root / "datasets"

    @property
    def processes(self) -> Path:
        """Who is alive: one small JSON file per process, and the lock of the web process."""
        return self.root / "processes"

    @property
    def cache(self) -> Path:
        """Things that can be made again, such as the quantised base; safe to delete while nothing runs."""
        return self.root / "cache"

    @classmethod
    def open(cls, explicit: str | Path | None = None) -> Home:
        """Find the home folder and create what is missing. Raises UserError when it cannot be written."""
        home = cls(find_home(explicit))
        try:
            home.root.mkdir(parents=True, exist_ok=True)
            for folder in (home.runs, home.adapters, home.datasets, home.processes, home.cache):
                if not folder.is_symlink():  # one to nothing is perhaps a disk that is not there yet
                    damaged_files.ensure_folder(folder)
                if not folder.is_dir():
                    raise NotADirectoryError(20, "it is a link to no folder", str(folder))
                if not os.access(folder, os.W_OK | os.X_OK):
                    raise PermissionError(13, "not writable", str(folder))
        except OSError as error:
            raise UserError(
                f"The home folder {home.root} cannot be used: {error.strerror} ({error.filename}).",
                "Choose a folder that you may write to with --home or STUDIO_HOME, or change its permissions.",
            ) from error
        return home
