"""Conversations kept: one JSON file each in the home folder, or all of them in a visitor's own browser."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Protocol

from adapters.common import damaged_files
from adapters.common.errors import UserError
from adapters.common.files import write_atomic
from core.common.home import Home
from studio.answers.history import History, add_question, model_of, text_of, with_answer
from studio.engine.client import Message

ID = re.compile(r"[0-9a-f]{12}")
NAME_LENGTH = 60
BROWSER_BYTES = 1 << 20  # a browser keeps about 5 MB for a site, and this travels with every save
ROLES = ("user", "assistant")


@dataclass(frozen=True)
class Column:
    """What one column held. model: what was chosen there. messages: role, content, and for answers who gave them."""

    model: str
    messages: tuple[Message, ...]

    @classmethod
    def of(cls, chosen: str, history: History | None) -> Column:
        messages = []
        for each in history or []:
            message = {"role": str(each["role"]), "content": text_of(each["content"])}
            if model := model_of(each):
                message["model"] = model
            messages.append(message)
        return cls(chosen, tuple(messages))

    def history(self) -> History:
        shown: History = []
        for each in self.messages:
            if each["role"] == "user":
                shown = add_question(shown, each["content"])
            else:
                shown = with_answer(shown, each["content"], each.get("model", ""))
        return shown


@dataclass(frozen=True)
class Conversation:
    id: str
    columns: tuple[Column, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    updated: str = ""

    @classmethod
    def new(cls, columns: Iterable[Column], settings: dict[str, Any], known: str = "") -> Conversation:
        """As it stands now. `known`: the id that it has already."""
        identity = known if ID.fullmatch(known) else uuid.uuid4().hex[:12]
        return cls(identity, tuple(columns), settings, "", datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def title(self) -> str:
        """Its name, or else its first question."""
        if self.name:
            return self.name
        asked = next((each["content"] for column in self.columns for each in column.messages), "")
        line = " ".join(asked.split())
        return line if len(line) <= NAME_LENGTH else line[: NAME_LENGTH - 1] + "…"

    def has(self, words: str) -> bool:
        """Whether all of `words` occur in its title or in what was said."""
        wanted = set(words.casefold().split())
        if not wanted:
            return True
        said = "\n".join([self.title, *[each["content"] for column in self.columns for each in column.messages]])
        said = said.casefold()
        return all(word in said for word in wanted)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Any) -> Conversation:
        """Raises ValueError for what is no conversation: it may come from a browser, or have been edited by hand."""
        try:
            columns = tuple(
                Column(str(column["model"]), tuple(message_of(each) for each in column["messages"]))
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
            for each in column.messages:
                who = "You" if each["role"] == "user" else each.get("model") or column.model
                parts.append(f"**{who}**\n\n{each['content']}\n")
        return "\n".join(parts)


def understood(content: bytes) -> Conversation:
    return Conversation.from_dict(json.loads(content))


def message_of(each: Any) -> Message:
    if each["role"] not in ROLES or not isinstance(each["content"], str):
        raise ValueError("no message")
    return {key: str(each[key]) for key in ("role", "content", "model") if key in each}


class Shelf(Protocol):
    """Where somebody's conversations are. `kept` is what the browser is to remember of them."""

    def all(self) -> list[Conversation]: ...
    def put(self, conversation: Conversation) -> None: ...
    def delete(self, identity: str) -> None: ...


def find(shelf: Shelf, identity: str | None) -> Conversation:
    """Raises UserError when it is not there (any more)."""
    for each in shelf.all():
        if each.id == identity:
            return each
    raise UserError("This conversation is not there any more.", "Choose another one, or begin a new chat.")


def keep(shelf: Shelf, conversation: Conversation) -> Conversation:
    """Put it on the shelf under the name it has there already."""
    known = next((each for each in shelf.all() if each.id == conversation.id), None)
    named = replace(conversation, name=known.name) if known else conversation
    shelf.put(named)
    return named


class OnDisk:
    """conversations/<id>.json in the home folder; each file is replaced as a whole.

    trouble: why what was just put could not be written. It is held in memory until it can be.
    """

    _read: ClassVar[dict[Path, tuple[int, Conversation]]] = {}  # what was read at which modification time
    _held: ClassVar[dict[Path, Conversation]] = {}  # what could not be written

    def __init__(self, home: Home) -> None:
        self.folder = home.root / "conversations"
        self.trouble = ""

    def all(self) -> list[Conversation]:
        """The newest first. A file that is no conversation is set aside."""
        held = {path: each for path, each in self._held.items() if path.parent == self.folder}
        found = list(held.values())
        for path in self.folder.glob("*.json"):
            if path in held:
                continue
            try:
                changed = path.lstat().st_mtime_ns
            except FileNotFoundError:
                continue
            known = self._read.get(path)
            if known is None or known[0] != changed:
                if (conversation := damaged_files.read(path, understood)) is None:
                    continue
                self._read[path] = known = changed, conversation
            found.append(known[1])
        return newest_first(found)

    def put(self, conversation: Conversation) -> None:
        path = self.folder / f"{conversation.id}.json"
        self._held[path] = conversation
        if error := self._write(path):
            self.trouble = (
                f"The conversation could not be kept in {self.folder}: {error.strerror}. Free some disk space. Until "
                "then it is in this studio's memory, and is kept by itself once there is room."
            )

    def write_held(self) -> None:
        """Write what could not be written before, as far as there is room now."""
        for path in [each for each in self._held if each.parent == self.folder]:
            self._write(path)

    def delete(self, identity: str) -> None:
        if ID.fullmatch(identity):
            self._held.pop(self.folder / f"{identity}.json", None)
            (self.folder / f"{identity}.json").unlink(missing_ok=True)

    def _write(self, path: Path) -> OSError | None:
        conversation = self._held.get(path)
        if conversation is None:
            return None
        try:
            damaged_files.folder(self.folder)
            write_atomic(path, conversation.as_json())
        except OSError as error:
            return error
        if self._held.get(path) is conversation:  # else a newer one has come meanwhile
            del self._held[path]
        return None


class InBrowser:
    """A list of conversations that only the visitor's browser keeps. `dropped` counts what no longer found room."""

    def __init__(self, kept: Any) -> None:
        self.kept: list[dict[str, Any]] = list(kept) if isinstance(kept, list) else []
        self.dropped = 0

    def all(self) -> list[Conversation]:
        found = []
        for record in self.kept:
            try:
                found.append(Conversation.from_dict(record))
            except ValueError:
                continue
        return newest_first(found)

    def put(self, conversation: Conversation) -> None:
        others = [each for each in self.all() if each.id != conversation.id]
        records = [each.to_dict() for each in [conversation, *others]]
        sizes = [len(json.dumps(each)) for each in records]
        while len(records) > 1 and sum(sizes) > BROWSER_BYTES:
            records.pop()
            sizes.pop()
            self.dropped += 1
        self.kept = records

    def delete(self, identity: str) -> None:
        self.kept = [each.to_dict() for each in self.all() if each.id != identity]


def newest_first(found: Sequence[Conversation]) -> list[Conversation]:
    return sorted(found, key=lambda each: each.updated, reverse=True)
