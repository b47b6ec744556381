"""Telling one's own processes from strangers that got the same pid later."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from pydantic import TypeAdapter

from core.common.home import Home
from core.common.json_records import Moment, Pid, read_record

ENGINE_FILE = "engine.json"  # in the home's processes/: where the engine says that it is there, from its first moment
# create_time() counts from the boot time, which shifts a little when the clock is set.
SAME_START_SECONDS = 2.0


@dataclass(frozen=True)
class Identity:
    """A process that can be recognised again: its pid and when it was started (seconds since the epoch)."""

    pid: Pid
    started: Moment

    @classmethod
    def own(cls) -> Identity:
        return cls.of(os.getpid())

    @classmethod
    def of(cls, pid: int) -> Identity:
        """Raises psutil.NoSuchProcess when there is none."""
        return cls(pid, psutil.Process(pid).create_time())

    @classmethod
    def running(cls, *words: str) -> Identity | None:
        """A living process whose command line has all of these words: where no record says any more who it is."""
        for process in psutil.process_iter(["cmdline", "status", "create_time"]):
            found = process.info["cmdline"] or ()
            if all(word in found for word in words) and process.info["status"] != psutil.STATUS_ZOMBIE:
                return cls(process.pid, process.info["create_time"])
        return None

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


@dataclass(frozen=True)
class Announced(Identity):
    """What a server says of itself while it lives, in processes/engine.json and web.json."""

    url: str = ""
    base: str = ""
    instance: str = ""
    settings: dict[str, Any] = field(default_factory=dict)  # the engine's
    foreign_engine: bool = False  # of the web process: another server is its engine

    @property
    def identity(self) -> Identity:
        return Identity(self.pid, self.started)


ANNOUNCED = TypeAdapter(Announced)


def announced(path: Path) -> Announced | None:
    """Who says in this file that it is there, alive or not. None where nobody does, or the file is damaged."""
    return read_record(path, ANNOUNCED)


def announced_engine(home: Home) -> Announced | None:
    """What the engine of this home says of itself, alive or not."""
    return announced(home.processes / ENGINE_FILE)
