"""Chat first: the engine says that it is answering, the trainer lets it. Through memory that both have mapped.

Saying so costs the engine one small write per decode step, and asking costs the trainer one read per micro-step; no
system call either way. Neither ever waits for a process that has died: what was said is forgotten after FRESH_SECONDS.
"""

from __future__ import annotations

import mmap
import struct
import time
from collections.abc import Callable

from core.home import Home

FRESH_SECONDS = 1.0  # an engine that has said nothing for longer has died, or is stuck in one very long prefill
NAP_SECONDS = 0.005
LONGEST_WAIT = 5.0  # seconds in one go, however long the trainer worked before
_LAYOUT = struct.Struct("=qq")  # (when, in nanoseconds of CLOCK_MONOTONIC, which all processes share; rows in progress)


class Busy:
    """How many answers the engine is working on, shared by way of a file in the home's processes folder."""

    def __init__(self, home: Home) -> None:
        path = home.processes / "chat_busy"
        with path.open("a+b") as file:
            if file.tell() < _LAYOUT.size:
                file.truncate(_LAYOUT.size)
            self._memory = mmap.mmap(file.fileno(), _LAYOUT.size)

    def mark(self, rows: int) -> None:
        """The engine: called with each decode step, and with 0 when the last answer is finished."""
        _LAYOUT.pack_into(self._memory, 0, time.monotonic_ns(), rows)

    def rows(self) -> int:
        """Answers in progress; 0 when the engine has not said so lately."""
        when, rows = _LAYOUT.unpack_from(self._memory, 0)
        # After a reboot the clock begins anew, and an old mark may lie in its future.
        age = time.monotonic_ns() - when
        return rows if 0 <= age < FRESH_SECONDS * 1e9 else 0


class Turns:
    """The trainer's side: call it before each micro-step, and it waits while answers are being written.

    share: the part of the time that training gets at least, so that it ends however much is chatted. After a
    micro-step of t seconds it waits t · (1 - share) / share seconds at most. give_up: asked while waiting; where it
    says yes the wait is over (a signal has come).
    """

    def __init__(self, busy: Busy, share: float = 0.25, give_up: Callable[[], bool] = lambda: False) -> None:
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
