"""Runs that wait for their turn: first come, first served, unless reordered. One trains at a time.

The queue is the set of runs in state queued, so it is as durable as they are; queue.json only holds their order. Any
process may advance it (the app does so every moment, a headless run while it waits): a lock lets one do it at a time.
"""

from __future__ import annotations

import json

from filelock import FileLock

from adapters.files import write_atomic
from core.errors import UserError
from core.home import Home
from core.training.control import resume, start_worker
from core.training.run import Run, list_runs
from core.training.state import ACTIVE, RunState


def waiting(home: Home) -> list[Run]:
    """Queued runs in the order in which they will start."""
    queued = {run.id: run for run in reversed(list_runs(home)) if run.state() is RunState.QUEUED}
    ordered = [run_id for run_id in _order(home) if run_id in queued]
    newcomers = sorted((run_id for run_id in queued if run_id not in ordered), key=lambda each: _since(queued[each]))
    return [queued[run_id] for run_id in (*ordered, *newcomers)]


def advance(home: Home, *, torch_threads: int | None = 1, engine_there: bool = True) -> Run | None:
    """Start the next run if none trains, and return it. Runs that were cut off and resume by themselves go first.

    Cheap enough to be called every second. See control.start_worker for torch_threads. engine_there: where it is not,
    but will be, runs that ended with it wait for it.
    """
    with _lock(home):
        runs = list_runs(home)
        statuses = {run.id: run.status() for run in runs}
        if any(status.state in ACTIVE for status in statuses.values()):
            return None
        for run in runs:
            status = statuses[run.id]
            wait = status.waits_for_engine and not engine_there
            if status.state is RunState.INTERRUPTED and status.resumes_itself and not wait:
                resume(run, "Resumed by itself.", by_itself=True)
                _write(home, [run.id, *(each.id for each in waiting(home) if each.id != run.id)])
        for run in waiting(home)[:1]:
            start_worker(run, torch_threads=torch_threads)
            return run
    return None


def reorder(run: Run, position: int) -> None:
    """Move a queued run to `position` (0 is next). Raises UserError when it does not wait."""
    home = run.home
    with _lock(home):
        ids = [each.id for each in waiting(home)]
        if run.id not in ids:
            raise UserError(f"The run {run.id} is {run.state()}.", "Only a queued run can be moved.")
        ids.remove(run.id)
        ids.insert(max(0, position), run.id)
        _write(home, ids)


def _since(run: Run) -> float:
    return run.status().since


def _order(home: Home) -> list[str]:
    try:
        return [str(each) for each in json.loads((home.runs / "queue.json").read_bytes())]
    except (FileNotFoundError, ValueError):
        return []


def _write(home: Home, ids: list[str]) -> None:
    write_atomic(home.runs / "queue.json", json.dumps(ids))


def _lock(home: Home) -> FileLock:
    return FileLock(str(home.processes / "queue.lock"))
