"""Chat first: the engine says that it is answering, the trainer lets it. Through a file of 16 bytes.

Saying so costs the engine one system call per decode step, and asking costs the trainer one per micro-step. Neither
ever waits for a process that has died: what was said is forgotten after FRESH_SECONDS. The file is not mapped into
memory: where the disk has no room for it, or somebody has cut it off, a mapped page would end the process by SIGBUS.
"""

from __future__ import annotations

import os
import struct
import time
import weakref
from collections.abc import Callable
from contextlib import suppress

from adapters.common.damaged_files import plain
from core.common.home import Home

FRESH_SECONDS = 1.0  # an engine that has said nothing for longer has died, or is stuck in one very long prefill
NAP_SECONDS = 0.005
LONGEST_WAIT = 5.0  # seconds in one go, however long the trainer worked before
_LAYOUT = struct.Struct("=qq")  # (when, in nanoseconds of CLOCK_MONOTONIC, which all processes share; rows in progress)


class ChatActivity:
    """How many answers the engine is working on, shared by way of a file in the home's processes folder."""

    def __init__(self, home: Home) -> None:
        self._path = home.processes / "chat_busy"
        self._opened: int | None = None

    def mark(self, rows: int) -> None:
        """The engine: called with each decode step, and with 0 when the last answer is finished."""
        with suppress(OSError):  # on a full disk training does not wait, and the chat goes on
            os.pwrite(self._descriptor(), _LAYOUT.pack(time.monotonic_ns(), rows), 0)

    def rows(self) -> int:
        """Answers in progress; 0 when the engine has not said so lately."""
        try:
            said = os.pread(self._descriptor(), _LAYOUT.size, 0)
        except OSError:
            return 0
        if len(said) < _LAYOUT.size:
            return 0
        when, rows = _LAYOUT.unpack(said)
        # After a reboot the clock begins anew, and an old mark may lie in its future.
        age = time.monotonic_ns() - when
        return rows if 0 <= age < FRESH_SECONDS * 1e9 else 0

    def _descriptor(self) -> int:
        """Raises OSError where the file cannot be made for now."""
        if self._opened is None:
            self._opened = os.open(plain(self._path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            weakref.finalize(self, os.close, self._opened)
        return self._opened


class Turns:
    """The trainer's side: call it before each micro-step, and it waits while answers are being written.

    share: the part of the time that training gets at least, so that it ends however much is chatted. After a
    micro-step of t seconds it waits t · (1 - share) / share seconds at most. give_up: asked while waiting; where it
    says yes the wait is over (a signal has come).
    """

    def __init__(self, busy: ChatActivity, share: float = 0.25, give_up: Callable[[], bool] = lambda: False) -> None:
        self._busy = busy
        self._patience = (1 - share) / share
        self._give_up = give_up
        self._resumed = time.monotonic()
        self.waited = 0.0  # seconds in all

    def __call__(self) -> None:
        if not self._busy.rows():
            self._resumed = time.monotonic()
            return
        began = time.monotonic()
        until = began + min(LONGEST_WAIT, (began - self._resumed) * self._patience)
        while self._busy.rows() and time.monotonic() < until and not self._give_up():
            time.sleep(NAP_SECONDS)
        self._resumed = time.monotonic()
        self.waited += self._resumed - began
