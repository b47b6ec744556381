"""Where a run stands: its states, and which may follow which. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from core.common.json_records import Count, Moment, Pid
from core.common.process import Identity


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
    at: Moment  # seconds since the epoch
    reason: str


@dataclass(frozen=True)
class Status:
    """A run's state.json. The timeline's last entry is where it stands.

    pid, started: the worker's process, see core.common.process. adapter: name in the store once there is one.
    resumes_itself: an interrupted run goes on without being asked. attempts, resumed_from: how many workers in a row
    began from that same step; a run that dies again and again without getting further must not be started for ever.
    waits_for_engine: it resumes by itself once there is an engine again.
    """

    timeline: Annotated[tuple[Transition, ...], Field(min_length=1)]
    pid: Pid | None = None
    started: Moment | None = None
    adapter: str | None = None
    resumes_itself: bool = False
    attempts: Count = 0
    resumed_from: Count = 0
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
