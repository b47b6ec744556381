"""Where a run stands: its states, which may follow which, and the file that says so. Imports nothing heavy."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from filelock import FileLock

from adapters.files import write_atomic
from core.process import Identity


class RunState(StrEnum):
    QUEUED = "queued"
    PREPARING = "preparing"
    TRAINING = "training"
    STOPPING = "stopping"
    SAVING = "saving"
    DONE = "done"
    STOPPED = "stopped"  # ended early on request; its adapter was kept if anything had been learnt
    INTERRUPTED = "interrupted"  # paused, or its worker was killed; goes on from its last checkpoint
    FAILED = "failed"


Q, P, T, X, S = RunState.QUEUED, RunState.PREPARING, RunState.TRAINING, RunState.STOPPING, RunState.SAVING
DONE, STOPPED, INTERRUPTED, FAILED = RunState.DONE, RunState.STOPPED, RunState.INTERRUPTED, RunState.FAILED

ACTIVE = frozenset({P, T, X, S})  # a worker is at it
AT_REST = frozenset({DONE, STOPPED, INTERRUPTED, FAILED})  # can be taken up again: goes to QUEUED
MAY_FOLLOW: dict[RunState, frozenset[RunState]] = {
    Q: frozenset({P, STOPPED, FAILED}),
    P: frozenset({T, X, S, STOPPED, INTERRUPTED, FAILED}),
    T: frozenset({P, X, S, INTERRUPTED, FAILED}),  # back to P: the worker starts itself anew with a smaller batch
    X: frozenset({S, STOPPED, INTERRUPTED, FAILED}),
    S: frozenset({DONE, STOPPED, INTERRUPTED, FAILED}),
    **dict.fromkeys(AT_REST, frozenset({Q})),
}


@dataclass(frozen=True)
class Transition:
    state: RunState
    at: float  # seconds since the epoch
    reason: str


@dataclass(frozen=True)
class Status:
    """A run's state.json. The timeline's last entry is where it stands.

    pid, started: the worker's process, see core.process. adapter: name in the store once there is one.
    resumes_itself: an interrupted run goes on without being asked. attempts, resumed_from: how many workers in a row
    began from that same step; a run that dies again and again without getting further must not be started for ever.
    waits_for_engine: it resumes by itself once there is an engine again.
    """

    timeline: tuple[Transition, ...]
    pid: int | None = None
    started: float | None = None
    adapter: str | None = None
    resumes_itself: bool = False
    attempts: int = 0
    resumed_from: int = 0
    waits_for_engine: bool = False

    @property
    def state(self) -> RunState:
        return self.timeline[-1].state

    @property
    def reason(self) -> str:
        return self.timeline[-1].reason

    @property
    def since(self) -> float:
        return self.timeline[-1].at

    @property
    def worker(self) -> Identity | None:
        return Identity(self.pid, self.started) if self.pid is not None and self.started is not None else None

    def worker_lives(self) -> bool:
        return self.worker is not None and self.worker.alive()

    def signal(self, number: int) -> bool:
        """Send a signal to the worker, and to no stranger with its pid. False when it is gone."""
        return self.worker is not None and self.worker.signal(number)

    @property
    def created(self) -> float:
        return self.timeline[0].at


class StateFile:
    """Reads and writes one run's state.json. Every change happens under a lock between processes and is atomic."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "state.json"
        self._lock = FileLock(str(folder / ".state.lock"))

    def read(self) -> Status:
        """Raises FileNotFoundError where there is no run."""
        values: dict[str, Any] = json.loads(self.path.read_bytes())
        timeline = tuple(
            Transition(RunState(each["state"]), each["at"], each["reason"]) for each in values.pop("timeline")
        )
        return Status(timeline=timeline, **values)

    def create(self, reason: str) -> None:
        self._write(Status(timeline=(Transition(RunState.QUEUED, time.time(), reason),)))

    @contextmanager
    def changing(self) -> Iterator[Change]:
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
