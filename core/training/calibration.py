"""How fast this machine trains a recipe: a few real steps on its real data, and the results remembered in the home."""

from __future__ import annotations

import dataclasses
import json
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from adapters.common.files import append_line
from core.common.home import Home
from core.common.json_records import read_lines
from core.recipes.recipe import Recipe

STEPS = 6  # the first is not counted: it warms up
SPEEDS_FILE = "speeds.jsonl"


@dataclasses.dataclass(frozen=True)
class MeasuredSpeed:
    recipe: dict[str, Any]
    tokens_per_second: list[Annotated[float, Field(gt=0, allow_inf_nan=False)]]


MEASURED_SPEED = TypeAdapter(MeasuredSpeed)


def calibrate(recipe: Recipe, home: Home) -> list[float]:
    """Train a few micro-batches and throw the result away; returns tokens per second of each step but the first.

    The base is loaded as a run would load it. Raises UserError as a run would: for the dataset, the base, the device.
    """
    from transformers import TrainerCallback

    from core.models.base import load_tokenizer, read_config, resolve
    from core.models.base_check import vocabulary
    from core.models.device import choose_device, choose_dtype
    from core.models.shared_weights.shared_base import open_base
    from core.training.dataset import PackedCollator, prepare_data
    from core.training.trainer import build_trainer

    marks: list[tuple[float, int]] = []

    class Clock(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            marks.append((time.perf_counter(), trainer.tokens_seen))

    short = dataclasses.replace(recipe, max_steps=STEPS, gradient_accumulation_steps=1, save_steps=STEPS + 1)
    source = resolve(recipe.model_name_or_path)
    tokenizer = load_tokenizer(source)
    data = prepare_data(short, tokenizer, vocabulary(read_config(source)))
    device = choose_device().value
    model = open_base(
        source,
        home,
        load_in_4bit=recipe.load_in_4bit,
        use_bnb_nested_quant=recipe.use_bnb_nested_quant,
        device=device,
    ).model
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(
            short,
            model=model,
            tokenizer=tokenizer,
            source=source,
            train=data.train,
            held_out=None,
            folder=Path(folder),
            dtype=choose_dtype(device, model.config.model_type),
            collator=PackedCollator(tokenizer.pad_token_id) if recipe.packing else None,
            callbacks=[Clock()],
        )
        trainer.train()
    return [(tokens - before) / (now - then) for (then, before), (now, tokens) in pairwise(marks)]


def save_speeds(home: Home, recipe: Recipe, rates: list[float]) -> None:
    """Keep speeds beside the recipe they were measured with. Appends one line."""
    line = json.dumps({"at": time.time(), "tokens_per_second": rates, "recipe": recipe.to_dict()})
    append_line(home.cache / SPEEDS_FILE, line.encode())


def read_speeds(home: Home) -> list[tuple[dict[str, Any], list[float]]]:
    """Recipes and their speeds, oldest first. A line that says anything else is passed over."""
    return [(each.recipe, each.tokens_per_second) for each in read_lines(home.cache / SPEEDS_FILE, MEASURED_SPEED)]
