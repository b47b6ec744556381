"""Files to rows, one at a time: JSON Lines, JSON, CSV, TSV, Parquet. Nothing is loaded by a script or unpickled."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from core.data.encoding import check_text
from core.data.json_files import Values, read_json
from core.data.packed import ZIP, DataFile, kind_of_name
from core.data.plain_values import plain_rows
from core.data.records import Row, RowError
from core.data.text import MAX_LINE_CHARACTERS, chunks_of, encoding_of, lines_of, open_text
from core.errors import UserError

SEPARATORS = ",;\t|"
DECLARED = re.compile(rf"sep=([{SEPARATORS}])\s*", re.I)  # a first line that Excel reads and writes


def is_data_file(path: str | Path) -> bool:
    """Whether the name is one of a file of rows, or of a zip archive of such."""
    name = Path(path).name
    return kind_of_name(name) in READERS or name.lower().endswith(ZIP)


def read_rows(files: list[DataFile]) -> Iterator[Row]:
    """The rows of all files, numbered through from 1. Raises UserError for a file that cannot be read at all."""
    number = 0
    for file in files:
        try:
            for value in READERS[file.kind](file):
                number += 1
                yield Row(number, checked(value))
        except UnicodeDecodeError as error:
            raise UserError(
                f"{file.name} is not whole {error.encoding} text: {error.reason}.", "Save it anew as UTF-8."
            ) from error


def is_there(path: Path) -> bool:
    """Like Path.exists, but false for a name that no file can have (too long, say), where that raises."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def check_file(path: Path) -> None:
    """Raises UserError for everything that can be known about a file before it is parsed."""
    if not is_there(path) or not path.is_file():
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


def checked(value: dict[str, Any] | RowError) -> dict[str, Any] | RowError:
    if isinstance(value, RowError):
        return value
    try:
        check_text(value)
    except RowError as error:
        return error
    return value


def hash_files(paths: list[Path]) -> str:
    """Over the files as they lie on the disk, packed or not."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            for chunk in chunks_of(file):
                digest.update(chunk)
    return digest.hexdigest()


def encoding_notes(files: list[DataFile]) -> list[str]:
    """A sentence for every text file that is not UTF-8."""
    texts = [file for file in files if READERS[file.kind] is not read_parquet]
    return [f"{file.name}: {said}" for file in texts if (said := encoding_of(file).said)]


# --- CSV and TSV


def read_csv(file: DataFile) -> Values:
    """The first line names the columns; the separator is the one of , ; | and tab that it has most of."""
    csv.field_size_limit(MAX_LINE_CHARACTERS)
    with open_text(file) as text:
        header_line = text.readline(MAX_LINE_CHARACTERS)
        declared = DECLARED.fullmatch(header_line)
        header_line = text.readline(MAX_LINE_CHARACTERS) if declared else header_line
        separator = "\t" if file.kind == ".tsv" else max(SEPARATORS, key=header_line.count)
        separator = declared[1] if declared else separator
        lines = csv.reader(itertools.chain([header_line], whole_lines(text)), delimiter=separator, strict=True)
        header: list[str] | None = None
        while True:
            try:
                cells = next(lines, None)
            except csv.Error as error:
                yield RowError(
                    f"It cannot be read from line {lines.line_num} on: {error}.",
                    "Put cells with quotes or line breaks in double quotes, and double the quotes inside.",
                )
                return
            if cells is None:
                break
            if not cells:
                continue
            if header is None:
                header = [name.strip() for name in cells]
                check_header(file, header)
            elif len(cells) != len(header):
                yield RowError(
                    f"It has {len(cells)} cells (up to line {lines.line_num}), but the header has {len(header)}.",
                    "Put cells that hold the separator in double quotes.",
                )
            else:
                yield dict(zip(header, cells, strict=True))


def whole_lines(text: io.TextIOWrapper) -> Iterator[str]:
    """Raises csv.Error for a line that is longer than any row may be."""
    for line in lines_of(text):
        if len(line) == MAX_LINE_CHARACTERS and not line.endswith("\n"):
            raise csv.Error(f"a line is longer than {MAX_LINE_CHARACTERS:,} characters")
        yield line


def check_header(file: DataFile, header: list[str]) -> None:
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise UserError(f"{file.name} has several columns called {', '.join(map(repr, twice))}.", "Rename them.")


# --- Parquet


def read_parquet(file: DataFile) -> Values:
    import pyarrow  # type: ignore[import-untyped]
    import pyarrow.parquet  # type: ignore[import-untyped]

    try:
        with file.open_seekable() as data, pyarrow.parquet.ParquetFile(data) as table:
            for batch in table.iter_batches(batch_size=256):
                yield from plain_rows(batch)
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(
            f"{file.name} cannot be read as Parquet: {str(error).rstrip('.')}.", "Is the file whole?"
        ) from error


READERS: dict[str, Callable[[DataFile], Values]] = {
    ".jsonl": read_json,
    ".ndjson": read_json,
    ".json": read_json,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".parquet": read_parquet,
}
