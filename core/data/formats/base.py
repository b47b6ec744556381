"""What every format offers, and the check of turns that all formats share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from core.data.dataset import Message, RowError, Tools
from core.data.formats.tracking import ConversionNotes, TrackedMapping
from core.data.values import columns_in


def no_tools(row: Mapping[str, Any]) -> Tools | None:
    return None


@dataclass(frozen=True)
class Format:
    """`matches` must be cheap and only say yes to what `reader` was made for; `reader` and `tools` raise RowError.

    `signs` completes "419 of 419 rows have …". `asks` is why rows of this format are used only if the format was given.
    `own_files_only`: matches so much that it is only believed of whole files, not of single rows among others.
    """

    name: str
    signs: str
    matches: Callable[[Mapping[str, Any]], bool]
    reader: Callable[[TrackedMapping, ConversionNotes], list[Message]]
    tools: Callable[[Mapping[str, Any]], Tools | None] = no_tools
    asks: str = ""
    own_files_only: bool = False

    def convert(self, row: Mapping[str, Any], notes: ConversionNotes | None = None) -> list[Message]:
        """What the row says, with what is noteworthy added to `notes`. Raises RowError."""
        return self.reader(row if isinstance(row, TrackedMapping) else TrackedMapping(row), notes or ConversionNotes())


ROLE_NAMES = {"system": "system", "user": "human", "assistant": "assistant", "tool": "tool"}


def check_turns(messages: list[Message]) -> tuple[list[Message], list[str]]:
    """Messages that can be trained on, and sentences on what was left out of them.

    A question at the end that nobody answers gives nothing to train, so it is left out. Raises RowError for
    everything that would teach something wrong: turns that do not alternate, empty turns, no question, no answer.
    """
    if [message["role"] for message in messages] == ["text"]:
        return messages, []
    messages = [message for message in messages if message["content"].strip() or message["role"] != "system"]
    turns = messages[1:] if messages and messages[0]["role"] == "system" else messages
    roles = [message["role"] for message in turns]
    if not roles:
        raise RowError("It has no turns.", "Give it a question and an answer, or remove the row.")
    if "system" in roles:
        raise RowError(
            f"Message {messages.index(turns[roles.index('system')]) + 1} is a system message after the beginning.",
            "Keep one system message, at the start.",
        )
    if "user" not in roles:
        raise RowError("It has only assistant turns: there is no question.", "Put a human turn before the answer.")
    if "assistant" not in roles:
        raise RowError("It has only human turns: there is no answer to learn.", "Add an assistant turn, or remove it.")
    if roles[0] == "assistant":
        raise RowError("It begins with an assistant turn.", "Put a human turn before it, or make it a system message.")
    offset = len(messages) - len(turns)
    for index, (before, role) in enumerate(itertools.pairwise(roles), start=offset + 1):
        check_order(before, role, index)
    left_out = []
    if roles[-1] == "user":
        messages = messages[:-1]
        left_out.append("It ends with a human turn that nobody answers; that turn is left out.")
    while messages[-1]["role"] == "tool":
        messages = messages[:-1]
        left_out.append("It ends with a tool's answer that nobody reads; that turn is left out.")
    for index, message in enumerate(messages, start=1):
        if not message["content"].strip() and not message.get("tool_calls") and message["role"] != "tool":
            raise EmptyMessage(index, message)
    if all(message.get("weight") == 0 for message in messages if message["role"] == "assistant"):
        raise RowError(
            "All its answers are marked as not to be trained (weight 0): nothing of it would be.",
            "Mark one of them to be trained, or remove the row.",
        )
    return messages, left_out


class EmptyMessage(RowError):
    """A turn without text. `with_unread_columns` names columns that nobody has read, since its text may lie there."""

    def __init__(self, index: int, message: Message) -> None:
        said = "has reasoning, but no answer" if message.get("reasoning_content") else "is empty"
        super().__init__(
            f"Message {index} ({ROLE_NAMES[message['role']]}) {said}.", "Fill in its text, or remove the row."
        )

    def with_unread_columns(self, columns: list[str]) -> RowError:
        if not columns:
            return self
        names = columns_in(f"`{name}`" for name in columns)
        return RowError(
            f"{self.what.removesuffix('.')}, as it is read; text lies under {names}, which is not read.",
            "If that is the text, say which columns stand for which, or rename them; else fill it in.",
        )


def check_order(before: str, role: str, index: int) -> None:
    """Message `index` (from 1) has the role `before`, the next one `role`. Raises RowError."""
    if before == role != "tool":
        raise RowError(
            f"Messages {index} and {index + 1} are two {ROLE_NAMES[role]} turns in a row.",
            "Join them into one turn, or add the missing turn between them.",
        )
    if role == "tool" and before == "user":
        raise RowError(
            f"Message {index + 1} is a tool's answer, but message {index} is not the assistant's call.",
            "Put the assistant's call before it.",
        )
    if role == "user" and before == "tool":
        raise RowError(
            f"Message {index + 1} is a human turn directly after a tool's answer.",
            "Add the assistant's answer between them.",
        )
