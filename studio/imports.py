"""Datasets that the page offers: the bundled samples, and files that were uploaded into the home folder."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from adapters.files import sync_folder
from core.errors import UserError
from core.home import Home
from studio import collected

NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


def choices(home: Home) -> list[tuple[str, str]]:
    """(label, what a recipe's dataset_name takes) of the bundled samples and of all imported files."""
    from core.builtin import SAMPLES

    bundled = [(f"{sample.title} (bundled)", name) for name, sample in SAMPLES.items()]
    return bundled + [(folder.name, str(data_file(folder))) for folder in imported(home)]


def imported(home: Home) -> list[Path]:
    return sorted(
        each for each in home.datasets.iterdir() if not each.name.startswith(".") and any(each.glob("data.*"))
    )


def data_file(folder: Path) -> Path:
    return next(iter(sorted(folder.glob("data.*"))))


def import_file(home: Home, uploaded: Path) -> Path:
    """Keep an uploaded file as datasets/<name>/data.<ext>, byte for byte. Returns the new file.

    A file of the same name and content is kept once; other content under a taken name gets a number. Raises UserError
    when it cannot be written.
    """
    stem = NOT_IN_NAMES.sub("-", uploaded.stem).strip("-.")[:60] or "dataset"
    try:
        for attempt in range(1, 1000):
            if attempt == 1 and stem.lower() == collected.NAME:
                continue  # that one grows from the chat
            folder = home.datasets / (stem if attempt == 1 else f"{stem}-{attempt}")
            target = folder / f"data{uploaded.suffix.lower()}"
            if target.exists() and target.read_bytes() == uploaded.read_bytes():
                return target
            if folder.exists():
                continue
            staged = home.datasets / f".new-{folder.name}"
            staged.mkdir(exist_ok=True)
            shutil.copyfile(uploaded, staged / target.name)
            staged.replace(folder)
            sync_folder(home.datasets)
            return target
    except OSError as error:
        raise UserError(
            f"The file {uploaded.name} could not be kept in {home.datasets}: {error.strerror}.",
            "Free some disk space, then upload it again.",
        ) from error
    raise UserError(f"There are a thousand datasets named {stem}.", "Rename the file and upload it again.")
