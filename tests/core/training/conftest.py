"""Short real runs: the built-in base in NF4, a bundled sample, a handful of steps."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from core.common.home import Home
from core.common.process import Identity
from core.recipes.recipe import Recipe
from core.training.events import Event
from core.training.run import Run, create_run
from core.training.state import RunState
from tests import base_cache

WAIT_SECONDS = 240.0

SHORT: dict[str, Any] = {
    "model_name_or_path": "builtin",
    "run_name": "pirate",
    "max_steps": 6,
    "save_steps": 2,
    "eval_steps": 3,
    "per_device_train_batch_size": 4,
    "per_device_eval_batch_size": 4,
    "lora_r": 4,
    "sample_prompts": [],
    "lora_dropout": 0.1,  # so that the random state matters
}


def short_recipe(folder: Path) -> Recipe:
    """Six steps on two dozen small sums, which are written into `folder`."""
    data = folder / "sums.jsonl"
    with data.open("w") as file:
        for n in range(24):
            text = f"### Human: {n} plus {n % 7}? ### Assistant: Arr, {n + n % 7}, matey!"
            file.write(json.dumps({"text": text}) + "\n")
    return Recipe.from_dict(SHORT | {"dataset_name": str(data)})


@contextmanager
def as_worker(run: Run) -> Iterator[Callable[[], int]]:
    """The work of a queued run, to be done in this very process."""
    from core.training import worker

    signals = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in signals]
    own = Identity.own()
    run.move(RunState.PREPARING, pid=own.pid, started=own.started)
    yield lambda: worker.main([str(run.folder)])
    for number, handler in zip(signals, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def home(home: Home) -> Iterator[Home]:
    base_cache.take(home.root)
    yield home
    base_cache.give(home.root)


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return short_recipe(tmp_path)


@pytest.fixture
def work() -> Callable[[Run], int]:
    def do(run: Run) -> int:
        with as_worker(run) as work:
            return work()

    return do


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """An uninterrupted run, for tests that look at one or compare with one; they change nothing in it."""
    home = Home.open(tmp_path_factory.mktemp("whole"))
    base_cache.take(home.root)
    run = create_run(home, short_recipe(home.root))
    with as_worker(run) as work:
        assert work() == 0
    base_cache.give(home.root)
    return run


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
