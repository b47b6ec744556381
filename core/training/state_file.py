"""The file that says where a run stands. Imports nothing heavy."""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from filelock import FileLock
from pydantic import TypeAdapter

from adapters.common.damaged_files import ensure_plain
from adapters.common.files import no_room, write_atomic
from core.common.json_records import read_record
from core.training.rebuild_state import is_run_folder, rebuild_status
from core.training.state import MAY_FOLLOW, RunState, Status, Transition

STATUS = TypeAdapter(Status)


class StateFile:
    """Reads and writes one run's state.json. Every change happens under a lock between processes and is atomic."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "state.json"
        self._lock = FileLock(ensure_plain(folder / ".state.lock"))

    def read(self) -> Status:
        """Where a damaged file was set aside, or one is missing, it is made anew from what else the folder tells.

        Raises FileNotFoundError where there is no run.
        """
        status = read_record(self.path, STATUS)
        return status if status is not None else self._made_anew()

    def _made_anew(self) -> Status:
        if not is_run_folder(self.path.parent):
            raise FileNotFoundError(errno.ENOENT, "there is no run", str(self.path.parent))
        with self._lock:
            status = read_record(self.path, STATUS)  # another process may just have done it
            if status is None:
                status = rebuild_status(self.path.parent)
                try:
                    self._write(status)
                except OSError as error:
                    if not no_room(error):
                        raise
        return status

    def create(self, reason: str) -> None:
        self._write(Status(timeline=(Transition(RunState.QUEUED, time.time(), reason),)))

    @contextmanager
    def locked(self) -> Iterator[Change]:
        """Hold the lock over reading, deciding and writing."""
        with self._lock:
            yield Change(self, self.read())

    def _write(self, status: Status) -> None:
        write_atomic(self.path, json.dumps(asdict(status), indent=1, ensure_ascii=False))


class Change:
    """The status as it is while the lock is held, and the ways to change it."""

    def __init__(self, file: StateFile, status: Status) -> None:
        self._file = file
        self.status = status

    def move(self, state: RunState, reason: str = "", **fields: Any) -> Status:
        """Go to `state`. Raises ValueError where that may not follow: a bug in the caller, never a person's doing."""
        if state not in MAY_FOLLOW[self.status.state]:
            raise ValueError(f"a run can't go from {self.status.state} to {state}")
        timeline = (*self.status.timeline, Transition(state, time.time(), reason))
        return self.set(timeline=timeline, **fields)

    def set(self, **fields: Any) -> Status:
        self.status = replace(self.status, **fields)
        self._file._write(self.status)
        return self.status
