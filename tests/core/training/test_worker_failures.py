"""A run on a full disk, out of memory, or with a loss that is none: what it says, and what it keeps."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from adapters.store import AdapterStore
from core.common.home import Home
from core.recipes.recipe import Recipe
from core.training import recovery, worker
from core.training.events import Progress
from core.training.run import Run, create_run
from core.training.state import RunState
from core.training.trainer import StudioTrainer
from tests.core.training.steps import Work, at_step, losses

pytestmark = pytest.mark.slow


def full_disk(*args: Any, **kwargs: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_while_the_adapter_is_saved(
    home: Home, recipe: Recipe, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.training.save_adapter.copy_tensorboard", full_disk)
    run = create_run(home, recipe)
    assert work(run) == 1
    status = run.status()
    assert status.state is RunState.FAILED and "disk is full" in status.reason and "step 6 is kept" in status.reason
    assert not list(home.adapters.iterdir())
    monkeypatch.undo()
    run.move(RunState.QUEUED)
    assert work(run) == 0  # space was made: the adapter is saved without training any step twice
    assert AdapterStore(home.adapters).get("pirate").steps == 6
    assert [event.step for event in run.events()[0] if isinstance(event, Progress)] == [1, 2, 3, 4, 5, 6]


def test_a_full_disk_during_a_checkpoint_keeps_the_one_before(
    home: Home, recipe: Recipe, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = StudioTrainer._save_rng_state

    def save(self: StudioTrainer, folder: str) -> None:
        if self.state.global_step >= 4:
            full_disk()
        real(self, folder)

    monkeypatch.setattr(StudioTrainer, "_save_rng_state", save)
    run = create_run(home, recipe)
    assert work(run) == 1
    assert "disk is full" in run.status().reason
    assert run.checkpoints()[-1].step == 3
    assert {path.name for path in run.checkpoints_folder.iterdir()} == {"checkpoint-2", "checkpoint-3"}


def test_a_torn_checkpoint_is_passed_over(whole: Run) -> None:
    newest = whole.checkpoints()[-1].path
    for name in ("adapter_model.safetensors", "optimizer.pt", "trainer_state.json"):
        content = (newest / name).read_bytes()
        (newest / name).write_bytes(content[: len(content) // 2])
        assert newest not in [checkpoint.path for checkpoint in whole.checkpoints()]
        (newest / name).write_bytes(content)
    assert whole.checkpoints()[-1].path == newest


def test_a_loss_that_is_no_number_stops_the_run(
    home: Home, recipe: Recipe, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = StudioTrainer.compute_loss

    def compute(self: StudioTrainer, *args: Any, **kwargs: Any) -> Any:
        loss = real(self, *args, **kwargs)
        return loss * float("nan") if self.state.global_step == 4 else loss

    monkeypatch.setattr(StudioTrainer, "compute_loss", compute)
    run = create_run(home, recipe)
    assert work(run) == 1
    reason = run.status().reason
    assert "became nan in step 5" in reason and "learning rate" in reason and "step 4 is kept" in reason
    assert run.checkpoints()[-1].step == 4


def test_a_loss_that_explodes_stops_the_run(
    home: Home, recipe: Recipe, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = StudioTrainer.compute_loss

    def compute(self: StudioTrainer, *args: Any, **kwargs: Any) -> Any:
        return real(self, *args, **kwargs) * (50 if self.state.global_step >= 5 else 1)

    monkeypatch.setattr(StudioTrainer, "compute_loss", compute)
    run = create_run(home, replace(recipe, max_steps=20, save_steps=20, eval_fraction=0))
    assert work(run) == 1
    assert run.state() is RunState.FAILED and "learning rate is too high" in run.status().reason
    assert sorted(losses(run))[-1] == 10  # not before there is enough to judge by


def test_running_out_of_memory_starts_anew_with_a_smaller_batch(
    home: Home, recipe: Recipe, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = create_run(home, replace(recipe, lora_dropout=0.0))
    assert work(plain) == 0

    def exhaust() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    at_step(monkeypatch, 4, exhaust)

    class Replaced(BaseException):
        """The process has become another one."""

    def become(program: str, arguments: list[str]) -> None:
        raise Replaced(*arguments[-2:])

    monkeypatch.setattr(os, "execv", become)
    run = create_run(home, replace(recipe, lora_dropout=0.0))
    with pytest.raises(Replaced, match="worker") as replaced:
        work(run)
    assert replaced.value.args[1] == str(run.folder)
    assert run.state() is RunState.PREPARING and "micro-batch is now 2 instead of 4" in run.status().reason
    assert (run.recipe.per_device_train_batch_size, run.recipe.gradient_accumulation_steps) == (2, 2)
    assert run.checkpoints()[-1].step == 3
    assert worker.main([str(run.folder)]) == 0
    assert losses(run) == pytest.approx(losses(plain), rel=1e-4)


def test_the_smallest_batch_shortens_conversations_and_then_gives_up(recipe: Recipe) -> None:
    smallest = replace(recipe, per_device_train_batch_size=1, max_length=300)
    shorter, change = recovery.shrink_batch(smallest) or (None, "")
    assert shorter and shorter.max_length == 150 and "cut at 150 tokens" in change
    assert recovery.shrink_batch(replace(smallest, max_length=100)) is None


def test_any_other_error_is_said_plainly_and_its_traceback_is_logged(
    home: Home, recipe: Recipe, work: Work, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    at_step(monkeypatch, 2, lambda: 1 / 0)
    run = create_run(home, recipe)
    assert work(run) == 1
    status = run.status()
    assert status.state is RunState.FAILED
    assert "ZeroDivisionError: division by zero" in status.reason and "Traceback" not in status.reason
    assert "Traceback" in caplog.text


def test_what_is_damaged_among_the_curves_does_not_cost_the_adapter(tmp_path: Path) -> None:
    from core.training.save_adapter import copy_tensorboard

    events = tmp_path / "tb"
    (events / "events.out.tfevents.1.here.1.0").mkdir(parents=True)
    (events / "events.out.tfevents.2.here.1.0").symlink_to("/nowhere/at/all")
    (events / "events.out.tfevents.3.here.1.0").write_bytes(b"\xff\x00")
    copy_tensorboard(events, tmp_path / "copied")
    assert [path.name for path in (tmp_path / "copied").iterdir()] == ["events.out.tfevents.3.studio.0"]
