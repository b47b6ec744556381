"""How many answers the engine is writing, shared with the trainer through a file of 16 bytes.

A report costs the engine one system call per decode step, and reading it costs the trainer one per micro-step. Neither
ever waits for a process that has died: a report expires after FRESH_SECONDS. The file is not mapped into memory: on a
full disk, or when somebody truncates it, a mapped page would end the process by SIGBUS.
"""

from __future__ import annotations

import os
import struct
import time
import weakref
from contextlib import suppress

from adapters.common.damaged_files import ensure_plain
from core.common.home import Home

FRESH_SECONDS = 1.0  # an engine that has reported nothing for longer has died, or is in one very long prefill
_LAYOUT = struct.Struct("=qq")  # (nanoseconds of CLOCK_MONOTONIC, which all processes share; answers in progress)


class ChatActivity:
    """How many answers the engine is writing, in a file of the home's processes folder."""

    def __init__(self, home: Home) -> None:
        self._path = home.processes / "chat_busy"
        self._fd: int | None = None

    def report(self, answers: int) -> None:
        """The engine calls this with each decode step, and with 0 when the last answer is finished."""
        with suppress(OSError):  # on a full disk training does not wait, and the chat goes on
            os.pwrite(self._descriptor(), _LAYOUT.pack(time.monotonic_ns(), answers), 0)

    def answers(self) -> int:
        """Answers in progress; 0 when the last report is too old."""
        try:
            report = os.pread(self._descriptor(), _LAYOUT.size, 0)
        except OSError:
            return 0
        if len(report) < _LAYOUT.size:
            return 0
        reported_at, answers = _LAYOUT.unpack(report)
        # After a reboot the clock starts again, and an old report may lie in its future.
        age = time.monotonic_ns() - reported_at
        return int(answers) if 0 <= age < FRESH_SECONDS * 1e9 else 0

    def _descriptor(self) -> int:
        """Raises OSError when the file cannot be created."""
        if self._fd is None:
            self._fd = os.open(ensure_plain(self._path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            weakref.finalize(self, os.close, self._fd)
        return self._fd
