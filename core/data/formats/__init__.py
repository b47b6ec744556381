"""The dataset formats that are understood: how each is recognised, and how a row of it becomes messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from core.data.formats.base import Format
from core.data.formats.chat import MESSAGES, SHAREGPT
from core.data.formats.columns import ALPACA, PROMPT_COMPLETION
from core.data.formats.text import GUANACO, LLAMA2
from core.errors import UserError

# The order decides where a row fits several: a list of turns says more than columns beside it.
FORMATS: dict[str, Format] = {
    each.name: each for each in (MESSAGES, SHAREGPT, LLAMA2, GUANACO, ALPACA, PROMPT_COMPLETION)
}


def format_named(name: str) -> Format:
    """Raises UserError that lists the known formats."""
    if name not in FORMATS:
        raise UserError(f"There is no dataset format called {name!r}.", f"Known formats: {', '.join(FORMATS)}.")
    return FORMATS[name]


def detect_row(row: Mapping[str, Any]) -> Format | None:
    return next((each for each in FORMATS.values() if each.matches(row)), None)


def detect(rows: Iterable[Mapping[str, Any]]) -> Format | None:
    """The format that most of `rows` have; None where no row has any."""
    votes: dict[str, int] = {}
    for row in rows:
        found = detect_row(row)
        if found:
            votes[found.name] = votes.get(found.name, 0) + 1
    return FORMATS[max(votes, key=lambda name: votes[name])] if votes else None


__all__ = ["FORMATS", "Format", "detect", "detect_row", "format_named"]
