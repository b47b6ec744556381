"""Rows that hold a list of turns: `messages` (OpenAI, TRL) and ShareGPT `conversations`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from core.data.formats.base import Format, kind_of, text_of
from core.data.records import Message, RowError

COLUMNS = ("messages", "conversations", "conversation")

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
}


def find_turns(row: Mapping[str, Any]) -> tuple[str, list[Any]] | None:
    """(column, turns) of the first column that holds a list of turns; a CSV cell may hold that list as JSON."""
    for column in COLUMNS:
        value = row.get(column)
        if isinstance(value, str) and value.lstrip().startswith("["):
            try:
                value = json.loads(value)
            except ValueError:
                continue
        if isinstance(value, list):
            return column, value
    return None


def has_keys(row: Mapping[str, Any], role: str, content: str) -> bool:
    found = find_turns(row)
    return found is not None and any(
        isinstance(turn, Mapping) and role in turn and content in turn for turn in found[1]
    )


def read_turns(row: Mapping[str, Any]) -> list[Message]:
    found = find_turns(row)
    if found is None:
        raise RowError(
            f"It has no list of turns (columns: {', '.join(map(str, row))}).",
            "Give a column `messages`: a list of {role, content}.",
        )
    column, turns = found
    return [read_turn(turn, f"{column}[{index}]") for index, turn in enumerate(turns)]


def read_turn(turn: Any, where: str) -> Message:
    if not isinstance(turn, Mapping):
        raise RowError(f"{where} is {kind_of(turn)}, not a turn.", "Write each turn as {role, content}.")
    role = turn.get("role", turn.get("from"))
    content = turn.get("content", turn.get("value"))
    if not isinstance(role, str) or role.strip().lower() not in ROLES:
        raise RowError(f"{where} has the role {role!r}.", f"Known roles: {', '.join(ROLES)}.")
    return Message(role=ROLES[role.strip().lower()], content=join_parts(content, where))


def join_parts(content: Any, where: str) -> str:
    """OpenAI content may be a list of parts; only text can be trained. Raises RowError for others."""
    if not isinstance(content, list):
        return text_of(content, f"The text of {where}")
    texts = []
    for part in content:
        if not isinstance(part, Mapping) or part.get("type", "text") != "text":
            kind = part.get("type") if isinstance(part, Mapping) else kind_of(part)
            raise RowError(
                f"{where} has a part of type {kind!r}.", "Only text parts can be trained; remove the others."
            )
        texts.append(text_of(part.get("text"), f"A text part of {where}"))
    return "".join(texts)


MESSAGES = Format(
    "messages",
    "a list of turns with `role` and `content`",
    lambda row: has_keys(row, "role", "content"),
    read_turns,
)
SHAREGPT = Format(
    "sharegpt",
    "a list of turns with `from` and `value`",
    lambda row: has_keys(row, "from", "value"),
    read_turns,
)
