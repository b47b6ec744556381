"""JSON and JSON Lines to rows, told apart by what a file begins with, not by its name."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any

from adapters.common.errors import UserError, shortened
from core.data.dataset import ReaderOutput, RowError
from core.data.formats import detect_row
from core.data.readers.archive import DataFile
from core.data.readers.text import MAX_LINE_CHARACTERS, lines_of, open_text, whole_lines
from core.data.values import DuplicateKeyObject, columns_in, kind_of, parse_json

# A JSON document (not JSON Lines) must be read whole; its objects take several times the room of its text.
MAX_JSON_CHARACTERS = 1 << 28
SPEAKERS = ("role", "from", "speaker")  # keys by which a list of objects is one of turns
SCHEMAS = ("tools", "functions")


def read_json(file: DataFile, named: Collection[str] = ()) -> Iterator[ReaderOutput]:
    """A list, one list under a key, or JSON Lines: told apart by what the file begins with, not by its name.

    named: columns that a person named, by which an object that stands alone is known to be a row.
    """
    with open_text(file) as text:
        lines = (line for line in lines_of(text) if line.strip())
        first_line, second_line = next(lines, ""), next(lines, "")
    if not first_line:
        raise UserError(f"{file.name} holds only blank lines.", "Give a file with at least one conversation.")
    if is_one_document(file, first_line, second_line):
        return read_document(file, named)
    return read_lines(file)


def is_one_document(file: DataFile, first_line: str, second_line: str) -> bool:
    """Whether it is one JSON value: a list or an object that spreads over lines, or the only line."""
    try:
        alone = parse_json(first_line)
    except ValueError:
        # A broken first row of a JSON Lines file must not turn the whole file into a broken document.
        spread = file.kind == ".json" and not second_line.lstrip().startswith("{")
        return first_line.lstrip().startswith("[") or spread
    return not second_line and isinstance(alone, dict | list)


def find_row_lists(document: dict[str, Any]) -> dict[str, list[Any]]:
    """The lists of objects under a document's keys, such as {"data": [{…}, …]}, that may be rows."""
    return {
        key: value
        for key, value in document.items()
        if key not in SCHEMAS
        and isinstance(value, list)
        and value
        and all(isinstance(item, dict) for item in value)
        and not are_turns(value)
    }


def are_turns(items: list[dict[str, Any]]) -> bool:
    """Whether each has a speaker, and none is a row itself."""
    return all(any(key in item for key in SPEAKERS) for item in items) and not any(
        (found := detect_row(item)) and not found.own_files_only for item in items
    )


def is_by_column(document: dict[str, Any]) -> bool:
    """Whether a table was written column by column, as pandas does unless told otherwise."""
    columns = list(document.values())
    if not columns or not columns[0]:
        return False
    if all(isinstance(column, dict) for column in columns):
        return all(key.isdecimal() for column in columns for key in column)
    values = [value for column in columns if isinstance(column, list) for value in column]
    lists = len(columns) > 1 and all(isinstance(column, list) and len(column) == len(columns[0]) for column in columns)
    return lists and not any(isinstance(value, dict | list) for value in values)


def extract_rows(file: DataFile, document: dict[str, Any], named: Collection[str]) -> list[Any]:
    """The object itself if it is a row, as it would be on a line among others; else what its one list holds.

    It is a row if some format knows it, or if it has the columns that a person named. Raises UserError.
    """
    if isinstance(document, DuplicateKeyObject):
        raise UserError(
            f"The key {shortened(document.twice)} stands twice in {file.name}.", "Keep the one that is meant."
        )
    if is_by_column(document):
        raise UserError(
            f"{file.name} is written column by column ({columns_in(document)}).",
            "Write it row by row; in pandas: to_json(…, orient='records', lines=True).",
        )
    if detect_row(document) or (named and all(column in document for column in named)):
        return [document]
    lists = find_row_lists(document)
    if len(lists) > 1:
        raise UserError(
            f"{file.name} holds several lists of rows: {columns_in(lists)}.",
            "Put the one that is meant into a file of its own.",
        )
    return next(iter(lists.values()), [document])


def read_document(file: DataFile, named: Collection[str]) -> Iterator[ReaderOutput]:
    with open_text(file) as data:
        text = data.read(MAX_JSON_CHARACTERS + 1)
    if len(text) > MAX_JSON_CHARACTERS:
        raise UserError(
            f"{file.name} is one JSON document of more than {MAX_JSON_CHARACTERS >> 20} million characters, which must "
            "be read whole.",
            "Write it as JSON Lines (one object a line); those are read row by row.",
        )
    try:
        document = parse_json(text)
    except ValueError as error:
        raise UserError(f"{file.name} is not valid JSON: {error}.", "Mend it there, or write JSON Lines.") from error
    rows = extract_rows(file, document, named) if isinstance(document, dict) else document
    if not rows or not isinstance(rows, list):
        raise UserError(f"{file.name} holds no rows.", "Give a list of objects, or one such list under a key.")
    for value in rows:
        yield value if isinstance(value, dict) else not_an_object(value, "")


def read_lines(file: DataFile) -> Iterator[ReaderOutput]:
    with open_text(file) as text:
        for number, line in enumerate(whole_lines(text), start=1):
            if line is None:
                yield RowError(f"Line {number} is longer than {MAX_LINE_CHARACTERS:,} characters.", "Split it.")
            elif line.strip():
                yield parse_line(line, number)


def parse_line(line: str, line_number: int) -> dict[str, Any] | RowError:
    try:
        value = parse_json(line)
    except ValueError as error:
        reason = (
            f"{error.msg.removesuffix(' at')} at column {error.colno}"
            if isinstance(error, json.JSONDecodeError)
            else str(error)
        )
        return RowError(f"Line {line_number} is not valid JSON: {reason}.", "Write one whole JSON object on this line.")
    return value if isinstance(value, dict) else not_an_object(value, f"Line {line_number} ")


def not_an_object(value: Any, where: str) -> RowError:
    return RowError(f"{where or 'It '}is not a JSON object but {kind_of(value)}.", "Write {column: value}.")
