"""The dataset formats that are understood: how each is recognised, and how a row of it becomes messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from adapters.common.errors import UserError
from core.data.formats.base import Format
from core.data.formats.chat import MESSAGES, SHAREGPT
from core.data.formats.columns import ALPACA, PLAIN_TEXT, PROMPT_COMPLETION, QUESTION_ANSWER
from core.data.formats.preference import KTO, PREFERENCE
from core.data.formats.role_prefixes import ALPACA_TEXT, GUANACO, TRANSCRIPT, VICUNA
from core.data.formats.role_tags import CHATML_TEXT, LLAMA2, RENDERED

# The order decides where a row fits several: what compares answers would pass for plain pairs, and a list of turns says
# more than columns beside it.
FORMATS: dict[str, Format] = {
    known.name: known
    for known in (
        PREFERENCE,
        KTO,
        MESSAGES,
        SHAREGPT,
        CHATML_TEXT,
        RENDERED,
        LLAMA2,
        GUANACO,
        VICUNA,
        ALPACA_TEXT,
        TRANSCRIPT,
        ALPACA,
        PROMPT_COMPLETION,
        QUESTION_ANSWER,
        PLAIN_TEXT,
    )
}


def format_named(name: str) -> Format:
    """Raises UserError that lists the known formats."""
    if name not in FORMATS:
        raise UserError(f"There is no dataset format called {name!r}.", f"Known formats: {', '.join(FORMATS)}.")
    return FORMATS[name]


def detect_row(row: Mapping[str, Any]) -> Format | None:
    return next((known for known in FORMATS.values() if known.matches(row)), None)


def detect(rows: Iterable[Mapping[str, Any]]) -> Format | None:
    """The format that most of `rows` have; None where no row has any.

    Plain text, which a damaged conversation looks like too, only if not one row in ten looks like anything better.
    """
    votes = Counter(found.name for row in rows if (found := detect_row(row)))
    better = Counter({name: count for name, count in votes.items() if not FORMATS[name].own_files_only})
    if better.total() * 10 >= votes.total():
        votes = better
    return FORMATS[votes.most_common(1)[0][0]] if votes else None


__all__ = ["FORMATS", "Format", "detect", "detect_row", "format_named"]
