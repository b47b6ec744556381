"""A run as everyone but its worker sees it: a folder that says all there is to know. Imports nothing heavy.

core.training.launcher starts and stops runs.
"""

from __future__ import annotations

import logging
import re
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from adapters.common import damaged_files, safe_yaml
from adapters.common.errors import UserError
from adapters.common.files import expanded, no_room, temporary_name, write_atomic
from core.common.home import Home
from core.recipes.recipe import Recipe
from core.recipes.warmup import check_schedule
from core.training import checkpoints
from core.training.checkpoints import SavedCheckpoint
from core.training.events import (
    Done,
    Evaluation,
    Event,
    Note,
    Progress,
    StateChanged,
    append_event,
    read_events,
)
from core.training.rebuild_state import is_run_folder
from core.training.state import ACTIVE, RunState, Status
from core.training.state_file import StateFile

MAX_ATTEMPTS = 3  # workers that may die at the same step before a run stops resuming by itself
RESERVE = 64 * 1024  # bytes
STALL_SECONDS = 120.0  # a worker that lives but has not beaten for so long hangs (or its disk does)
STAMP = re.compile(r"^\d{8}-\d{6}-")  # what create_run puts before a run's name
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Summary:
    """One line about a run, for lists. Losses are the newest known ones; see events.Progress for the units."""

    id: str
    name: str
    state: RunState
    reason: str
    created: float
    since: float
    adapter: str | None
    step: int = 0
    max_steps: int | None = None
    loss: float | None = None
    eval_loss: float | None = None
    tokens_per_second: float | None = None
    eta_seconds: float | None = None
    stalled: bool = False
    notes: tuple[str, ...] = ()


class Run:
    """A run's folder. Holds no state of its own: every question reads the disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.state_file = StateFile(self.folder)

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def home(self) -> Home:
        return Home(self.folder.parent.parent)

    @property
    def events_path(self) -> Path:
        return self.folder / "events.jsonl"

    @property
    def log_path(self) -> Path:
        return self.folder / "log.txt"

    @property
    def reserve(self) -> Path:
        """Space that the worker holds while it runs, to be given up so that a full disk's reason can be written."""
        return self.folder / ".reserve"

    @property
    def tensorboard(self) -> Path:
        return self.folder / "tb"

    @property
    def checkpoints_folder(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def recipe_path(self) -> Path:
        return self.folder / "recipe.yaml"

    @property
    def recipe(self) -> Recipe:
        """Raises UserError when the file is gone, damaged (it is then set aside), or another version's."""
        settings = damaged_files.read(self.recipe_path, _settings)
        if settings is None:
            damaged = damaged_files.find_damaged_versions(self.recipe_path)
            why = f"Its {damaged[-1].summary}." if damaged else "Its recipe.yaml is missing."
            raise UserError(f"What the run {self.name_by_id} was to do is not known. {why}", "Start it as a new run.")
        return Recipe.from_dict(settings)

    def write_recipe(self, recipe: Recipe) -> None:
        write_atomic(self.recipe_path, recipe.to_yaml())

    @property
    def name(self) -> str:
        """What the run is called, and the name that its adapter gets if it is free."""
        try:
            recipe = self.recipe
        except UserError:
            return self.name_by_id
        return recipe.run_name or Path(recipe.dataset_name).stem

    @property
    def name_by_id(self) -> str:
        """The name as far as the folder's own name has it."""
        return STAMP.sub("", self.id) or self.id

    def status(self) -> Status:
        """Where the run stands. A run whose worker has died without a word is first marked as interrupted."""
        status = self.state_file.read()
        if status.state not in ACTIVE or status.worker_lives():
            return status
        with self.state_file.locked() as change:
            status = change.status  # as it is now that nobody else can change it
            if status.state not in ACTIVE or status.worker_lives():
                return status
            asked = status.state is RunState.STOPPING
            again = not asked and status.attempts < MAX_ATTEMPTS
            reason = status.reason if asked else self._why_dead()
            try:
                change.move(RunState.INTERRUPTED, reason, **({} if asked else {"resumes_itself": again}))
                append_event(self.events_path, StateChanged(state=RunState.INTERRUPTED, reason=reason))
            except OSError as error:
                if not no_room(error):  # it is written by whoever asks once there is room
                    raise
        return change.status

    def state(self) -> RunState:
        return self.status().state

    def move(self, state: RunState, reason: str = "", **fields: object) -> Status:
        """Change the state under the lock and tell it as an event. Raises ValueError for an impossible change."""
        with self.state_file.locked() as change:
            status = change.move(state, reason, **fields)
        append_event(self.events_path, StateChanged(state=state, reason=reason))
        return status

    def events(self, offset: int = 0) -> tuple[list[Event], int]:
        return read_events(self.events_path, offset)

    def checkpoints(self) -> list[SavedCheckpoint]:
        """Whole checkpoints, oldest first; each is a PEFT folder that can be chatted with."""
        return checkpoints.list_checkpoints(self.checkpoints_folder)

    def beat(self) -> None:
        """The worker's sign of life, apart from its process being there."""
        damaged_files.ensure_plain(self.folder / "heartbeat").touch()

    def note(self, text: str) -> None:
        """Tell something in the log and on the timeline."""
        logger.info(text)
        self.beat()
        append_event(self.events_path, Note(text=text))

    def stalled(self, status: Status) -> bool:
        """The worker's process is there, but it has shown no sign of life for STALL_SECONDS."""
        if status.state not in ACTIVE:
            return False
        beat = self.folder / "heartbeat"
        last = beat.stat().st_mtime if beat.exists() else 0.0
        return time.time() - max(last, status.since) > STALL_SECONDS

    def summary(self) -> Summary:
        status = self.status()
        line = Summary(
            id=self.id,
            name=self.name,
            state=status.state,
            reason=status.reason,
            created=status.created,
            since=status.since,
            adapter=status.adapter,
            stalled=self.stalled(status),
        )
        notes: list[str] = []
        for event in self.events()[0]:
            if isinstance(event, Progress):
                line = replace(
                    line,
                    step=event.step,
                    max_steps=event.max_steps,
                    loss=event.loss,
                    tokens_per_second=event.tokens_per_second,
                    eta_seconds=event.eta_seconds if status.state is RunState.TRAINING else None,
                )
            elif isinstance(event, Evaluation):
                line = replace(line, eval_loss=event.eval_loss)
            elif isinstance(event, Done):
                line = replace(line, adapter=event.adapter)
            elif isinstance(event, Note):
                notes.append(event.text)
        return replace(line, notes=tuple(notes))

    def _why_dead(self) -> str:
        saved = checkpoints.newest_checkpoint(self.checkpoints_folder)
        if saved is None:
            return "The training process was killed before its first checkpoint; resuming starts from the beginning."
        return f"The training process was killed. Resuming goes on from step {saved.step}."


def create_run(home: Home, recipe: Recipe) -> Run:
    """Make a run's folder, in state queued. It appears in one step, complete.

    Paths in the recipe become absolute: the run must go on after a restart from another folder. Raises UserError when
    the disk is full, and for a run that could learn nothing.
    """
    check_schedule(recipe, recipe.max_steps)
    recipe = replace(
        recipe,
        dataset_name=_absolute(recipe.dataset_name),
        model_name_or_path=_absolute(recipe.model_name_or_path)
        if recipe.model_name_or_path.startswith((".", "~"))
        else recipe.model_name_or_path,
    )
    label = re.sub(r"[^A-Za-z0-9._-]+", "-", recipe.run_name or Path(recipe.dataset_name).stem)[:40].strip("-.")
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{label or 'run'}"
    try:
        staged = Path(tempfile.mkdtemp(prefix=temporary_name("new"), dir=home.runs))
        run = Run(staged)
        run.write_recipe(recipe)
        run.state_file.create("Waiting for its turn.")
        append_event(run.events_path, StateChanged(state=RunState.QUEUED, reason="Waiting for its turn."))
        for number in range(1, 1000):
            folder = home.runs / (stem if number == 1 else f"{stem}-{number}")
            if not folder.exists():
                staged.chmod(0o755)
                staged.rename(folder)
                return Run(folder)
    except OSError as error:
        raise UserError(
            f"The run could not be written to {home.runs}: {error.strerror}.", "Free some disk space, then start again."
        ) from error
    raise UserError(f"There are a thousand runs named {stem}.", "Give the run another name.")


def list_runs(home: Home) -> list[Run]:
    """All runs, newest first; those too of which only a part is left."""
    folders = [path for path in home.runs.iterdir() if not path.name.startswith(".") and is_run_folder(path)]
    return [Run(folder) for folder in sorted(folders, key=lambda folder: folder.name, reverse=True)]


def find_run(home: Home, run_id: str) -> Run:
    """The run of that id. Raises UserError when there is none; what exists are listed."""
    for run in list_runs(home):
        if run.id == run_id:
            return run
    ids = ", ".join(run.id for run in list_runs(home)) or "none"
    raise UserError(f"There is no run {run_id!r}.", f"Runs here: {ids}.")


def list_statuses(home: Home) -> list[tuple[Run, Status]]:
    """All runs, newest first, and where they stand; without those that are being deleted at this moment."""
    found = []
    for run in list_runs(home):
        try:
            found.append((run, run.status()))
        except FileNotFoundError:
            continue
    return found


def _settings(content: bytes) -> dict[str, Any]:
    """What a recipe's file holds. Raises ValueError when that are no settings at all; of which version shows later."""
    try:
        given = safe_yaml.load(content.decode())
    except yaml.YAMLError as error:
        raise ValueError(f"it is no YAML: {error}") from error
    if not isinstance(given, dict):
        raise ValueError("it holds no settings")
    return {str(key): value for key, value in given.items()}


def _absolute(given: str) -> str:
    from core.data.samples import SAMPLES

    if given in SAMPLES:
        return given
    path = expanded(given)
    return str(path.resolve()) if path.is_file() or given.startswith((".", "~")) else given
