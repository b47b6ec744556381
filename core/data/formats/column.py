"""The one text column of formats that hold a whole conversation in one text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.data.dataset import Message, RowError
from core.data.formats.dialects import detect_dialect
from core.data.formats.tracking import ConversionNotes, TrackedMapping, untracked
from core.data.values import columns_in, text_of


def conversation_text(row: Mapping[str, Any]) -> str | None:
    """The column `text`, or else the only column if that is text."""
    name = "text" if "text" in row else next(iter(row), None) if len(row) == 1 else None
    value = None if name is None else row[name]
    return value if isinstance(value, str) else None


def text_reader(parse: Callable[[str], list[Message]]) -> Callable[[TrackedMapping, ConversionNotes], list[Message]]:
    def convert(row: TrackedMapping, notes: ConversionNotes) -> list[Message]:
        text = conversation_text(row)
        if text is None:
            if "text" in row:
                text = text_of(row["text"], "`text`")
            else:
                raise RowError(
                    f"It has no column `text` (columns: {columns_in(row)}).",
                    "Put the conversation into a column `text`.",
                )
        if not text.strip():
            raise RowError("Its text is empty.", "Write a conversation, or remove the row.")
        return parse(text)

    return convert


def has_dialect(dialect: str) -> Callable[[Mapping[str, Any]], bool]:
    """Whether a row's text is of this dialect."""

    def matches(row: Mapping[str, Any]) -> bool:
        text = conversation_text(row)
        return text is not None and detect_dialect(text) == dialect

    return matches


def is_prose(row: Mapping[str, Any]) -> bool:
    text = untracked(row).get("text")
    return isinstance(text, str) and detect_dialect(text) is None
