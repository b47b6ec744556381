"""Files to rows, one at a time: JSON Lines, JSON, CSV, TSV, Parquet. Nothing is loaded by a script or unpickled."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from adapters.common.errors import UserError
from core.data.dataset import DatasetRow, ReaderOutput, RowError, RowWarning
from core.data.readers.archive import ZIP, DataFile, kind_of_name
from core.data.readers.csv_files import read_csv
from core.data.readers.json_files import read_json
from core.data.readers.parquet_files import read_parquet
from core.data.readers.text import chunks_of, encoding_of
from core.data.values import check_row


def is_data_file(path: str | Path) -> bool:
    """Whether the name is one of a file of rows, or of a zip archive of such."""
    name = Path(path).name
    return kind_of_name(name) in READERS or name.lower().endswith(ZIP)


def read_rows(files: list[DataFile], named: Collection[str] = ()) -> Iterator[DatasetRow]:
    """The rows of all files, numbered through from 1. Raises UserError for a file that cannot be read at all.

    named: columns that a person named; see core.data.readers.json_files.
    """
    number = 0
    for file in files:
        warnings: list[RowWarning] = []
        try:
            for value in read_json(file, named) if READERS[file.kind] is read_json else READERS[file.kind](file):
                if isinstance(value, RowWarning):
                    warnings.append(value)
                    continue
                number += 1
                yield DatasetRow(number, check_value_of_row(value), tuple(warnings))
                warnings = []
        except UnicodeDecodeError as error:
            raise UserError(
                f"{file.name} is not whole {error.encoding} text: {error.reason}.", "Save it anew as UTF-8."
            ) from error


def path_exists(path: Path) -> bool:
    """Like Path.exists, but false for a name that no file can have (too long, say), where that raises."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def check_file(path: Path) -> None:
    """Raises UserError for everything that can be known about a file before it is parsed."""
    if not path_exists(path) or not path.is_file():
        raise UserError(f"There is no file {path}.", "Check the path.")
    if not is_data_file(path):
        raise UserError(
            f"{path.name} is not a kind of file that can be read as a dataset.",
            f"Use one of {', '.join(sorted(READERS))}, also gzipped (.gz), or several in a .zip.",
        )
    try:
        empty = not path.stat().st_size
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from error
    if empty:
        raise UserError(f"{path.name} is empty.", "Give a file with at least one conversation.")


def check_value_of_row(value: dict[str, Any] | RowError) -> dict[str, Any] | RowError:
    if isinstance(value, RowError):
        return value
    try:
        check_row(value)
    except RowError as error:
        return error
    return value


def hash_files(paths: list[Path]) -> str:
    """Over the files as they lie on the disk, compressed or not."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            for chunk in chunks_of(file):
                digest.update(chunk)
    return digest.hexdigest()


def encoding_notes(files: list[DataFile]) -> list[str]:
    """A sentence for every text file that is not UTF-8."""
    texts = [file for file in files if READERS[file.kind] is not read_parquet]
    return [f"{file.name}: {note}" for file in texts if (note := encoding_of(file).note)]


READERS: dict[str, Callable[[DataFile], Iterator[ReaderOutput]]] = {
    ".jsonl": read_json,
    ".ndjson": read_json,
    ".json": read_json,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".parquet": read_parquet,
}
