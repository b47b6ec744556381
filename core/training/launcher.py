"""Starting, stopping, resuming and extending runs. Imports nothing heavy.

The worker is a process of its own session, so it outlives whoever started it; anyone may find it again by the process
id and start time in state.json.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from adapters.common.damaged_files import ensure_plain
from adapters.common.errors import UserError
from core.common.process import Identity
from core.recipes.recipe import Recipe
from core.training import checkpoints
from core.training.events import StateChanged, append_event
from core.training.run import Run
from core.training.state import AT_REST, RunState, Status

PROJECT = Path(__file__).resolve().parents[2]
# How many CPU threads a worker's torch uses, whoever chats. Unset: all cores, and one while somebody chats.
THREADS_VARIABLE = "STUDIO_TORCH_THREADS"
STOP, PAUSE = signal.SIGTERM, signal.SIGUSR1  # end with an adapter; or only with a checkpoint


def start_worker(run: Run) -> subprocess.Popen[bytes]:
    """Start the run's worker now, whatever else is running (core.training.queue starts one at a time).

    The run must be queued. The worker has its own session, so that neither a Ctrl-C in the caller's terminal nor the
    caller's death reaches it; all it prints goes to log.txt. Raises UserError when the run is not queued.
    """
    environment = dict(os.environ)
    # Found by this path alone (-P): neither a folder named `core` where the caller stands nor PyPI's `adapters` counts.
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(PROJECT), os.environ.get("PYTHONPATH"))))
    environment["PYTHONUNBUFFERED"] = "1"
    environment["TOKENIZERS_PARALLELISM"] = "false"
    # Nothing here is compiled, and on being told so torch does not import its compiler for bitsandbytes: 2 s less.
    environment.setdefault("TORCHDYNAMO_DISABLE", "1")
    # On a GPU, segments that grow: fewer gaps between a training step's tensors. The base that the engine lends lies in
    # none of them (core.models.shared_weights.device_memory). torch itself falls back where the driver has no such.
    environment.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")
    with run.state_file.locked() as change:
        if change.status.state is not RunState.QUEUED:
            raise UserError(f"The run {run.id} is {change.status.state}, so it can't be started.", "Resume it first.")
        saved = checkpoints.newest_checkpoint(run.checkpoints_folder)
        step = saved.step if saved else 0
        again = change.status.attempts > 0 and change.status.resumed_from == step
        # Before there is a worker: where this cannot be written, on a full disk, none may be started every second.
        change.move(
            RunState.PREPARING,
            f"Going on from step {step}." if step else "",
            pid=None,
            started=None,
            resumes_itself=False,
            attempts=change.status.attempts + 1 if again else 1,
            resumed_from=step,
        )
        with ensure_plain(run.log_path).open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-P", "-m", "core.training.worker", str(run.folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        change.set(pid=worker.pid, started=Identity.of(worker.pid).started)
    append_event(run.events_path, StateChanged(state=RunState.PREPARING))
    return worker


def is_worker_alive(run: Run) -> bool:
    """Whether the worker named in state.json is there: the same process id and the same start time, not a zombie."""
    return run.state_file.read().worker_lives()


def request_stop(run: Run, reason: str = "Stopped on request.") -> Status:
    """Stop the run and keep what it has learnt: its adapter is saved. A queued run is cancelled.

    Returns at once; the worker stops after its current step. Does nothing to a run that is already at rest.
    """
    return _signal_worker(run, STOP, reason, resumes_itself=False)


def request_pause(run: Run, reason: str, *, resumes_itself: bool) -> Status:
    """Have the worker write a checkpoint and end without an adapter: a pause, or the machine going down.

    resumes_itself: whether the run goes on by itself when the app next starts.
    """
    return _signal_worker(run, PAUSE, reason, resumes_itself=resumes_itself)


def resume_run(run: Run, reason: str = "Resumed.", *, by_itself: bool = False) -> Status:
    """Put a run that is at rest back into the queue; it goes on from its last checkpoint.

    by_itself: nobody has asked for it, so that workers that die at the same step again are still counted.
    """
    return _requeue(run, reason, **({} if by_itself else {"attempts": 0}))


def extend_run(run: Run, *, num_train_epochs: float | None = None, max_steps: int | None = None) -> Status:
    """Have a finished run go on to more epochs or steps in all (not in addition).

    Where the recipe has max_steps, its epochs mean nothing, and max_steps is what can be raised. Raises UserError when
    it is not more, or the run is not at rest.
    """
    recipe = run.recipe
    if recipe.max_steps > 0 and max_steps is None:
        raise UserError(
            f"The run goes by steps, not by epochs: max_steps = {recipe.max_steps}.", "Give a larger number of steps."
        )
    settings = {"num_train_epochs": num_train_epochs or recipe.num_train_epochs, "max_steps": max_steps or -1}
    longer = Recipe.from_dict(recipe.to_dict() | settings)
    if run.status().state not in AT_REST:
        raise UserError(f"The run {run.id} is {run.state()}.", "Wait for its end, or stop it.")
    unit = "max_steps" if max_steps else "num_train_epochs"
    if getattr(longer, unit) <= getattr(recipe, unit):
        raise UserError(
            f"The run already has {unit} = {getattr(recipe, unit):g}, and {getattr(longer, unit):g} is no more.",
            "Give the number that it shall have reached in the end.",
        )
    run.write_recipe(longer)
    return _requeue(run, f"Continued to {unit} = {getattr(longer, unit):g}.", attempts=0)


def _requeue(run: Run, reason: str, **fields: object) -> Status:
    if run.status().state not in AT_REST:
        raise UserError(f"The run {run.id} is {run.state()}.", "Only a run that is at rest can be resumed.")
    return run.move(RunState.QUEUED, reason, resumes_itself=False, waits_for_engine=False, **fields)


def _signal_worker(run: Run, number: signal.Signals, reason: str, *, resumes_itself: bool) -> Status:
    with run.state_file.locked() as change:
        status = change.status
        if status.state is RunState.QUEUED and number is STOP:
            status = change.move(RunState.STOPPED, "Cancelled before it began.")
        elif status.state in (RunState.PREPARING, RunState.TRAINING) and status.worker_lives():
            status = change.move(RunState.STOPPING, reason, resumes_itself=resumes_itself)
            status.signal(number)
        elif status.state is RunState.STOPPING and status.worker_lives():
            status.signal(number)  # the second time it means: at once
            return status
        else:
            return status
    append_event(run.events_path, StateChanged(state=status.state, reason=status.reason))
    return status
