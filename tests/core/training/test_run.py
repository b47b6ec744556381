import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from adapters.common.errors import UserError
from core.common.home import Home
from core.common.process import Identity
from core.recipes.recipe import Recipe
from core.training import queue
from core.training.events import Event
from core.training.launcher import extend_run, is_worker_alive, request_stop, resume_run
from core.training.run import MAX_ATTEMPTS, Run, create_run, find_run, list_runs
from core.training.state import RunState
from core.training.trash import empty_trash, list_trashed, restore_run, trash_run
from tests.core.training.conftest import wait_for


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A living process that is no worker."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()


@pytest.mark.slow
def test_importing_this_side_of_training_loads_nothing_heavy() -> None:
    code = (
        "import sys, core.training.run, core.training.queue, core.training.checkpoints, core.training.events\n"
        "heavy = {'torch', 'transformers', 'datasets', 'trl', 'peft', 'pandas'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_new_run_waits_and_is_found(home: Home, recipe: Recipe) -> None:
    first, second = create_run(home, recipe), create_run(home, recipe)
    assert first.id != second.id
    assert {run.id for run in list_runs(home)} == {first.id, second.id}
    assert first.state() is RunState.QUEUED
    assert find_run(home, first.id).recipe == recipe
    with pytest.raises(UserError, match=r"no run 'nonsense'.*" + second.id):
        find_run(home, "nonsense")


def test_paths_in_a_recipe_no_longer_depend_on_the_folder_one_stands_in(
    home: Home, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.jsonl").write_text("{}")
    Path("pirate").write_text("a file that is called like a bundled sample")
    recipe = replace(recipe, dataset_name="pirate")
    assert create_run(home, replace(recipe, dataset_name="mine.jsonl")).recipe.dataset_name == f"{tmp_path}/mine.jsonl"
    assert create_run(home, recipe).recipe.dataset_name == "pirate"
    assert create_run(home, replace(recipe, dataset_name="a/b")).recipe.dataset_name == "a/b"


def test_an_impossible_change_is_refused_and_changes_nothing(home: Home, recipe: Recipe) -> None:
    run = create_run(home, recipe)
    with pytest.raises(ValueError, match="from queued to done"):
        run.move(RunState.DONE)
    assert run.state() is RunState.QUEUED


def test_a_queued_run_is_cancelled_and_can_be_taken_up_again(home: Home, recipe: Recipe) -> None:
    run = create_run(home, recipe)
    assert request_stop(run).state is RunState.STOPPED
    assert queue.list_queued(home) == []
    resume_run(run)
    assert [queued.id for queued in queue.list_queued(home)] == [run.id]
    assert [entry.state for entry in run.status().timeline] == ["queued", "stopped", "queued"]


@pytest.mark.slow
def test_a_dead_worker_is_recognised(home: Home, recipe: Recipe, stranger: subprocess.Popen[bytes]) -> None:
    run = create_run(home, recipe)
    worker = Identity.of(stranger.pid)
    run.move(RunState.PREPARING, pid=worker.pid, started=worker.started)
    assert is_worker_alive(run) and run.state() is RunState.PREPARING
    stranger.kill()
    os.waitid(os.P_PID, stranger.pid, os.WEXITED | os.WNOWAIT)  # dead, and a zombie: its parent has not waited for it
    assert not is_worker_alive(run)
    status = run.status()
    assert status.state is RunState.INTERRUPTED and status.resumes_itself
    assert "killed before its first checkpoint" in status.reason


@pytest.mark.slow
def test_a_stranger_with_the_workers_pid_is_neither_the_worker_nor_signalled(
    home: Home, recipe: Recipe, stranger: subprocess.Popen[bytes]
) -> None:
    run = create_run(home, recipe)
    run.move(RunState.PREPARING, pid=stranger.pid, started=time.time() - 3600)
    request_stop(run)
    assert run.state() is RunState.INTERRUPTED
    assert stranger.poll() is None


def test_a_run_that_keeps_dying_at_the_same_step_is_not_started_for_ever(home: Home, recipe: Recipe) -> None:
    run = create_run(home, recipe)
    run.move(RunState.PREPARING, pid=1, started=0.0, attempts=MAX_ATTEMPTS)
    assert not run.status().resumes_itself
    assert queue.start_next(home) is None
    resume_run(run)  # a person has looked into it: its attempts are counted anew
    run.move(RunState.PREPARING, pid=1, started=0.0)
    assert run.status().resumes_itself


@pytest.mark.slow
def test_deleting_refuses_while_a_worker_lives_and_can_be_undone(
    home: Home, recipe: Recipe, stranger: subprocess.Popen[bytes]
) -> None:
    run = create_run(home, recipe)
    with pytest.raises(UserError, match="Stop it first"):
        trash_run(run)
    worker = Identity.of(stranger.pid)
    run.move(RunState.PREPARING, pid=worker.pid, started=worker.started)
    with pytest.raises(UserError, match="Stop it first"):
        trash_run(run)
    stranger.kill()
    stranger.wait()
    files = {path.name for path in run.folder.iterdir()}
    trash_run(run)
    assert list_runs(home) == [] and list(home.runs.iterdir()) == []
    assert [trashed.id for trashed in list_trashed(home)] == [run.id]
    with pytest.raises(UserError, match=r"no run '\.\./x' in the trash"):
        restore_run(home, "../x")
    assert {path.name for path in restore_run(home, run.id).folder.iterdir()} == files
    assert find_run(home, run.id).state() is RunState.INTERRUPTED
    assert list_trashed(home) == []
    trash_run(run)
    assert empty_trash(home) > 0
    assert list_trashed(home) == []


def has_failed(run: Run, events: list[Event]) -> bool:
    return run.state() is RunState.FAILED


@pytest.mark.slow
def test_the_queue_keeps_its_order_and_a_failed_run_does_not_stop_the_next(
    home: Home, recipe: Recipe, tmp_path: Path
) -> None:
    gone = tmp_path / "base"
    gone.mkdir()
    (gone / "config.json").write_text("{}")
    (gone / "model.safetensors").write_bytes(b"")
    runs = [create_run(home, replace(recipe, run_name=name, model_name_or_path=str(gone))) for name in "abc"]
    (gone / "config.json").unlink()  # every one of them fails as soon as its worker looks for its base
    queue.move_queued(runs[2], 0)
    order = []
    while (run := queue.start_next(home)) is not None:
        order.append(run.name)
        assert queue.start_next(home) is None  # one trains at a time
        wait_for(run, partial(has_failed, run))
        assert "is not a model folder" in run.status().reason
    assert order == ["c", "a", "b"]


def test_continuing_means_more_than_before(home: Home, recipe: Recipe) -> None:
    run = create_run(home, recipe)
    request_stop(run)
    with pytest.raises(UserError, match="max_steps = 6, and 6 is no more"):
        extend_run(run, max_steps=6)
    extend_run(run, max_steps=8)
    assert run.recipe.max_steps == 8 and run.state() is RunState.QUEUED
    request_stop(run)
    with pytest.raises(UserError, match="goes by steps, not by epochs: max_steps = 8"):
        extend_run(run, num_train_epochs=50)

    epochs = create_run(home, replace(recipe, max_steps=-1, num_train_epochs=2))
    request_stop(epochs)
    with pytest.raises(UserError, match=r"num_train_epochs = 2, and 1\.5 is no more"):
        extend_run(epochs, num_train_epochs=1.5)
    extend_run(epochs, num_train_epochs=3)
    assert (epochs.recipe.num_train_epochs, epochs.recipe.max_steps) == (3, -1)


def test_reading_a_run_folder_that_was_deleted_meanwhile_is_said_plainly(home: Home) -> None:
    with pytest.raises(FileNotFoundError):
        Run(home.runs / "gone").status()
