"""A run whose base lies in the engine's memory, in processes of their own: see device_stand_in."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from core.common.home import Home
from core.models.base import load_model, resolve
from core.models.shared_weights.ipc_handle import handle_path
from core.models.shared_weights.shared_base import LENT, open_base
from core.recipes.recipe import Recipe
from core.training import queue
from core.training.events import Checkpoint, Event, Note, Progress
from core.training.launcher import request_stop, start_worker
from core.training.run import Run, create_run
from core.training.state import RunState
from tests.app_process import ROOT
from tests.core.models.base_process import BaseProcess
from tests.core.models.shared_weights.device_stand_in import FOLDER, SITE, FileMemory
from tests.core.models.shared_weights.mapping_process import logits_digest
from tests.core.training.conftest import wait_for

pytestmark = pytest.mark.slow


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that is the device of all processes that are started."""
    memory, site = tmp_path / "device", tmp_path / "site"
    memory.mkdir()
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(site), str(ROOT))))
    monkeypatch.setenv(FOLDER, str(memory))
    return memory


def lending(home: Home) -> BaseProcess:
    """An engine's process, as far as its base goes."""
    return BaseProcess("tests.core.models.shared_weights.device_stand_in", str(home.root))


def progress(run: Run) -> dict[int, float]:
    return {event.step: event.loss for event in run.events()[0] if isinstance(event, Progress)}


def notes(run: Run) -> list[str]:
    return [event.text for event in run.events()[0] if isinstance(event, Note)]


def has_gone_on(events: list[Event], last: int) -> bool:
    """Whether a step after `last` has come since the run borrowed for the second time."""
    borrowed = [place for place, event in enumerate(events) if isinstance(event, Note) and "borrowed" in event.text]
    return len(borrowed) > 1 and any(
        isinstance(event, Progress) and event.step > last for event in events[borrowed[1] :]
    )


def test_a_run_on_borrowed_memory_learns_the_same_and_leaves_it_alone(
    whole: Run, home: Home, recipe: Recipe, work: Callable[[Run], int], device: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.models.shared_weights.shared_base.device_memory", lambda device: FileMemory())
    engine = open_base(resolve("builtin"), home, publish=True)
    (memory,) = device.iterdir()
    before = hashlib.sha256(memory.read_bytes()).hexdigest()
    run = create_run(home, recipe)
    assert work(run) == 0
    assert any(f"borrowed, the chat's own {memory.stat().st_size / 2**20:.1f} MiB" in text for text in notes(run))
    assert progress(run) == progress(whole), "bit for bit as on a base that is mapped from a file"
    assert hashlib.sha256(memory.read_bytes()).hexdigest() == before
    assert logits_digest(engine.model) == logits_digest(load_model(resolve("builtin")))


def test_a_run_on_borrowed_memory_ends_with_its_engine_and_goes_on_with_the_next(
    home: Home, recipe: Recipe, device: Path
) -> None:
    first = lending(home)
    try:
        assert json.loads(first.line())["value"] == LENT
        expected = first.logits()
        run = create_run(home, replace(recipe, max_steps=500, save_steps=2))
        worker = start_worker(run)
        wait_for(run, lambda events: any(isinstance(event, Checkpoint) for event in events))
        assert first.logits() == expected
    finally:
        first.kill()
    assert worker.wait() == 1
    status = run.status()
    assert status.state is RunState.INTERRUPTED and status.resumes_itself
    last = run.checkpoints()[-1].step
    assert status.reason == f"The engine, whose copy of the base it used, ended. Resuming goes on from step {last}."
    assert not list(home.adapters.iterdir())
    assert queue.start_next(home, engine_available=False) is None, "it waits for the engine"

    second = lending(home)
    try:
        assert json.loads(second.line())["value"] == LENT
        assert queue.start_next(home) is not None
        wait_for(run, lambda events: has_gone_on(events, last))
        assert sum("borrowed" in text for text in notes(run)) == 2
        request_stop(run)
        wait_for(run, lambda events: run.state() is RunState.STOPPED)
        assert sorted(progress(run)) == list(range(1, max(progress(run)) + 1))
        assert second.logits() == expected
        assert second.process.stdin is not None
        second.process.stdin.close()
        assert second.process.wait(60) == 0
        assert not handle_path(home).exists(), "an engine that ends takes its word back"
    finally:
        second.kill()
