"""Runs in processes of their own, as people start and lose them."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.store import AdapterStore
from core.common.home import Home
from core.recipes.recipe import Recipe
from core.training import queue
from core.training.events import Checkpoint, Event, Progress
from core.training.launcher import start_worker
from core.training.run import Run, create_run, list_runs
from core.training.state import RunState
from tests.core.training.conftest import wait_for

pytestmark = pytest.mark.slow


def progress(events: list[Event]) -> list[Progress]:
    return [event for event in events if isinstance(event, Progress)]


def test_a_killed_run_resumes_by_itself_and_repeats_the_uninterrupted_run(
    whole: Run, home: Home, recipe: Recipe
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = create_run(home, recipe)
    started = queue.start_next(home)
    assert started is not None and started.id == run.id
    events = wait_for(run, lambda events: any(isinstance(event, Checkpoint) for event in events))
    worker = run.status().worker
    assert worker is not None and os.getsid(worker.pid) == worker.pid  # it outlives the process that started it
    worker.signal(signal.SIGKILL)
    wait_for(run, lambda events: run.state() is RunState.INTERRUPTED)
    assert "Resuming goes on from step" in run.status().reason
    assert not list(home.adapters.iterdir())
    with run.events_path.open("ab") as file:
        file.write(b'{"kind": "progress", "st')  # as if it had died while it wrote

    again = queue.start_next(home)
    assert again is not None and again.id == run.id
    events = wait_for(run, lambda events: run.state() is RunState.DONE)

    expected = {event.step: (event.loss, event.tokens) for event in progress(whole.events()[0])}
    assert {event.step: (event.loss, event.tokens) for event in progress(events)} == expected
    resumed_from = run.status().resumed_from
    assert resumed_from >= 2
    second = [event.step for event in progress(events)][-(6 - resumed_from) :]
    assert second == list(range(resumed_from + 1, 7))  # no step before the checkpoint was trained twice
    curve = EventAccumulator(str(run.tensorboard)).Reload().Scalars("train/loss")
    assert [point.step for point in curve] == list(range(1, 7))
    assert AdapterStore(home.adapters).get("pirate").steps == 6


def test_the_command_stops_on_ctrl_c_keeps_the_adapter_and_names_its_folder(
    home: Home, recipe: Recipe, tmp_path: Path
) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(replace(recipe, max_steps=500, save_steps=500, eval_steps=500).to_yaml())
    command = subprocess.Popen(
        [sys.executable, "-m", "studio", "train", str(path), "--home", str(home.root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    lines = []
    assert command.stderr is not None
    for line in command.stderr:
        lines.append(line)
        if line.startswith("step 1/500"):
            command.send_signal(signal.SIGINT)
            break
    out, rest = command.communicate(timeout=120)
    assert command.returncode == 0, "".join(lines) + rest
    folder = home.adapters / "pirate"
    assert out.splitlines()[-1] == str(folder)
    assert (AdapterStore(home.adapters).get("pirate").steps or 0) >= 1
    (run,) = list_runs(home)
    assert run.state() is RunState.STOPPED and run.status().adapter == "pirate"
    assert "Stopped at step" in rest and "loss" in lines[-1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dataset_name: pirate\nlerning_rate: 0.1\n", "did you mean learning_rate"),
        ("dataset_name: /nowhere/data.jsonl\n", "/nowhere/data.jsonl"),
        ("dataset_name: pirate\nmodel_name_or_path: /nowhere\n", "/nowhere is not a model folder"),
    ],
)
def test_a_wrong_recipe_exits_with_2_and_leaves_no_run(
    home: Home, tmp_path: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from studio.__main__ import main

    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    assert main(["train", str(path), "--home", str(home.root)]) == 2
    assert said in capsys.readouterr().err
    assert list_runs(home) == []


# Python imports a module of this name at its start. It has any micro-batch of more than two conversations, which lie
# end to end, run out of memory.
SMALL_MEMORY = """
import importlib.abc, importlib.util, sys

class Hook(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "core.training.trainer":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        run = spec.loader.exec_module

        def exec_module(module):
            run(module)
            real = module.StudioTrainer.compute_loss

            def compute_loss(trainer, model, inputs, *args, **kwargs):
                count = len(inputs["cu_seq_lens_q"]) - 1 if model.training else 0
                if count > 2 and trainer.state.global_step >= 3:
                    raise module.torch.OutOfMemoryError(f"CUDA out of memory with {count} conversations.")
                return real(trainer, model, inputs, *args, **kwargs)

            module.StudioTrainer.compute_loss = compute_loss

        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Hook())
"""


def test_a_worker_that_runs_out_of_memory_becomes_one_with_a_smaller_batch(
    whole: Run, home: Home, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(SMALL_MEMORY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    run = create_run(home, recipe)
    assert start_worker(run).wait() == 0, run.log_path.read_text()
    status = run.status()
    states = [entry.state for entry in status.timeline]
    assert states == ["queued", "preparing", "training", "preparing", "training", "saving", "done"]
    assert "micro-batch is now 2 instead of 4, with 2 accumulation steps" in status.timeline[3].reason
    assert (run.recipe.per_device_train_batch_size, run.recipe.gradient_accumulation_steps) == (2, 2)
    told = [event.step for event in progress(run.events()[0])]
    assert told == [1, 2, 3, 4, 5, 6], "it went on from its last whole step"
    same = [event.loss for event in progress(whole.events()[0])][:3]
    assert [event.loss for event in progress(run.events()[0])][:3] == same
    assert AdapterStore(home.adapters).get("pirate").steps == 6
    assert not run.reserve.exists()
