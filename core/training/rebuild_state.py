"""Where a run stands when its state.json is gone or damaged: as far as its events and its processes tell."""

from __future__ import annotations

from pathlib import Path

from adapters.common import damaged_files
from core.common.process import Identity
from core.training.events import Done, StateChanged, read_events
from core.training.state import ACTIVE, AT_REST, RunState, Status, Transition

STATES = frozenset(RunState)
RUN_FILES = ("state.json", "recipe.yaml", "events.jsonl")
RUN_FILES = ("state.json", "recipe.yaml", "events.jsonl")  # what each of them is called once it is set aside begins so


def rebuild_status(folder: Path) -> Status:
    """The state that the last event told, when it was one of rest; else the run is interrupted, and a person may resume
    it, unless its worker is found alive."""
    events, _ = read_events(folder / "events.jsonl")
    told = [each for each in events if isinstance(each, StateChanged) and each.state in STATES]
    timeline = [Transition(RunState(each.state), each.at, each.reason) for each in told]
    adapter = next((each.adapter for each in reversed(events) if isinstance(each, Done)), None)
    last = timeline[-1] if timeline else Transition(RunState.INTERRUPTED, folder.stat().st_mtime, "")
    aside = damaged_files.beside(folder / "state.json")
    why = f"Its {aside[-1].told}." if aside else "Its state.json was missing."
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
    """Whether a folder is a run's, be what tells about it whole, damaged or set aside."""
    if not folder.is_dir():
        return False
    return (folder / "state.json").is_file() or any(each.name.startswith(RUN_FILES) for each in folder.iterdir())
