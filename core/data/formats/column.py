"""The one text column of formats that hold a whole conversation in one text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from core.data.formats.base import columns_in, printable, text_of
from core.data.formats.reading import Seen, Told
from core.data.records import Message, RowError


def conversation_text(row: Mapping[str, Any]) -> str | None:
    """The column `text`, or else the only column if that is text."""
    value = row["text"] if "text" in row else next(iter(row.values()), None) if len(row) == 1 else None
    return value if isinstance(value, str) else None


def on_text(parse: Callable[[str], list[Message]]) -> Callable[[Seen, Told], list[Message]]:
    def convert(row: Seen, told: Told) -> list[Message]:
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


# What only one dialect has.
SIGNS = {
    "chatml": re.compile(r"<\|im_start\|>"),
    "llama2": re.compile(r"\[INST\]"),
    "guanaco": re.compile(r"###[ \t]*(?:Human|Assistant|System):"),
    "vicuna": re.compile(r"(?:\A|\s|</s>)ASSISTANT:"),
}
# Vicuna's words may stand in any text: this one counts only where the other follows.
USER = re.compile(r"(?:\A|\s|</s>)USER:")
ANSWERED = re.compile(r"\sASSISTANT:")


def written_as(dialect: str) -> Callable[[Mapping[str, Any]], bool]:
    """Whether a row's text is of this dialect: its sign comes first. Others may stand further on, as quotations."""

    def matches(row: Mapping[str, Any]) -> bool:
        text = conversation_text(row)
        if text is None:
            return False
        first = {name: found.start() for name, sign in SIGNS.items() if (found := sign.search(text))}
        if (user := USER.search(text)) and ANSWERED.search(text, user.end()):
            first["vicuna"] = min(user.start(), first["vicuna"])
        return dialect in first and first[dialect] == min(first.values())

    return matches


def shorten(text: str, length: int = 60) -> str:
    text = printable(" ".join(text.split()))
    return text if len(text) <= length else text[: length - 1] + "…"
