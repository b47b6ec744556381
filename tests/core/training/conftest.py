"""Short real runs: the built-in base in NF4, a bundled sample, a handful of steps."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from core.process import Identity
from core.recipe import Recipe
from core.training.events import Event
from core.training.run import Run
from core.training.state import RunState

WAIT_SECONDS = 120.0

SHORT: dict[str, Any] = {
    "dataset_name": "pirate",
    "model_name_or_path": "builtin",
    "run_name": "pirate",
    "max_steps": 6,
    "save_steps": 2,
    "eval_steps": 3,
    "per_device_train_batch_size": 4,
    "lora_r": 4,
    "lora_dropout": 0.1,  # so that the random state matters
}


@pytest.fixture
def recipe() -> Recipe:
    return Recipe.from_dict(SHORT)


@pytest.fixture
def work() -> Iterator[Callable[[Run], int]]:
    """Do a queued run's work in this very process, as its worker would."""
    from core.training import worker

    signals = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    before = [signal.getsignal(each) for each in signals]

    def do(run: Run) -> int:
        own = Identity.own()
        run.move(RunState.PREPARING, pid=own.pid, started=own.started)
        return worker.main([str(run.folder)])

    yield do
    for each, handler in zip(signals, before, strict=True):
        signal.signal(each, handler)


def wait_for(run: Run, seen: Callable[[list[Event]], bool]) -> list[Event]:
    """Wait until the run's events satisfy `seen`; fail with the log when it comes to rest before."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        events = run.events()[0]
        if seen(events):
            return events
        if run.state() in (RunState.FAILED, RunState.DONE, RunState.STOPPED, RunState.INTERRUPTED) and not seen(
            run.events()[0]
        ):
            break
        time.sleep(0.02)
    log = run.log_path.read_text() if run.log_path.exists() else ""
    raise AssertionError(f"{run.status()}\n{run.events()[0]}\n{log}")
