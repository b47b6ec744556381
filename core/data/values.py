"""What no row may hold, in whatever kind of file it stands: checked once, for all of them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from adapters.common.errors import shortened
from core.data.dataset import RowError

MAX_DEPTH = 100  # lists and objects within each other
MAX_COLUMNS = 10_000
SURROGATE = re.compile("[\ud800-\udfff]")


class DuplicateKeyObject(dict[str, Any]):
    """A JSON object in which a key stands twice, of which only the last would be there. `twice` is the first such."""

    twice: str


def parse_json(text: str) -> Any:
    """Like json.loads, but an object with a key twice is a DuplicateKeyObject. Raises ValueError."""
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError:
        raise
    except RecursionError:
        raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep") from None
    except ValueError:
        raise ValueError("it holds a number of more digits than can be read") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    doubled = DuplicateKeyObject(found)
    doubled.twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
    return doubled


def check_value(value: object, depth: int = 0) -> None:
    """Raises RowError for a key that stands twice, for deep nesting, and where some text holds a lone surrogate: a
    damaged byte, or half an escaped pair."""
    if isinstance(value, str):
        if not value.isascii() and SURROGATE.search(value):
            raise RowError("Its text has bytes that are not valid UTF-8.", "Save the file as UTF-8, or mend the row.")
    elif isinstance(value, dict | list):
        if depth == MAX_DEPTH:
            raise RowError(
                f"It is nested more than {MAX_DEPTH} levels deep.",
                "Keep what is to be learnt, in fewer objects and lists within each other.",
            )
        if isinstance(value, DuplicateKeyObject):
            raise RowError(f"The key {shortened(value.twice)} stands in it twice.", "Keep the one that is meant.")
        if isinstance(value, dict):
            for key, item in value.items():
                check_value(key, depth)
                check_value(item, depth + 1)
        else:
            for item in value:
                check_value(item, depth + 1)


def check_row(row: dict[str, Any]) -> None:
    """Raises RowError for what check_value refuses, and for more columns than are read."""
    if len(row) > MAX_COLUMNS:
        raise RowError(
            f"It has {len(row):,} columns; up to {MAX_COLUMNS:,} are read.", "Keep those that are to be learnt."
        )
    check_value(row)


NAMED, NAME_LENGTH = 20, 60  # columns, and characters of each, in a message


def text_of(value: Any, where: str) -> str:
    """A cell that must be text; a missing one counts as empty. Raises RowError."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RowError(f"{where} is {kind_of(value)}, not text.", "Write it as a string.")
    return value


KINDS: tuple[tuple[Any, str], ...] = (
    (bool, "true/false"),
    ((int, float), "a number"),
    (str, "text"),
    (bytes, "binary data"),
    (Mapping, "an object"),
)


def kind_of(value: Any) -> str:
    """The JSON name of a value's type, as people who write JSON know it."""
    if value is None:
        return "null"
    for kinds, name in KINDS:
        if isinstance(value, kinds):
            return name
    return "a list" if isinstance(value, list) else f"a {type(value).__name__}"


def printable(text: str) -> str:
    """Without what a terminal would take for a command."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def shorten(text: str, length: int = 60) -> str:
    text = printable(" ".join(text[: 50 * length].split()))
    return text if len(text) <= length else text[: length - 1] + "…"


def columns_in(names: Iterable[Any]) -> str:
    """Column names for a message: the first ones, of a length that a person reads, and how many more there are."""
    every = list(names)
    more = [f"and {len(every) - NAMED:,} more"] if len(every) > NAMED else []
    return ", ".join([printable(str(name)[:NAME_LENGTH]) for name in every[:NAMED]] + more)
