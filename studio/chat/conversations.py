"""A conversation as it is saved: what each column held, and the settings."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from studio.answers.history import History, add_answer, add_question, model_of, text_of
from studio.engine.client import Message

ID = re.compile(r"[0-9a-f]{12}")
TITLE_LENGTH = 60
ROLES = ("user", "assistant")


@dataclass(frozen=True)
class ColumnRecord:
    """What one column held. model: what was chosen there. messages: role, content, and of answers the model."""

    model: str
    messages: tuple[Message, ...]

    @classmethod
    def of(cls, chosen: str, history: History | None) -> ColumnRecord:
        messages = []
        for message in history or []:
            record = {"role": str(message["role"]), "content": text_of(message["content"])}
            if model := model_of(message):
                record["model"] = model
            messages.append(record)
        return cls(chosen, tuple(messages))

    def history(self) -> History:
        history: History = []
        for message in self.messages:
            if message["role"] == "user":
                history = add_question(history, message["content"])
            else:
                history = add_answer(history, message["content"], message.get("model", ""))
        return history


@dataclass(frozen=True)
class Conversation:
    id: str
    columns: tuple[ColumnRecord, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    updated: str = ""

    @classmethod
    def new(cls, columns: Iterable[ColumnRecord], settings: dict[str, Any], saved_id: str = "") -> Conversation:
        """As it stands now. saved_id: the id that it was saved under before."""
        new_id = saved_id if ID.fullmatch(saved_id) else uuid.uuid4().hex[:12]
        return cls(new_id, tuple(columns), settings, "", datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def title(self) -> str:
        """Its name, or else its first question."""
        if self.name:
            return self.name
        question = next((message["content"] for column in self.columns for message in column.messages), "")
        line = " ".join(question.split())
        return line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1] + "…"

    def has(self, query: str) -> bool:
        """Whether all words of `query` occur in its title or in its messages."""
        words = set(query.casefold().split())
        if not words:
            return True
        contents = [message["content"] for column in self.columns for message in column.messages]
        text = "\n".join([self.title, *contents]).casefold()
        return all(word in text for word in words)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Any) -> Conversation:
        """Raises ValueError for what is no conversation: it may come from a browser, or have been edited by hand."""
        try:
            columns = tuple(
                ColumnRecord(str(column["model"]), tuple(parse_message(message) for message in column["messages"]))
                for column in record["columns"]
            )
            if not ID.fullmatch(record["id"]) or not isinstance(record["settings"], dict):
                raise ValueError("no conversation")
            return cls(record["id"], columns, record["settings"], str(record["name"]), str(record["updated"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"no conversation: {error}") from error

    def as_json(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=1) + "\n"

    def as_markdown(self) -> str:
        parts = [f"# {self.title}\n"]
        if system := str(self.settings.get("system") or "").strip():
            parts.append(f"> {system}\n".replace("\n", "\n> ").removesuffix("> "))
        for number, column in enumerate(self.columns, 1):
            if len(self.columns) > 1:
                parts.append(f"## Column {number}: {column.model}\n")
            for message in column.messages:
                author = "You" if message["role"] == "user" else message.get("model") or column.model
                parts.append(f"**{author}**\n\n{message['content']}\n")
        return "\n".join(parts)


def parse_conversation(content: bytes) -> Conversation:
    return Conversation.from_dict(json.loads(content))


def parse_message(record: Any) -> Message:
    if record["role"] not in ROLES or not isinstance(record["content"], str):
        raise ValueError("no message")
    return {key: str(record[key]) for key in ("role", "content", "model") if key in record}
