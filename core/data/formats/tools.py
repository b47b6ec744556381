"""Calls of tools, and the tools' schemas, in the shape that chat templates take."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from core.data.dataset import RowError, Tools
from core.data.formats.tracking import ConversionNotes, has_value
from core.data.values import MAX_DEPTH, check_value, columns_in, kind_of, parse_json

ARGUMENTS = ("arguments", "parameters", "args", "input")
OTHER_CALL_KEYS = ("name", "id", "type", "index", "description")
HOW = 'Write a call as {"name": …, "arguments": {…}}.'


def read_calls(calls: Any, where: str, notes: ConversionNotes) -> list[dict[str, Any]]:
    """OpenAI's `tool_calls`, with arguments as objects, not as JSON in a string: so templates want them."""
    if not isinstance(calls, list):
        raise RowError(f"The tool calls of {where} are {kind_of(calls)}, not a list.", HOW)
    return [read_call(call, where, notes) for call in calls]


def read_call(call: Any, where: str, notes: ConversionNotes) -> dict[str, Any]:
    function = call.get("function", call) if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str) or not function["name"]:
        raise RowError(f"{where} has a tool call without a function's name.", HOW)
    named = [key for key in ARGUMENTS if function.get(key) is not None]
    others = [key for key in function if key not in (*ARGUMENTS, *OTHER_CALL_KEYS) and has_value(function[key])]
    if len(named) > 1 or (not named and others):
        raise RowError(
            f"The call of {function['name']} in {where} has its arguments under {columns_in(named or others)}.", HOW
        )
    around = [
        key
        for key in call
        if function is not call and key not in ("function", *OTHER_CALL_KEYS) and has_value(call[key])
    ]
    notes.keys.update(f"tool_calls.{key}" for key in (*others, *around))
    arguments = function[named[0]] if named else {}
    if isinstance(arguments, str):
        arguments = from_json(arguments or "{}", f"The arguments of {function['name']} in {where}")
    if not isinstance(arguments, Mapping):
        raise RowError(f"The arguments of {function['name']} in {where} are {kind_of(arguments)}, not an object.", HOW)
    check_json(arguments, f"The arguments of {function['name']} in {where}")
    read = {"type": "function", "function": {"name": function["name"], "arguments": dict(arguments)}}
    return read | ({"id": call["id"]} if isinstance(call.get("id"), str) else {})


def calls_in_text(text: Any, where: str, notes: ConversionNotes) -> list[dict[str, Any]]:
    """ShareGPT's function_call: one call, or a list of them, as JSON."""
    value = from_json(text, f"The call in {where}") if isinstance(text, str) else text
    return read_calls(value if isinstance(value, list) else [value], where, notes)


def read_tools(row: Mapping[str, Any]) -> Tools | None:
    """The column `tools` (or `functions`, as it was called before): schemas, or JSON of such. Raises RowError."""
    tools = row["tools"] if "tools" in row else row.get("functions")
    if isinstance(tools, str) and tools.strip():
        tools = from_json(tools, "`tools`")
    if not tools:
        return None
    if not isinstance(tools, list):
        raise RowError(f"`tools` is {kind_of(tools)}, not a list of objects.", "Write it as a list of JSON schemas.")
    return [read_tool(tool, f"tools[{index}]") for index, tool in enumerate(tools)]


def read_tool(tool: Any, where: str) -> dict[str, Any]:
    if isinstance(tool, str):
        tool = from_json(tool, where)
    function = tool.get("function", tool) if isinstance(tool, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str) or not function["name"]:
        raise RowError(
            f"{where} is {kind_of(tool)} that does not say what a function is called.",
            'Write it as {"type": "function", "function": {"name": …, "description": …, "parameters": {…}}}.',
        )
    check_json(tool, where)
    return dict(tool) if "function" in tool else {"type": "function", "function": dict(tool)}


def check_json(value: Any, where: str) -> None:
    """Raises RowError for what JSON has no word for, or what is nested too deeply to be written again."""
    waiting = [(value, 0)]
    while waiting:
        part, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise RowError(f"{where} is nested more than {MAX_DEPTH} levels deep.", "Write it flatter.")
        if isinstance(part, Mapping):
            waiting.extend((item, depth + 1) for pair in part.items() for item in pair)
        elif isinstance(part, list):
            waiting.extend((item, depth + 1) for item in part)
        elif isinstance(part, float) and not math.isfinite(part):
            raise RowError(f"{where} holds {part}, which JSON has no word for.", "Write null, or text.")
        elif part is not None and not isinstance(part, str | bool | int | float):
            raise RowError(f"{where} holds {kind_of(part)}, which JSON has no word for.", "Write it as text.")


def from_json(text: str, where: str) -> Any:
    """Raises RowError for what is no JSON, and for what check_value refuses."""
    try:
        value = parse_json(text)
    except ValueError as error:
        raise RowError(f"{where} is not valid JSON: {error}.", HOW) from error
    check_value(value)
    return value
