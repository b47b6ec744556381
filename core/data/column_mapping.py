"""Which of a file's columns stand for the ones that the formats know, where a person says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from adapters.common.errors import UserError
from core.data.dataset import DatasetRow, RowError
from core.data.formats.training_marks import marks_turns, skips_row
from core.data.values import columns_in

KNOWN_COLUMNS = (
    "question",
    "answer",
    "context",
    "system",
    "text",
    "messages",
    "conversations",
    "tools",
    "prompt",
    "completion",
    "instruction",
    "input",
    "output",
    "history",
    "chosen",
    "rejected",
    "label",
)
HOW = "Write it as question=COLUMN,answer=COLUMN, with the file's own column names."


def parse_columns(text: str | None) -> dict[str, str]:
    """The text question=Frage,answer=Antwort as {name: column}. Raises UserError for what is not so."""
    columns: dict[str, str] = {}
    for part in (text or "").split(","):
        if not part.strip():
            continue
        name, equals, column = (word.strip() for word in part.partition("="))
        if not (equals and name and column):
            raise UserError(f"{part.strip()!r} does not say which column stands for which.", HOW)
        if name not in KNOWN_COLUMNS:
            raise UserError(
                f"There is no column {name!r} in any known format.", f"Known are {', '.join(KNOWN_COLUMNS)}."
            )
        if name in columns:
            raise UserError(f"Two columns are given for {name!r}.", "Name one for each.")
        columns[name] = column
    return columns


def format_columns(columns: Mapping[str, str | None]) -> str:
    """The inverse of parse_columns; names without a column are left out."""
    return ",".join(f"{name}={column}" for name, column in columns.items() if column)


def rename_columns(row: DatasetRow, columns: Mapping[str, str]) -> DatasetRow:
    """The row with only the columns that were named, under the names that the formats know.

    A column that says that the row is not to be trained, or which of its turns are, is kept too.
    """
    if not columns or isinstance(row.value, RowError):
        return row
    missing = [column for column in columns.values() if column not in row.value]
    if missing:
        there = columns_in(row.value)
        problem = RowError(
            f"The column {' and '.join(map(repr, missing))} is missing (columns: {there}).", "Name a column it has."
        )
        return replace(row, value=problem)
    values: dict[str, Any] = {name: row.value[column] for name, column in columns.items()}
    values |= {
        name: value
        for name, value in row.value.items()
        if name not in columns.values() and (skips_row(name, value) or marks_turns(name, value))
    }
    return replace(row, value=values)
