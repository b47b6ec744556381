"""Rows that hold a list of turns: `messages` (OpenAI, TRL) and ShareGPT `conversations`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.common.errors import shortened
from core.data.dataset import Message, RowError, Tools
from core.data.formats.base import Format
from core.data.formats.parts import read_content, refuse_media
from core.data.formats.tools import calls_in_text, read_calls, read_tools
from core.data.formats.tracking import ConversionNotes, TrackedMapping, has_text, has_value, untracked
from core.data.formats.training_marks import add_untrained, mark_roles, mark_turn
from core.data.values import check_value, columns_in, kind_of, parse_json, text_of

COLUMNS = ("messages", "conversations", "conversation")
TURNS = (*COLUMNS, "prompt", "completion", "chosen")  # columns that may hold turns

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
    "ipython": "tool",  # Llama 3's
}
CALLERS = ("function_call", "tool_call")  # ShareGPT's turns whose text is a call in JSON
SPEAKERS = ("role", "from")
EXCHANGES = (("human", "assistant"), ("input", "output"))  # ms-swift's, XTuner's
CONTENTS = ("content", "value", "text", "parts")
REASONING = ("reasoning_content", "reasoning", "thinking")


def find_turns(row: Mapping[str, Any]) -> tuple[str, list[Any]] | None:
    """(column, turns) of the first column that holds a list of turns; a CSV cell may hold that list as JSON."""
    for column in COLUMNS:
        value = untracked(row).get(column)
        if isinstance(value, str) and value.lstrip().startswith("["):
            try:
                value = parse_json(value)
            except ValueError:
                continue
        if isinstance(value, list):
            row[column]  # now it counts as read
            return column, value
    return None


def has_speakers(row: Mapping[str, Any], key: str) -> bool:
    found = find_turns(row)
    return found is not None and any(isinstance(turn, Mapping) and turn.get(key) is not None for turn in found[1])


def is_exchange(turn: Any) -> bool:
    """Whether a turn holds a question and its answer, under ms-swift's names or XTuner's."""
    return isinstance(turn, Mapping) and exchange_keys(turn) is not None and not any(key in turn for key in SPEAKERS)


def exchange_keys(turn: Mapping[str, Any]) -> tuple[str, str] | None:
    return next((names for names in EXCHANGES if all(name in turn for name in names)), None)


def has_exchanges(row: Mapping[str, Any]) -> bool:
    found = find_turns(row)
    return found is not None and any(map(is_exchange, found[1]))


def read_turns(row: TrackedMapping, notes: ConversionNotes) -> list[Message]:
    found = find_turns(row)
    if found is None:
        raise RowError(
            f"It has no list of turns (columns: {columns_in(row)}).",
            "Give a column `messages`: a list of {role, content}.",
        )
    column, turns = found
    check_value(turns)
    messages = [
        message
        for index, turn in enumerate(turns)
        for message in (
            read_exchange(turn, f"{column}[{index}]", notes)
            if is_exchange(turn)
            else [read_turn(turn, f"{column}[{index}]", notes)]
        )
    ]
    mark_roles(row, messages, ROLES)
    return add_system_prompt(text_of(row.get("system"), "`system`"), messages)


def add_system_prompt(system: str, messages: list[Message]) -> list[Message]:
    """The turns behind what the column `system` says. Raises RowError where they begin with another system prompt."""
    own = messages[0]["content"].strip() if messages and messages[0]["role"] == "system" else None
    if not system.strip():
        return messages
    if not own:
        return [Message(role="system", content=system), *messages[own is not None :]]
    if own != system.strip():
        raise RowError("Its `system` and its first message are two different system prompts.", "Keep one of them.")
    return messages


def read_turn(turn: Any, where: str, notes: ConversionNotes) -> Message:
    if not isinstance(turn, Mapping):
        raise RowError(f"{where} is {kind_of(turn)}, not a turn.", "Write each turn as {role, content}.")
    turn = TrackedMapping(turn)
    _, role = turn.first(SPEAKERS)
    if not isinstance(role, str) or role.strip().lower() not in (*ROLES, *CALLERS):
        raise RowError(f"{where} has the role {shortened(role)}.", f"Known roles: {', '.join((*ROLES, *CALLERS))}.")
    refuse_media(turn, where)
    _, value = turn.first(CONTENTS)
    if role.strip().lower() in CALLERS:
        message = Message(role="assistant", content="", tool_calls=calls_in_text(value, where, notes))
    else:
        content = read_content(value, where, notes)
        message = Message(role=ROLES[role.strip().lower()], content=content.text)
        if message["role"] == "assistant":
            add_untrained(message, content.untrained)
        add_reasoning(message, content.reasoning, turn, where)
        add_calls(message, turn, where, notes)
    mark_turn(message, turn, where, notes)
    unread = turn.unread()
    holders = [f"`{key}`" for key in unread if has_text(turn.peek(key))]
    if holders and not message["content"].strip() and not message.get("tool_calls"):
        raise RowError(
            f"{where} has no text under `content`; it has some under {columns_in(holders)}, which is not read.",
            "Call the key that holds what is said `content`.",
        )
    notes.keys.update(unread)
    return message


def read_exchange(turn: Mapping[str, Any], where: str, notes: ConversionNotes) -> list[Message]:
    """Marks beside the two are the answer's; XTuner writes the system prompt there too."""
    asks, answers = exchange_keys(turn) or EXCHANGES[0]
    marks = {key: value for key, value in turn.items() if key not in ("system", asks, answers)}
    system = text_of(turn.get("system"), f"The system of {where}")
    return [
        *([Message(role="system", content=system)] if system.strip() else []),
        read_turn({"role": "user", "content": turn[asks]}, where, notes),
        read_turn({**marks, "role": "assistant", "content": turn[answers]}, where, notes),
    ]


def tools_beside_turns(row: Mapping[str, Any]) -> Tools | None:
    """The tools of a row whose prompt or answer is a list of turns. Raises RowError."""
    values = untracked(row)
    return read_tools(row) if any(isinstance(values.get(key), list) for key in TURNS) else None


def add_reasoning(message: Message, in_parts: str, turn: TrackedMapping, where: str) -> None:
    """What an assistant turn thinks, under whichever name. A switch of that name (thinking: true) stays unread."""
    if message["role"] != "assistant":
        if in_parts:
            raise RowError(f"{where} has reasoning, but is not the assistant's.", "Only assistant turns reason.")
        return
    text = in_parts
    for key in REASONING:
        value = turn.peek(key)
        if not has_value(value) or isinstance(value, bool) or (text and value != text):
            continue  # two different texts: the first is read, the other becomes a note
        text = text_of(turn[key], f"The {key} of {where}")
    if text.strip():
        message["reasoning_content"] = text


def add_calls(message: Message, turn: TrackedMapping, where: str, notes: ConversionNotes) -> None:
    if calls := turn.get("tool_calls") or ([turn["function_call"]] if turn.get("function_call") else None):
        if message["role"] != "assistant":
            raise RowError(f"{where} calls a tool, but is not the assistant's.", "Only assistant turns call tools.")
        message["tool_calls"] = read_calls(calls, where, notes)
    if message["role"] == "tool":
        for key in ("tool_call_id", "name"):
            if isinstance(turn.get(key), str):
                message[key] = turn[key]


MESSAGES = Format(
    "messages",
    "a list of turns with `role` and `content`",
    lambda row: has_speakers(row, "role"),
    read_turns,
    read_tools,
)
SHAREGPT = Format(
    "sharegpt",
    "a list of turns with `from` and `value`",
    lambda row: has_speakers(row, "from") or has_exchanges(row),
    read_turns,
    read_tools,
)
