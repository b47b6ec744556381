"""Which keys of a row were read, and the notes on the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


class TrackedMapping(Mapping[str, Any]):
    """A row, a turn or a part that remembers which of its keys were read, not which were only looked for."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values_by_key = values
        self._read: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        value = self.values_by_key[key]
        self._read.add(key)
        return value

    def __contains__(self, key: object) -> bool:
        return key in self.values_by_key

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_key)

    def __len__(self) -> int:
        return len(self.values_by_key)

    def peek(self, key: str) -> Any:
        """The value, without counting as read; None where there is none."""
        return self.values_by_key.get(key)

    def unread(self) -> list[str]:
        """Keys with a value that nobody has read."""
        return [key for key, value in self.values_by_key.items() if key not in self._read and has_value(value)]

    def first(self, names: tuple[str, ...]) -> tuple[str, Any]:
        """(name, value) of the first of `names` that has a value; else of the first that is there; else ("", None)."""
        there = [name for name in names if name in self.values_by_key]
        name = next((name for name in there if has_value(self.values_by_key[name])), there[0] if there else "")
        return name, self[name] if name else None


def untracked(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row's values, to be looked at without counting as read."""
    return row.values_by_key if isinstance(row, TrackedMapping) else row


def has_value(value: Any) -> bool:
    """False for null, blank text, an empty list and an empty object."""
    if isinstance(value, str):
        return bool(value.strip())
    return value is not None and (not isinstance(value, list | Mapping) or len(value) > 0)


def has_text(value: Any) -> bool:
    """Whether some text lies in it, be it in a list or an object."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            if part.strip():
                return True
        elif isinstance(part, Mapping):
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
    return False


@dataclass
class ConversionNotes:
    """What to note about a row that could be read. Over many rows each note is shown once, with their number.

    `columns` and `keys` are those of the row and of its turns that nobody has read. `texts` are whole sentences.
    """

    columns: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
