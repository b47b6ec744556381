"""All runs as the page shows them. What a run's folder says is read again only when the folder has changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psutil

from adapters.common.errors import UserError
from core.common.home import Home
from core.coordination.chat_activity import ChatActivity
from core.recipes.recipe import Recipe
from core.training import queue
from core.training.events import Evaluation, Event, Progress
from core.training.phase import Phase, read_phase
from core.training.run import Run, Summary, list_statuses
from core.training.state import ACTIVE, AT_REST, RunState, Status

Signature = tuple[Any, ...]
Point = tuple[float, float]


@dataclass(frozen=True)
class RunSnapshot:
    """One run as it was when its folder had this signature. Points are (step, loss), each step once.

    recipe: None where it cannot be read, and `recipe_error` says why.
    """

    signature: Signature
    status: Status
    summary: Summary
    recipe: Recipe | None
    recipe_error: str
    events: tuple[Event, ...]
    training: tuple[Point, ...]
    evaluated: tuple[Point, ...]

    @property
    def id(self) -> str:
        return self.summary.id

    @property
    def state(self) -> RunState:
        return self.status.state

    @property
    def dataset(self) -> str:
        """Its dataset as people call it: a file of the studio by its folder."""
        return self.recipe.dataset_name.rsplit("/data.", 1)[0].rsplit("/", 1)[-1] if self.recipe else "–"


class RunCache:
    """Reads all runs of a home, for every browser that asks."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._snapshots: dict[str, RunSnapshot] = {}
        self._busy = ChatActivity(home)

    def runs(self) -> list[RunSnapshot]:
        """All runs, newest first."""
        found: dict[str, RunSnapshot] = {}
        for run, status in list_statuses(self.home):
            signature = signature_of(run)
            snapshot = self._snapshots.get(run.id)
            if snapshot is None or snapshot.signature != signature or snapshot.summary.stalled != run.stalled(status):
                snapshot = _read_run(run, signature)
            found[run.id] = snapshot
        self._snapshots = found
        return list(found.values())

    def queued_ids(self) -> list[str]:
        """Ids of the runs that wait, in the order in which they will start."""
        return [run.id for run in queue.list_queued(self.home)]

    def answers_in_progress(self) -> int:
        """How many answers the engine is writing; training waits for them."""
        return self._busy.answers()

    def phase_of(self, run: RunSnapshot | None) -> Phase | None:
        """What the worker of a run is doing at this moment."""
        return read_phase(Run(self.home.runs / run.id)) if run is not None and run.state in ACTIVE else None


def active_run(runs: list[RunSnapshot]) -> RunSnapshot | None:
    return next((run for run in runs if run.state in ACTIVE), None)


def last_ended_run(runs: list[RunSnapshot]) -> RunSnapshot | None:
    """The run that came to rest last; its time and state tell browsers that something has ended."""
    return max((run for run in runs if run.state in AT_REST), key=lambda run: run.status.since, default=None)


def worker_memory(status: Status) -> int | None:
    """Bytes that a run's worker has in memory, pages that it shares with the engine included; None without one."""
    if status.pid is None or status.state not in ACTIVE or not status.worker_lives():
        return None
    try:
        return int(psutil.Process(status.pid).memory_info().rss)
    except psutil.Error:
        return None


def signature_of(run: Run) -> Signature:
    """Changes whenever the run's folder has something new to show."""
    found = []
    for path in (run.state_file.path, run.events_path, run.recipe_path):
        try:
            stat = path.stat()
            found.append((stat.st_mtime_ns, stat.st_size))
        except OSError:  # damaged, and set aside when it is read
            found.append((0, 0))
    return tuple(found)


def _read_run(run: Run, signature: Signature) -> RunSnapshot:
    events = tuple(run.events()[0])
    # A resumed run has events of some steps twice: the later ones count.
    training: dict[float, float] = {}
    evaluated: dict[float, float] = {}
    for event in events:
        if isinstance(event, Progress):
            training[event.step] = event.loss
        elif isinstance(event, Evaluation):
            evaluated[event.step] = event.eval_loss
    recipe, recipe_error = None, ""
    try:
        recipe = run.recipe
    except UserError as error:
        recipe_error = error.message
    return RunSnapshot(
        signature,
        run.status(),
        run.summary(),
        recipe,
        recipe_error,
        events,
        tuple(sorted(training.items())),
        tuple(sorted(evaluated.items())),
    )
