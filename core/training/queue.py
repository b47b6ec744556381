"""Runs that wait for their turn: first come, first served, unless reordered. One trains at a time.

The queue is the set of runs in state queued, so it is as durable as they are; queue.json only holds their order. Any
process may advance it (the app does so every moment, a headless run while it waits): a lock lets one do it at a time.
"""

from __future__ import annotations

import json
import logging

from filelock import FileLock
from pydantic import TypeAdapter

from adapters.common.damaged_files import ensure_plain
from adapters.common.errors import UserError
from adapters.common.files import no_room, write_atomic
from core.common.home import Home
from core.common.json_records import read_record
from core.training.launcher import resume_run, start_worker
from core.training.run import Run, list_statuses
from core.training.state import ACTIVE, RunState

logger = logging.getLogger(__name__)
ORDER = TypeAdapter(list[str])


def list_queued(home: Home) -> list[Run]:
    """Queued runs in the order in which they will start."""
    queued = {run.id: (run, status) for run, status in reversed(list_statuses(home)) if status.state is RunState.QUEUED}
    ordered = [run_id for run_id in dict.fromkeys(_order(home)) if run_id in queued]
    unordered = [run_id for run_id in queued if run_id not in ordered]
    newcomers = sorted(unordered, key=lambda run_id: queued[run_id][1].since)
    return [queued[run_id][0] for run_id in (*ordered, *newcomers)]


def start_next(home: Home, *, engine_available: bool = True) -> Run | None:
    """Start the next run if none trains, and return it. Runs that were cut off and resume by themselves go first.

    Cheap enough to be called every second. engine_available: False while the engine is yet to come, for which runs wait
    that ended with the last one.
    """
    with _lock(home):
        known = list_statuses(home)
        if any(status.state in ACTIVE for _, status in known):
            return None
        for run, status in known:
            wait = status.waits_for_engine and not engine_available
            if status.state is RunState.INTERRUPTED and status.resumes_itself and not wait:
                resume_run(run, "Resumed by itself.", by_itself=True)
                _write(home, [run.id, *(other.id for other in list_queued(home) if other.id != run.id)])
        for run in list_queued(home):
            try:
                start_worker(run)
                return run
            except OSError as error:
                if no_room(error):
                    raise
                logger.exception("the run %s could not be started", run.id)
                run.move(RunState.FAILED, f"The run could not be started: {error.strerror or error}.")
    return None


def move_queued(run: Run, position: int) -> None:
    """Move a queued run to `position` (0 is next). Raises UserError when it does not wait."""
    home = run.home
    with _lock(home):
        ids = [queued.id for queued in list_queued(home)]
        if run.id not in ids:
            raise UserError(f"The run {run.id} is {run.state()}.", "Only a queued run can be moved.")
        ids.remove(run.id)
        ids.insert(max(0, position), run.id)
        _write(home, ids)


def _order(home: Home) -> list[str]:
    return read_record(home.runs / "queue.json", ORDER) or []


def _write(home: Home, ids: list[str]) -> None:
    write_atomic(home.runs / "queue.json", json.dumps(ids))


def _lock(home: Home) -> FileLock:
    return FileLock(ensure_plain(home.processes / "queue.lock"))
