"""Rows that hold a list of turns: `messages` (OpenAI, TRL) and ShareGPT `conversations`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from core.data.formats.base import Format, columns_in, kind_of, text_of
from core.data.formats.tools import calls_in_text, read_calls, read_tools
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
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
    "tool_response": "tool",
}
CALLERS = ("function_call", "tool_call")  # ShareGPT's turns whose text is a call in JSON
UNREAD = ("reasoning_content", "reasoning", "thinking", "audio", "refusal")  # of a turn; dropping them would be silent


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
            f"It has no list of turns (columns: {columns_in(row)}).",
            "Give a column `messages`: a list of {role, content}.",
        )
    column, turns = found
    messages = [read_turn(turn, f"{column}[{index}]") for index, turn in enumerate(turns)]
    system = text_of(row.get("system"), "`system`")
    if system.strip() and not (messages and messages[0]["role"] == "system"):
        return [Message(role="system", content=system), *messages]
    return messages


def read_turn(turn: Any, where: str) -> Message:
    if not isinstance(turn, Mapping):
        raise RowError(f"{where} is {kind_of(turn)}, not a turn.", "Write each turn as {role, content}.")
    role = turn.get("role", turn.get("from"))
    content = turn.get("content", turn.get("value"))
    if not isinstance(role, str) or role.strip().lower() not in (*ROLES, *CALLERS):
        raise RowError(f"{where} has the role {role!r}.", f"Known roles: {', '.join((*ROLES, *CALLERS))}.")
    for key in UNREAD:
        if turn.get(key):
            raise RowError(
                f"{where} has `{key}`, which is not trained here.", "Put it into the turn's text, or remove it."
            )
    if role.strip().lower() in CALLERS:
        return Message(role="assistant", content="", tool_calls=calls_in_text(content, where))
    message = Message(role=ROLES[role.strip().lower()], content=join_parts(content, where))
    if calls := turn.get("tool_calls") or ([turn["function_call"]] if turn.get("function_call") else None):
        if message["role"] != "assistant":
            raise RowError(f"{where} calls a tool, but is not the assistant's.", "Only assistant turns call tools.")
        message["tool_calls"] = read_calls(calls, where)
    if message["role"] == "tool":
        for key in ("tool_call_id", "name"):
            if isinstance(turn.get(key), str):
                message[key] = turn[key]  # type: ignore[literal-required]
    if turn.get("weight") is not None and message["role"] == "assistant":
        message["weight"] = read_weight(turn["weight"], where)
    return message


def read_weight(weight: Any, where: str) -> int:
    """OpenAI's per-message weight: 0 or 1. Raises RowError."""
    if isinstance(weight, bool) or weight not in (0, 1):
        raise RowError(f"{where} has the weight {weight!r}.", "Write 1 for an answer to train, 0 for one that is not.")
    return int(weight)


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
    read_tools,
)
SHAREGPT = Format(
    "sharegpt",
    "a list of turns with `from` and `value`",
    lambda row: has_keys(row, "from", "value"),
    read_turns,
    read_tools,
)
