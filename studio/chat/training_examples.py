"""Training examples from the chat: a dataset named "collected", which grows by one conversation at a time."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from adapters.common import damaged_files
from adapters.common.errors import UserError
from adapters.common.files import write_atomic
from core.common.home import Home
from core.common.json_records import lines_of
from core.data.store import COLLECTED
from studio.engine.client import Message

_write_lock = threading.Lock()  # one web process per home folder, so this is enough


def path(home: Home) -> Path:
    return home.datasets / COLLECTED / "data.jsonl"


def last_exchange(messages: list[Message], answer: str, *, whole: bool) -> list[Message]:
    """The training example that a conversation gives: its last question, and `answer` in place of the model's.

    A system prompt stays; `whole` keeps the turns in between too. Raises UserError where there is nothing to keep.
    """
    if len(messages) < 2 or [message["role"] for message in messages[-2:]] != ["user", "assistant"]:
        raise UserError("There is no answer to keep in this column.", "Ask something, and wait for the answer.")
    if not answer.strip():
        raise UserError("The answer is empty, so nothing could be learnt from it.", "Write what it should say.")
    system_prompt = [message for message in messages[:1] if message["role"] == "system"]
    before = messages[:-1] if whole else system_prompt + messages[-2:-1]
    return [*before, {"role": "assistant", "content": answer.strip()}]


def add(home: Home, messages: list[Message]) -> tuple[int, bool]:
    """Append one conversation. Returns how many there are now, and whether it is new.

    The file is replaced as a whole, so that a crash leaves either the old or the new one. Raises UserError when it
    cannot be written.
    """
    line = json.dumps({"messages": messages}, ensure_ascii=False).encode()
    file = path(home)
    try:
        with _write_lock:
            damaged_files.ensure_folder(file.parent)
            lines = lines_of(file)
            if line in lines:
                return len(lines), False
            lines.append(line)
            write_atomic(file, b"\n".join(lines) + b"\n")
    except OSError as error:
        raise UserError(
            f"The answer could not be kept in {file}: {error.strerror}.", "Free some disk space, then keep it again."
        ) from error
    return len(lines), True
