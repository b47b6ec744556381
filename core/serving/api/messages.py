"""The messages of a chat request, checked one by one and brought into the form that chat templates take."""

from __future__ import annotations

from typing import Any

from adapters.common.errors import shortened
from core.serving.api.errors import ApiError

MAX_MESSAGES = 2048
_ROLES = ("system", "user", "assistant")


def check_messages(messages: Any) -> list[dict[str, str]]:
    """Each message as role, content and, if given, name and reasoning_content, all of them text. Raises ApiError."""
    if not isinstance(messages, list):
        raise ApiError(400, f"messages must be a list, not {shortened(messages)}.", param="messages")
    if not 1 <= len(messages) <= MAX_MESSAGES:
        what = f"at most {MAX_MESSAGES} messages, not {len(messages)}" if messages else "at least one message"
        raise ApiError(400, f"messages must hold {what}.", param="messages")
    return [_check_message(index, message) for index, message in enumerate(messages)]


def _check_message(index: int, message: Any) -> dict[str, str]:
    where = f"messages[{index}]"
    if not isinstance(message, dict):
        raise ApiError(400, f"{where} must be an object with role and content.", param=where)
    role = "system" if message.get("role") == "developer" else message.get("role")
    if role not in _ROLES:
        raise ApiError(400, f"{where}.role must be one of {', '.join(_ROLES)}, not {shortened(role)}.", param=where)
    content = message.get("content")
    if isinstance(content, list):
        if not all(_is_text(part) for part in content):
            raise ApiError(400, f"{where}.content may only have parts of the type text.", param=where)
        content = "".join(part["text"] for part in content)
    if not isinstance(content, str):
        raise ApiError(400, f"{where}.content must be text, not {shortened(content)}.", param=where)
    return {"role": role, "content": content} | _check_other_keys(where, role, message)


def _check_other_keys(where: str, role: str, message: dict[str, Any]) -> dict[str, str]:
    """name and reasoning_content. Clients send answers back with empty keys, which are dropped."""
    checked: dict[str, str] = {}
    for key, value in message.items():
        if key in ("role", "content") or value is None or value == []:
            continue
        param = f"{where}.{shortened(key).strip(chr(39))}"
        if key != "name" and (key, role) != ("reasoning_content", "assistant"):
            why = ": this engine calls no tools" if key in ("tool_calls", "function_call") else ""
            raise ApiError(400, f"{param} is not supported{why}.", param=param)
        if not isinstance(value, str):
            raise ApiError(400, f"{param} must be text, not {shortened(value)}.", param=param)
        checked[key] = value
    return checked


def _is_text(part: Any) -> bool:
    if not isinstance(part, dict) or not isinstance(part.get("text"), str):
        return False
    return part.get("type", "text") in ("text", "input_text", "output_text")
