"""JSON and JSON Lines to rows, told apart by what a file begins with, not by its name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from core.data.formats.base import kind_of
from core.data.packed import DataFile
from core.data.records import RowError
from core.data.text import MAX_LINE_CHARACTERS, lines_of, open_text
from core.errors import UserError

# A JSON document (not JSON Lines) must be read whole; its objects take several times the room of its text.
MAX_JSON_CHARACTERS = 1 << 28
TURNS = ("messages", "conversations", "conversation", "prompt", "completion", "chosen", "rejected")  # lists in a row
SCHEMAS = ("tools", "functions")
Values = Iterator[dict[str, Any] | RowError]


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
    return not second_line and isinstance(alone, dict) and bool(row_lists(alone) or is_by_column(alone))


def row_lists(document: dict[str, Any]) -> dict[str, list[Any]]:
    """The lists of objects under a document's keys, such as {"data": [{…}, …]}; none where it is a row itself."""
    if any(isinstance(document.get(key), list) for key in TURNS):
        return {}
    return {
        key: value
        for key, value in document.items()
        if key not in SCHEMAS and isinstance(value, list) and value and all(isinstance(item, dict) for item in value)
    }


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


def rows_of(file: DataFile, document: dict[str, Any]) -> list[Any]:
    """The rows under a document's one key that holds such; or the document, as the only row. Raises UserError."""
    lists = row_lists(document)
    if len(lists) > 1:
        raise UserError(
            f"{file.name} holds several lists of rows: {', '.join(lists)}.",
            "Put the one that is meant into a file of its own.",
        )
    if is_by_column(document):
        raise UserError(
            f"{file.name} is written column by column ({', '.join(document)}).",
            "Write it row by row; in pandas: to_json(…, orient='records', lines=True).",
        )
    return next(iter(lists.values()), [document])


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
    rows = rows_of(file, document) if isinstance(document, dict) else document if isinstance(document, list) else None
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
        reason = (
            f"{error.msg.removesuffix(' at')} at column {error.colno}"
            if isinstance(error, json.JSONDecodeError)
            else str(error)
        )
        return RowError(f"Line {line_number} is not valid JSON: {reason}.", "Write one whole JSON object on this line.")
    return value if isinstance(value, dict) else not_an_object(value, f"Line {line_number} ")


def not_an_object(value: Any, where: str) -> RowError:
    return RowError(f"{where or 'It '}is not a JSON object but {kind_of(value)}.", "Write {column: value}.")
