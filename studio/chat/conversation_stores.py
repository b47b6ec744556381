"""Where conversations are saved: one JSON file each in the home folder, or all of them in a visitor's own browser."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

from adapters.common import damaged_files
from adapters.common.errors import UserError
from adapters.common.files import write_atomic
from core.common.home import Home
from studio.chat.conversations import ID, Conversation, parse_conversation

MAX_BROWSER_BYTES = 1 << 20  # a browser keeps about 5 MB for a site, and this travels with every save


class ConversationStore(Protocol):
    """Where somebody's conversations are."""

    def all(self) -> list[Conversation]: ...
    def put(self, conversation: Conversation) -> None: ...
    def delete(self, conversation_id: str) -> None: ...
    def count_damaged(self) -> int: ...


def find_conversation(store: ConversationStore, conversation_id: str | None) -> Conversation:
    """Raises UserError when it is not there (any more)."""
    for conversation in store.all():
        if conversation.id == conversation_id:
            return conversation
    raise UserError("This conversation is not there any more.", "Choose another one, or begin a new chat.")


def save_conversation(store: ConversationStore, conversation: Conversation) -> Conversation:
    """Put it into the store under the name that it has there already."""
    earlier = next((saved for saved in store.all() if saved.id == conversation.id), None)
    named = replace(conversation, name=earlier.name) if earlier else conversation
    store.put(named)
    return named


class DiskStore:
    """conversations/<id>.json in the home folder; each file is replaced as a whole.

    trouble: why the last conversation could not be written. It is held in memory until it can be.
    """

    _read: ClassVar[dict[Path, tuple[int, Conversation]]] = {}  # with the file's modification time
    _held: ClassVar[dict[Path, Conversation]] = {}  # what could not be written

    def __init__(self, home: Home) -> None:
        self.folder = home.root / "conversations"
        self.trouble = ""

    def all(self) -> list[Conversation]:
        """The newest first. A file that is no conversation is set aside."""
        held = {path: conversation for path, conversation in self._held.items() if path.parent == self.folder}
        conversations = list(held.values())
        for path in self.folder.glob("*.json"):
            if path in held:
                continue
            try:
                changed = path.lstat().st_mtime_ns
            except FileNotFoundError:
                continue
            cached = self._read.get(path)
            if cached is None or cached[0] != changed:
                if (conversation := damaged_files.read(path, parse_conversation)) is None:
                    continue
                self._read[path] = cached = changed, conversation
            conversations.append(cached[1])
        return newest_first(conversations)

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
        for path in [held for held in self._held if held.parent == self.folder]:
            self._write(path)

    def delete(self, conversation_id: str) -> None:
        if ID.fullmatch(conversation_id):
            path = self.folder / f"{conversation_id}.json"
            self._held.pop(path, None)
            path.unlink(missing_ok=True)

    def count_damaged(self) -> int:
        return sum(1 for _ in damaged_files.find_damaged(self.folder))

    def _write(self, path: Path) -> OSError | None:
        conversation = self._held.get(path)
        if conversation is None:
            return None
        try:
            damaged_files.ensure_folder(self.folder)
            write_atomic(path, conversation.as_json())
        except OSError as error:
            return error
        if self._held.get(path) is conversation:  # else a newer one has come meanwhile
            del self._held[path]
        return None


class BrowserStore:
    """Conversations that only the visitor's browser keeps.

    records: what the browser is to keep. dropped: how many no longer found room.
    """

    def __init__(self, records: Any) -> None:
        self.records: list[dict[str, Any]] = list(records) if isinstance(records, list) else []
        self.dropped = 0

    def all(self) -> list[Conversation]:
        conversations = []
        for record in self.records:
            try:
                conversations.append(Conversation.from_dict(record))
            except ValueError:
                continue
        return newest_first(conversations)

    def put(self, conversation: Conversation) -> None:
        others = [other for other in self.all() if other.id != conversation.id]
        records = [kept.to_dict() for kept in [conversation, *others]]
        sizes = [len(json.dumps(record)) for record in records]
        while len(records) > 1 and sum(sizes) > MAX_BROWSER_BYTES:
            records.pop()
            sizes.pop()
            self.dropped += 1
        self.records = records

    def delete(self, conversation_id: str) -> None:
        self.records = [kept.to_dict() for kept in self.all() if kept.id != conversation_id]

    def count_damaged(self) -> int:
        return 0


def newest_first(conversations: Sequence[Conversation]) -> list[Conversation]:
    return sorted(conversations, key=lambda conversation: conversation.updated, reverse=True)
