"""The datasets of a home folder: files as they came, each in a folder of its own with a card that says where from."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from adapters.common.damaged_files import ensure_plain
from adapters.common.errors import UserError
from adapters.common.files import remove_tree, sync_folder, temporary_name
from core.common.home import Home
from core.data.hub import MAX_BYTES, NOT_DATA, splits_by_name
from core.data.load import FILE_KINDS_HINT, files_source, hub_source, select_split
from core.data.provenance import CARD_FILE, Origin, read_origin, utc_now, write_origin
from core.data.readers.archive import GZIP, is_clutter, kind_of_name
from core.data.readers.files import hash_files, is_data_file

COLLECTED = "collected"  # the dataset that grows from the chat; nothing else is kept under its name
MAX_FILES = 1000
MAX_LICENCE = 120
NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class StoredDataset:
    """One dataset in the home folder. `origin` is None for what was put there by hand, or grows from the chat."""

    folder: Path
    origin: Origin | None

    @property
    def files(self) -> list[Path]:
        named = [path for path in self.folder.iterdir() if path.name != CARD_FILE and is_data_file(path)]
        return sorted(path for path in named if ensure_plain(path).is_file())

    @property
    def dataset_name(self) -> str:
        """What a recipe takes: its only file, or the folder."""
        files = self.files
        return str(files[0] if len(files) == 1 else self.folder)

    @property
    def title(self) -> str:
        origin = self.origin
        if origin is None or origin.source != "hub":
            return self.folder.name
        chosen = [part for part in (origin.config, origin.split if origin.split != "train" else None) if part]
        return f"{origin.name}{''.join(f', {part}' for part in chosen)} ({(origin.revision or '')[:7]})"

    @property
    def size(self) -> int:
        return sum(file.stat().st_size for file in self.files)


def list_datasets(home: Home) -> list[StoredDataset]:
    """All datasets of the home folder, by name."""
    folders = sorted(path for path in home.datasets.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [found for folder in folders if (found := StoredDataset(folder, read_origin(folder))).files]


def find_dataset(home: Home, dataset_name: str) -> StoredDataset | None:
    """The one that a recipe's dataset_name means."""
    return next((dataset for dataset in list_datasets(home) if dataset.dataset_name == dataset_name), None)


def store_files(home: Home, files: Sequence[Path]) -> StoredDataset:
    """Keep files byte for byte as one dataset. Raises UserError for what is no data file or cannot be written.

    The same content under the same name is kept once; other content under a taken name gets a number. Where their names
    tell splits, "train" among them, that is the one which is read.
    """
    files = sorted(files, key=lambda file: file.name)
    files_source(list(files))  # raises for what cannot be opened, such as a broken archive
    if len(files) > MAX_FILES:
        raise UserError(f"These are {len(files):,} files; up to {MAX_FILES:,} are kept.", "Join them into fewer.")
    stem = _stem_of(files[0].name) if len(files) == 1 else f"{_stem_of(files[0].name)}-and-{len(files) - 1}-more"
    names = [_safe_name(file.name) for file in files] if len(files) > 1 else [f"data{_extension(files[0].name)}"]
    if len(set(names)) < len(names):
        names = [f"{number:04}-{name}" for number, name in enumerate(names)]
    if "train" not in splits_by_name(names):
        names = _neutral_names(files)
    select_split("The upload", names, "train")  # raises where they do not go together
    origin = Origin(stem, "file", [file.name for file in files], hash_files(list(files)), utc_now())
    return _store(home, stem, dict(zip(names, files, strict=True)), origin)


def store_folder(home: Home, files: Sequence[Path]) -> tuple[StoredDataset, list[str]]:
    """Keep the data files among a folder's `files` as one dataset; returns the names of the others too.

    Raises UserError where none is one, and as store_files does.
    """
    data = [file for file in files if is_data_file(file) and not is_clutter(file.name) and file.name not in NOT_DATA]
    if not data:
        held = ", ".join(file.name for file in files[:5]) or "nothing"
        raise UserError(f"There is no data file in the folder: it holds {held}.", FILE_KINDS_HINT)
    return store_files(home, data), sorted(file.name for file in files if file not in data)


def _neutral_names(files: Sequence[Path]) -> list[str]:
    """Names that tell no split. A dataset's only file is called data."""
    if len(files) == 1:
        return [f"data{_extension(files[0].name)}"]
    return [f"part-{number:05}{_extension(path.name)}" for number, path in enumerate(files)]


def store_from_hub(
    home: Home,
    repo_id: str,
    *,
    config: str | None = None,
    split: str = "train",
    revision: str | None = None,
    token: str | None = None,
) -> StoredDataset:
    """Download one split of a Hub dataset and keep its files, with revision and licence. Raises UserError."""
    source = hub_source(repo_id, config=config, split=split, revision=revision, token=token)
    paths = list(dict.fromkeys(file.path for file in source.files))
    # Plain names: the ones on the Hub name splits and folders, which would be sought again when this is read.
    names = _neutral_names(paths)
    origin = Origin(
        repo_id,
        "hub",
        [path.name for path in paths],
        source.sha256,
        utc_now(),
        source.revision,
        source.license,
        config,
        split,
    )
    return _store(home, _stem_of(repo_id.replace("/", "-")), dict(zip(names, paths, strict=True)), origin)


def remove_dataset(home: Home, dataset_name: str) -> StoredDataset:
    """Delete a dataset and all its files. Raises UserError if there is none."""
    found = find_dataset(home, dataset_name)
    if found is None:
        raise UserError("This is no dataset of this studio's home folder.", "Only your own datasets can be removed.")
    remove_tree(found.folder)
    return found


def set_licence(home: Home, dataset_name: str, license: str) -> str | None:
    """Write what a person says of the licence of their own files into the card; returns it as written there.

    None for "not stated". Raises UserError.
    """
    found = find_dataset(home, dataset_name)
    if found is None or found.origin is None or found.origin.source == "hub":
        raise UserError(
            "The licence can be stated for files that were uploaded.",
            "One from the Hub has the licence of its card there; kept answers get theirs when they are pushed.",
        )
    text = " ".join(license.split())
    if len(text) > MAX_LICENCE:
        raise UserError(
            f"This licence has {len(text)} characters; up to {MAX_LICENCE} are kept.",
            "Give its name, such as cc-by-4.0, or its address.",
        )
    _update_origin(found, replace(found.origin, license=text or None))
    return text or None


def save_reading_choice(home: Home, dataset_name: str, dataset_format: str | None, columns: str | None) -> None:
    """Note in the card how a person chose to read it (see Origin). Nothing for what has no card."""
    found = find_dataset(home, dataset_name)
    if found and found.origin:
        _update_origin(found, replace(found.origin, dataset_format=dataset_format or None, columns=columns or None))


def _update_origin(dataset: StoredDataset, origin: Origin) -> None:
    if origin != dataset.origin:
        write_origin(dataset.folder, origin)


def _store(home: Home, stem: str, files: dict[str, Path], origin: Origin) -> StoredDataset:
    """`files`: new name -> file to copy. The folder appears whole, its card in it."""
    total = sum(file.stat().st_size for file in files.values())
    if total > MAX_BYTES:
        raise UserError(
            f"These are {total >> 30} GiB, more than is kept of one dataset ({MAX_BYTES >> 30} GiB).",
            "Give a part of it.",
        )
    taken = {dataset.folder.name: dataset for dataset in list_datasets(home)}
    for number in range(1, 1000):
        name = stem if number == 1 else f"{stem}-{number}"
        if name in taken and _is_same(taken[name].origin, origin):
            return taken[name]
        if name.lower() != COLLECTED and not (home.datasets / name).exists():
            break
    else:
        raise UserError(f"There are a thousand datasets named {stem}.", "Rename the file and upload it again.")
    staged = Path(tempfile.mkdtemp(prefix=temporary_name("new"), dir=home.datasets))
    try:
        for target, path in files.items():
            shutil.copyfile(path, staged / target)
        write_origin(staged, origin)
        staged.replace(home.datasets / name)
        sync_folder(home.datasets)
    except OSError as error:
        raise UserError(
            f"{origin.name} could not be kept in {home.datasets}: {error.strerror}.",
            "Free some disk space, then try again.",
        ) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return StoredDataset(home.datasets / name, origin)


def _is_same(there: Origin | None, new: Origin) -> bool:
    def identity(origin: Origin) -> tuple[str | None, ...]:
        return origin.source, origin.sha256, origin.revision, origin.config, origin.split

    return there is not None and identity(there) == identity(new)


def _stem_of(name: str) -> str:
    name = name[: -len(_extension(name))] if _extension(name) and "/" not in name else name
    return NOT_IN_NAMES.sub("-", name).strip("-.")[:60] or "dataset"


def _safe_name(name: str) -> str:
    return f"{_stem_of(name)}{_extension(name)}"


def _extension(name: str) -> str:
    """ ".jsonl" or ".jsonl.gz", as the readers know it."""
    name = name.lower()
    return kind_of_name(name) + (GZIP if name.endswith(GZIP) else "")
