"""What the data part hands to everyone else: conversations, and what is wrong with the rows that gave none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NotRequired, TypedDict


class Message(TypedDict):
    """One turn in the conversational format that TRL takes; role is "system", "user", "assistant" or "tool".

    tool_calls: what an assistant turn calls, [{"type": "function", "function": {"name", "arguments": {…}}}].
    name, tool_call_id: which tool a "tool" turn answers for. weight: 0 for an assistant turn that is not trained.
    untrained: half-open [start, end) spans of characters in an assistant's content that are context only.
    reasoning_content: what the assistant thinks before its content.
    A message with the role "text" stands alone: plain text, trained from its first token to its last.
    """

    role: str
    content: str
    tool_calls: NotRequired[list[dict[str, Any]]]
    tool_call_id: NotRequired[str]
    name: NotRequired[str]
    weight: NotRequired[int]
    untrained: NotRequired[list[list[int]]]
    reasoning_content: NotRequired[str]


Tools = list[dict[str, Any]]


@dataclass(frozen=True)
class Conversation:
    """One row that can be trained on: an optional system message, then user and assistant in turn, ending with the
    assistant; after an assistant turn tools may answer, and then the assistant goes on. `row` counts from 1 in the
    order of the file. `tools` are the JSON schemas of the tools that the assistant may call."""

    row: int
    messages: list[Message]
    tools: Tools | None = None

    def to_dict(self) -> dict[str, Any]:
        """The row in the format `messages`, which reads back as the same conversation."""
        return {"messages": self.messages} | ({"tools": self.tools} if self.tools else {})


@dataclass(frozen=True)
class Problem:
    """Why a row (or, with row None, the whole file) needs a look, and what a person can do about it."""

    row: int | None
    what: str
    remedy: str


MAX_ERROR_CHARACTERS = 2000  # characters of what is wrong with a row


class RowError(Exception):
    """One row cannot be used. Collected as a Problem, never raised out of core.data."""

    def __init__(self, what: str, remedy: str) -> None:
        what = (
            what if len(what) <= MAX_ERROR_CHARACTERS else f"{what[: MAX_ERROR_CHARACTERS - 1]}…"
        )  # a row may hold names of any length
        super().__init__(what, remedy)
        self.what = what
        self.remedy = remedy


class SkippedRow(Exception):
    """One row is fine, but not for training on; collected as a note."""


@dataclass(frozen=True)
class RowWarning:
    """What a reader noticed about the row that it gives next, which is read all the same."""

    what: str
    remedy: str


ReaderOutput = dict[str, Any] | RowError | RowWarning  # what the readers of files give


@dataclass(frozen=True)
class DatasetRow:
    """One row as the file gives it: column -> value, or the reason why it could not be read."""

    number: int
    value: Mapping[str, Any] | RowError
    warnings: tuple[RowWarning, ...] = ()


SourceKind = Literal["bundled", "file", "hub"]


@dataclass
class CheckedDataset:
    """A dataset read from end to end.

    `problems` are rows that gave no conversation. `notes` are rows that did, but not word for word or not wisely (an
    unanswered last question left out, say), and what was noticed about the whole file, such as its encoding.
    `sha256` is over the bytes of all files in order. `columns` are the names of the file's own columns.
    """

    name: str
    source: SourceKind
    format: str
    evidence: str
    rows: int
    conversations: list[Conversation]
    problems: list[Problem]
    sha256: str
    revision: str | None = None
    license: str | None = None
    notes: list[Problem] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)

    @property
    def provenance(self) -> str:
        """Enough to find the very same rows again: "ada/poems (hub, revision 1a2b…, licence mit, SHA-256 34cb…)"."""
        facts = [
            self.source,
            f"revision {self.revision}" if self.revision else "",
            f"licence {self.license}" if self.license else "",
            f"SHA-256 {self.sha256}",
        ]
        return f"{self.name} ({', '.join(fact for fact in facts if fact)})"

    @property
    def turns(self) -> int:
        """User and assistant messages over all conversations; system prompts are not turns."""
        return sum(count_turns(conversation.messages) for conversation in self.conversations)


def count_turns(messages: list[Message]) -> int:
    return sum(message["role"] != "system" for message in messages)
