"""Telling one's own processes from strangers that got the same pid later."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import psutil

# create_time() counts from the boot time, which shifts a little when the clock is set.
SAME_START_SECONDS = 2.0


@dataclass(frozen=True)
class Identity:
    """A process that can be recognised again: its pid and when it was started (seconds since the epoch)."""

    pid: int
    started: float

    @classmethod
    def own(cls) -> Identity:
        return cls.of(os.getpid())

    @classmethod
    def of(cls, pid: int) -> Identity:
        """Raises psutil.NoSuchProcess when there is none."""
        return cls(pid, psutil.Process(pid).create_time())

    @classmethod
    def read(cls, record: dict[str, Any]) -> Identity | None:
        """The identity within a record that has `pid` and `started`, or None when it has not."""
        pid, started = record.get("pid"), record.get("started")
        return cls(pid, started) if isinstance(pid, int) and isinstance(started, (int, float)) else None

    def alive(self) -> bool:
        """Whether that very process still runs. A zombie (dead, not yet waited for) is not alive."""
        try:
            process = psutil.Process(self.pid)
            return (
                abs(process.create_time() - self.started) < SAME_START_SECONDS
                and process.status() != psutil.STATUS_ZOMBIE
            )
        except psutil.Error:
            return False

    def signal(self, number: int) -> bool:
        """Send a signal to that very process. False when it is gone."""
        if not self.alive():
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True
