"""What becomes of a run when something goes wrong: it starts anew with less, waits, or says why it ends."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import replace
from typing import NoReturn

from adapters.common.errors import UserError
from adapters.common.files import no_room
from core.recipes.recipe import Recipe
from core.training.checkpoints import newest_checkpoint
from core.training.placement import BaseLost
from core.training.run import MAX_ATTEMPTS, Run
from core.training.signals import Signals, StopNow
from core.training.state import RunState

SHORTEST = 64  # tokens below which cutting conversations further is no help
logger = logging.getLogger(__name__)


def recover(run: Run, signals: Signals, error: BaseException) -> int:
    """End the run as `error` demands, or start it anew where memory ran out. Returns the exit code."""
    if isinstance(error, StopNow):
        reason = "Stopped at once. What was learnt since the last checkpoint is lost."
        return end_without_adapter(run, RunState.INTERRUPTED, reason)
    if isinstance(error, UserError):
        return end_without_adapter(run, RunState.FAILED, str(error))
    if isinstance(error, BaseLost):
        return wait_for_engine(run, signals)
    logger.exception("the run ends here")
    smaller = shrink_batch(run.recipe) if is_out_of_memory(error) and not signals.received() else None
    if smaller is not None:
        restart_with(run, *smaller)
    return end_without_adapter(run, RunState.FAILED, explain_failure(run, error))


def restart_with(run: Run, recipe: Recipe, change: str) -> NoReturn:
    """Begin again with `recipe` from the last checkpoint; `change` says what is different."""
    run.note(f"Out of memory. {change} The run goes on from its last whole step.")
    run.write_recipe(recipe)
    run.move(RunState.PREPARING, f"Out of memory. {change}")
    # A new image in the same process: no tensor that the traceback still holds survives, and pid and start time stay.
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", "core.training.worker", str(run.folder)])


def shrink_batch(recipe: Recipe) -> tuple[Recipe, str] | None:
    """The next smaller recipe with the same batch per optimiser step, and what it changes; None when there is none.

    At one conversation per micro-batch only shorter conversations are left, which changes what is learnt.
    """
    size, accumulation = recipe.per_device_train_batch_size, recipe.gradient_accumulation_steps
    if size > 1:
        half = size // 2
        steps = -(-size * accumulation // half)
        smaller = replace(recipe, per_device_train_batch_size=half, gradient_accumulation_steps=steps)
        smaller.per_device_eval_batch_size = min(half, recipe.per_device_eval_batch_size)
        return smaller, f"The micro-batch is now {half} instead of {size}, with {steps} accumulation steps."
    if recipe.max_length > 2 * SHORTEST:
        length = recipe.max_length // 2
        return replace(recipe, max_length=length), (
            f"The micro-batch is already 1, so conversations are now cut at {length} tokens instead of "
            f"{recipe.max_length}: longer answers are not learnt to their end."
        )
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """CUDA has a class for it; on CPU torch raises a RuntimeError that only its text tells apart."""
    words = str(error)
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in words
        or "CUDA out of memory" in words
    )


def explain_failure(run: Run, error: BaseException) -> str:
    """What went wrong, in words for the page; the traceback is in the log."""
    saved = newest_checkpoint(run.checkpoints_folder)
    kept = f"The checkpoint of step {saved.step} is kept." if saved else "There is no checkpoint yet."
    if no_room(error):
        return f"The disk is full. Free some space, then resume the run. {kept}"
    if is_out_of_memory(error):
        return f"Out of memory even with the smallest batch. Choose a smaller base or lower max_length. {kept}"
    if type(error).__name__ == "Diverged":
        rate = run.recipe.learning_rate
        return f"{error} Most often the learning rate is too high: try {rate / 4:.1g} instead of {rate:.1g}. {kept}"
    first_line = str(error).strip().splitlines()[0] if str(error).strip() else "no message"
    return f"Training failed with {type(error).__name__}: {first_line} The details are in log.txt. {kept}"


def wait_for_engine(run: Run, signals: Signals) -> int:
    """The engine has ended whose copy of the base the run used: resume when it is back, unless a stop was asked for."""
    saved = newest_checkpoint(run.checkpoints_folder)
    going_on = f"Resuming goes on from step {saved.step}." if saved else "Resuming starts from the beginning."
    status = run.state_file.read()
    again = status.resumes_itself if signals.received() else status.attempts < MAX_ATTEMPTS
    reason = f"The engine, whose copy of the base it used, ended. {going_on}"
    return end_without_adapter(run, RunState.INTERRUPTED, reason, resumes_itself=again, waits_for_engine=True)


def end_without_adapter(run: Run, state: RunState, reason: str, **fields: object) -> int:
    """End without an adapter. On a full disk, the space that was held in reserve is what lets the reason be written."""
    logger.error(reason)
    run.reserve.unlink(missing_ok=True)
    run.move(state, reason, **fields)
    return 1
