"""How fast this machine trains a recipe: a few real steps on its real data. core.training.speeds keeps the results."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from core.common.home import Home
from core.recipes.recipe import Recipe

STEPS = 6  # the first is not counted: it warms up


def calibrate(recipe: Recipe, home: Home) -> list[float]:
    """Train a few micro-batches and throw the result away; returns tokens per second of each step but the first.

    The base is loaded as a run would load it. Raises UserError as a run would: for the dataset, the base, the device.
    """
    from transformers import TrainerCallback

    from core.models.base import load_tokenizer, read_config, resolve
    from core.models.base_check import vocabulary
    from core.models.device import choose_device, choose_dtype
    from core.models.shared_weights.shared_base import open_base
    from core.training.dataset import prepare_data
    from core.training.speed_for_memory import choose_form_here
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
    form = choose_form_here(short, data.longest, home)
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(
            form.recipe,
            model=model,
            tokenizer=tokenizer,
            source=source,
            train=data.train,
            held_out=None,
            folder=Path(folder),
            dtype=choose_dtype(device, model.config.model_type),
            written_out=form.written_out,
            callbacks=[Clock()],
        )
        trainer.train()
    return [(tokens - before) / (now - then) for (then, before), (now, tokens) in pairwise(marks)]
