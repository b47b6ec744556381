"""The base's own tokenizer for the page, in a process that starts when it is first needed and ends when idle."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import Any

from adapters.common.damaged_files import ensure_plain
from adapters.common.errors import UserError
from core.common.home import Home
from core.data import Conversation
from core.models.base import name_of


class TokenizerProcess:
    """Speaks with `python -m core.models.tokenizer_worker`. Its methods block, so call them from a thread."""

    def __init__(self, home: Home, base: str) -> None:
        self.base, self.name = base, name_of(base)
        self._log = home.processes / "tokenizer.log"
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def count(self, conversations: list[Conversation]) -> list[list[tuple[int, int, int]] | None]:
        """Of each training row that a conversation becomes: its tokens, how many are trained, and where the first of
        these stands (from 0). None for a conversation that the base's template refuses."""
        rows = self._ask({"count": [conversation.to_dict() for conversation in conversations]})["rows"]
        return [
            conversation_rows if conversation_rows is None else [tuple(row) for row in conversation_rows]
            for conversation_rows in rows
        ]

    def view(self, conversation: Conversation) -> list[list[tuple[str, int, bool, bool]]]:
        """(text, id, trained, special) of each token, row by row. Raises UserError where the template refuses it."""
        rows = self._ask({"view": conversation.to_dict()})["rows"]
        return [[tuple(token) for token in row] for row in rows]

    def close(self) -> None:
        """End the process, which would otherwise wait for more until it is idle for long."""
        if self._process is not None:
            self._process.communicate()

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            line = self._exchange(question)
            if not line:  # it was idle and had just ended, or it failed; a new one tells which
                self._process = None
                line = self._exchange(question)
        if not line:
            raise UserError(f"The tokenizer of {self.name} ended unexpectedly.", f"See {self._log}.")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise UserError(*answer["error"])
        return answer

    def _exchange(self, question: dict[str, Any]) -> str:
        """The answer's line, or "" when the process ends instead of answering. Raises UserError if it can't start."""
        process = self._process if self._process is not None and self.running else self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(question) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            return ""
        return process.stdout.readline()

    def _start(self) -> subprocess.Popen[str]:
        with ensure_plain(self._log).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "core.models.tokenizer_worker", self.base],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
            )
        assert process.stdout is not None
        first = json.loads(process.stdout.readline() or "{}")
        if "ready" not in first:
            process.wait()
            raise UserError(*first.get("error", (f"The tokenizer of {self.name} did not start.", f"See {self._log}.")))
        self._process = process
        return process
