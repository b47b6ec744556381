"""What one process has made of the base (its 4-bit weights, what the start of the engine found out) serves later homes.

Each home gets a copy, so that no test sees what another one does to its cache. The first process of a run of the tests
still makes everything itself.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

VARIABLE = "STUDIO_TESTS_BASE_CACHE"
MADE = ("base-guanaco-builtin-*.arena", "base-guanaco-builtin-*.start.json")


# The workers of xdist have the folder from the environment of the process that starts them, and so share it.
if VARIABLE not in os.environ:
    os.environ[VARIABLE] = tempfile.mkdtemp(prefix="studio-tests-base-")
    atexit.register(shutil.rmtree, os.environ[VARIABLE], ignore_errors=True)
FOLDER = Path(os.environ[VARIABLE])


def take(home: Path) -> None:
    """Put what is there into a home's cache."""
    _copy(FOLDER, home / "cache")


def give(home: Path) -> None:
    """Keep what a home's cache has of the built-in base for later homes."""
    _copy(home / "cache", FOLDER)


def _copy(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for path in (path for pattern in MADE for path in source.glob(pattern)):
        if not (target / path.name).exists():
            unfinished = target / f"{path.name}.{os.getpid()}"
            shutil.copyfile(path, unfinished)
            unfinished.replace(target / path.name)
