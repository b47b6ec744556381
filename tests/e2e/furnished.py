"""A home folder with things in it, made in a moment: two adapters that fit the built-in base, two ended runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy

from adapters.store import AdapterStore
from core.common.home import Home
from core.models.builtin import BASE_DIR
from core.recipes.recipe import Recipe
from core.training.events import Evaluation, Progress, append_event
from core.training.run import create_run
from core.training.speeds import MeasuredSpeed, save_speed, this_machine
from core.training.state import RunState
from tests.adapters.folders import weights, write_adapter

# Untrained: they answer, though not sensibly, and otherwise than the base and than each other.
ADAPTERS = ("gull", "wren")
RUNS = {"slow": 1e-4, "quick": 1e-3}  # name -> learning_rate


def know_a_speed(home: Home) -> None:
    """Spare a studio the half minute of training in which it finds out, when left alone, how fast its machine is."""
    recipe = Recipe.from_dict({"dataset_name": "pirate"}).to_dict()
    save_speed(home, MeasuredSpeed(recipe, [1000.0], machine=this_machine()))


def furnish(home: Home, scratch: Path) -> None:
    know_a_speed(home)
    store = AdapterStore(home.adapters)
    for seed, name in enumerate(ADAPTERS, 1):
        store.import_folder(write_adapter(scratch / name, tensors=some_weights(seed)), name)
    for name, rate in RUNS.items():
        run = create_run(
            home, Recipe.from_dict({"dataset_name": "pirate", "run_name": name, "learning_rate": rate, "max_steps": 20})
        )
        for step in range(1, 21):
            loss = 2 * (1 - 300 * rate) ** step + 0.1
            append_event(
                run.events_path, Progress(step=step, max_steps=20, epoch=step / 20, loss=loss, learning_rate=rate)
            )
        append_event(run.events_path, Evaluation(step=20, eval_loss=loss))
        with run.state_file.locked() as change:
            for state in (RunState.PREPARING, RunState.TRAINING, RunState.SAVING, RunState.DONE):
                change.move(state)


def some_weights(seed: int) -> dict[str, numpy.ndarray]:
    config = json.loads((BASE_DIR / "config.json").read_text())
    hidden, wide = config["hidden_size"], config["intermediate_size"]
    layers = range(config["num_hidden_layers"])
    tensors = weights({f"model.layers.{layer}.mlp.up_proj": (wide, hidden) for layer in layers}, seed=seed)
    return {name: values * (0.5 if "lora_B" in name else 1.0) for name, values in tensors.items()}
