"""Chatting with a run while it learns: its newest checkpoint is in the list, and every question goes to the newest."""

from __future__ import annotations

import json
from pathlib import Path
from zipfile import ZipFile

import pytest
import torch
from safetensors.torch import save_file

from adapters.common.errors import UserError
from core.common.home import Home
from core.common.process import Identity
from core.recipes.recipe import Recipe
from core.training.checkpoints import TORCH_FILES
from core.training.run import Run, create_run
from core.training.state import RunState
from studio.answers import checkpoints


class Loads:
    """Stands in for the engine: takes note of what it was told to load, and has it until it is told otherwise."""

    def __init__(self) -> None:
        self.loaded: list[tuple[str, str]] = []
        self.has = ["pirate", "buccaneer.step-by-step", "buccaneers.step-1"]

    def load(self, name: str, path: str) -> None:
        self.loaded.append((name, Path(path).name))
        self.has.append(name)

    def resident_adapters(self) -> list[str]:
        return self.has

    def unload(self, name: str) -> None:
        self.has.remove(name)


def checkpoint(run: Run, step: int) -> None:
    folder = run.checkpoints_folder / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    for name in ("trainer_state.json", "adapter_config.json"):
        (folder / name).write_text(json.dumps({"log_history": []}))
    for name in TORCH_FILES:
        with ZipFile(folder / name, "w") as archive:
            archive.writestr("data", "")
    save_file({"lora_A": torch.zeros(2)}, folder / "adapter_model.safetensors")


@pytest.fixture
def run(home: Home) -> Run:
    run = create_run(home, Recipe.from_dict({"dataset_name": "pirate", "run_name": "buccaneer"}))
    own = Identity.own()
    run.move(RunState.PREPARING, pid=own.pid, started=own.started)
    run.move(RunState.TRAINING)
    return run


def test_the_newest_checkpoint_is_in_the_list_and_the_choice_stays_the_same(home: Home, run: Run) -> None:
    assert checkpoints.choices(home) == []
    checkpoint(run, 20)
    ((label, first),) = checkpoints.choices(home)
    assert label == "buccaneer · step 20 (training)"
    checkpoint(run, 40)
    ((label, second),) = checkpoints.choices(home)
    assert label == "buccaneer · step 40 (training)"
    assert first == second, "who has chosen the run goes on talking to it"

    engine = Loads()
    assert checkpoints.load_model(engine, home, second) == "buccaneer.step-40"  # type: ignore[arg-type]
    checkpoint(run, 60)
    assert checkpoints.load_model(engine, home, second) == "buccaneer.step-60"  # type: ignore[arg-type]
    assert engine.loaded == [("buccaneer.step-40", "checkpoint-40"), ("buccaneer.step-60", "checkpoint-60")]


def test_older_checkpoints_leave_the_engine_as_newer_ones_come(home: Home, run: Run) -> None:
    engine = Loads()
    others = list(engine.has)
    for step in (20, 40, 100):
        checkpoint(run, step)
        checkpoints.load_model(engine, home, checkpoints.RUN_PREFIX + run.id)  # type: ignore[arg-type]
    assert engine.has == [*others, "buccaneer.step-40", "buccaneer.step-100"], "the last but one may just be asked"


def test_a_torn_checkpoint_is_not_offered(home: Home, run: Run) -> None:
    checkpoint(run, 20)
    checkpoint(run, 40)
    weights = run.checkpoints_folder / "checkpoint-40" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-3])
    ((label, _),) = checkpoints.choices(home)
    assert "step 20" in label


def test_a_finished_run_leaves_the_list_and_a_question_to_it_is_told_why(home: Home, run: Run) -> None:
    checkpoint(run, 20)
    ((_, value),) = checkpoints.choices(home)
    run.move(RunState.SAVING)
    run.move(RunState.DONE, adapter="buccaneer")
    assert checkpoints.choices(home) == []
    with pytest.raises(UserError, match="no checkpoint any more"):
        checkpoints.load_model(Loads(), home, checkpoints.RUN_PREFIX + "gone")  # type: ignore[arg-type]
    assert checkpoints.load_model(Loads(), home, value) == "buccaneer.step-20", "a column that still shows it goes on"  # type: ignore[arg-type]


def test_an_adapters_name_is_passed_on_as_it_is(home: Home) -> None:
    engine = Loads()
    assert checkpoints.load_model(engine, home, "pirate") == "pirate"  # type: ignore[arg-type]
    assert not engine.loaded
