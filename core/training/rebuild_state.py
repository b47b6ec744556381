"""Where a run stands when its state.json is gone or damaged: as far as its events and its processes tell."""

from __future__ import annotations

from pathlib import Path

from adapters.common import damaged_files
from core.common.process import Identity
from core.training.events import Done, StateChanged, read_events
from core.training.state import ACTIVE, AT_REST, RunState, Status, Transition

STATES = frozenset(RunState)
RUN_FILES = ("state.json", "recipe.yaml", "events.jsonl")  # a damaged one that is set aside has a name that begins so


def rebuild_status(folder: Path) -> Status:
    """The state of the last event where it is one at rest; otherwise the run is interrupted and can be resumed, unless
    its worker is found alive."""
    events, _ = read_events(folder / "events.jsonl")
    changes = [event for event in events if isinstance(event, StateChanged) and event.state in STATES]
    timeline = [Transition(RunState(change.state), change.at, change.reason) for change in changes]
    adapter = next((event.adapter for event in reversed(events) if isinstance(event, Done)), None)
    last = timeline[-1] if timeline else Transition(RunState.INTERRUPTED, folder.stat().st_mtime, "")
    damaged = damaged_files.find_damaged_versions(folder / "state.json")
    why = f"Its {damaged[-1].summary}." if damaged else "Its state.json was missing."
    worker = Identity.running("core.training.worker", str(folder))
    if worker is not None:
        state = last.state if last.state in ACTIVE else RunState.TRAINING
        timeline.append(Transition(state, last.at, why))
        return Status(tuple(timeline), worker.pid, worker.started, adapter)
    if last.state in AT_REST:
        timeline[-1:] = [Transition(last.state, last.at, f"{last.reason} {why}".strip())]
    else:
        timeline.append(Transition(RunState.INTERRUPTED, last.at, f"{why} The run can be resumed."))
    return Status(tuple(timeline), adapter=adapter)


def is_run_folder(folder: Path) -> bool:
    """Whether a folder is a run's, whether its files are whole, damaged or set aside."""
    if not folder.is_dir():
        return False
    return (folder / "state.json").is_file() or any(path.name.startswith(RUN_FILES) for path in folder.iterdir())
