"""Files to rows, one at a time: JSON Lines, JSON, CSV, TSV, Parquet. Nothing is loaded by a script or unpickled."""

from __future__ import annotations

import csv
import functools
import hashlib
import io
import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from core.data.encoding import Encoding, check_text, detect_encoding
from core.data.packed import ZIP, DataFile, kind_of_name
from core.data.records import Row, RowError
from core.errors import UserError

CHUNK = 1 << 20
# A JSON document (not JSON Lines) must be read whole; its objects take several times the room of its text.
MAX_JSON_CHARACTERS = 1 << 28
MAX_LINE_CHARACTERS = 1 << 25

Values = Iterator[dict[str, Any] | RowError]


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


def check_file(path: Path) -> None:
    """Raises UserError for everything that can be known about a file before it is parsed."""
    if not path.is_file():
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


def chunks_of(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


def encoding_of(file: DataFile) -> Encoding:
    status = file.path.stat()
    return _encoding_of(file, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=64)  # reader and notes ask for the same file; size and time make a changed file a new one
def _encoding_of(file: DataFile, size: int, modified: int) -> Encoding:
    with file.open() as data:
        return detect_encoding(chunks_of(data))


@contextmanager
def open_text(file: DataFile) -> Iterator[io.TextIOWrapper]:
    encoding = encoding_of(file)
    with file.open() as data:
        yield io.TextIOWrapper(data, encoding=encoding.name, errors=encoding.errors, newline="")


def lines_of(text: io.TextIOWrapper) -> Iterator[str]:
    """Lines with their ends, a very long one in pieces of MAX_LINE_CHARACTERS, so that memory stays bounded."""
    return iter(lambda: text.readline(MAX_LINE_CHARACTERS), "")


# --- JSON and JSON Lines


def read_json(file: DataFile) -> Values:
    """A list, one list under a key, or JSON Lines: told apart by what the file begins with, not by its name."""
    with open_text(file) as text:
        lines = lines_of(text)
        first_line = next((line for line in lines if line.strip()), "")
        second_line = next((line for line in lines if line.strip()), "")
    if not first_line:
        raise UserError(f"{file.name} holds only blank lines.", "Give a file with at least one conversation.")
    if is_one_document(file, first_line, second_line):
        return read_document(file)
    return read_lines(file)


def is_one_document(file: DataFile, first_line: str, second_line: str) -> bool:
    """A list is a document, and so is an object that spreads over lines, or stands alone and holds the rows."""
    if first_line.lstrip().startswith("["):
        return True
    try:
        alone = json.loads(first_line)
    except ValueError:
        # A broken first row of a JSON Lines file must not turn the whole file into a broken document.
        return file.kind == ".json" and not second_line.lstrip().startswith("{")
    return not second_line and isinstance(alone, dict) and row_list(alone) is not None


def row_list(document: dict[str, Any]) -> list[Any] | None:
    """The rows of {"data": [{…}, …]}: the only list of objects under a key, unless that is a conversation's turns."""
    lists = [
        value
        for key, value in document.items()
        if key not in ("messages", "conversations", "conversation", "prompt", "completion", "chosen", "rejected")
        and isinstance(value, list)
        and value
        and all(isinstance(item, dict) for item in value)
    ]
    return lists[0] if len(lists) == 1 else None


def read_document(file: DataFile) -> Values:
    with open_text(file) as data:
        text = data.read(MAX_JSON_CHARACTERS + 1)
    if len(text) > MAX_JSON_CHARACTERS:
        raise UserError(
            f"{file.name} is one JSON document of more than {MAX_JSON_CHARACTERS >> 20} million characters, which must "
            "be read whole.",
            "Write it as JSON Lines (one object a line); those are read row by row.",
        )
    try:
        document = json.loads(text)
    except ValueError as error:
        raise UserError(f"{file.name} is not valid JSON: {error}.", "Mend it there, or write JSON Lines.") from error
    except RecursionError as error:
        raise UserError(f"{file.name} is nested too deeply to be a dataset.", "Give a list of objects.") from error
    rows = document if isinstance(document, list) else row_list(document) if isinstance(document, dict) else None
    if rows is None and isinstance(document, dict):
        rows = [document]
    if not rows:
        raise UserError(f"{file.name} holds no rows.", "Give a list of objects, or one such list under a key.")
    for value in rows:
        yield value if isinstance(value, dict) else not_an_object(value, "")


def read_lines(file: DataFile) -> Values:
    with open_text(file) as text:
        lines = lines_of(text)
        for line_number, line in enumerate(lines, start=1):
            if len(line) == MAX_LINE_CHARACTERS and not line.endswith("\n"):
                next((rest for rest in lines if rest.endswith("\n")), "")
                yield RowError(f"Line {line_number} is longer than {MAX_LINE_CHARACTERS:,} characters.", "Split it.")
            elif line.strip():
                yield parse_line(line, line_number)


def parse_line(line: str, line_number: int) -> dict[str, Any] | RowError:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
        return RowError(f"Line {line_number} is not valid JSON: {reason}.", "Write one whole JSON object on this line.")
    return value if isinstance(value, dict) else not_an_object(value, f"Line {line_number} ")


def not_an_object(value: Any, where: str) -> RowError:
    return RowError(f"{where or 'It '}is not a JSON object but a {type(value).__name__}.", "Write {column: value}.")


# --- CSV and TSV


def read_csv(file: DataFile) -> Values:
    """The first line names the columns; the separator is the one of , ; and tab that it has most of."""
    csv.field_size_limit(MAX_LINE_CHARACTERS)
    with open_text(file) as text:
        header_line = text.readline(MAX_LINE_CHARACTERS)
        separator = "\t" if file.kind == ".tsv" else max(",;\t", key=header_line.count)
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
                yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{file.name} cannot be read as Parquet: {error}.", "Is the file whole?") from error


READERS: dict[str, Callable[[DataFile], Values]] = {
    ".jsonl": read_json,
    ".ndjson": read_json,
    ".json": read_json,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".parquet": read_parquet,
}
