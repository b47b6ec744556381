"""How fast this machine trains a base: a few real steps, an evaluation and a checkpoint, of which only the times stay.

    python -m core.training.calibration --base BASE --home HOME

measures a base by itself, on a bundled sample, in micro-batches of several sizes; the studio starts it in the
background (studio/engine/background_measurement.py). What it is at it says line by line. core.training.speeds keeps the
results.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from core.common.home import Home
from core.planner.time import Costs
from core.recipes.recipe import Recipe
from core.training.speeds import MeasuredSpeed, save_speed, this_machine

STEPS = 6  # the first is not counted: it warms up
SAMPLE = "pirate"
MEASURING = "measuring: "  # how lines begin that tell what `plan --calibrate` is at
MICRO_BATCHES = (1, 4, 16)  # rows; with these the time of any other size is known


def calibrate(
    recipe: Recipe, home: Home, say: Callable[[str], None] = lambda phase: None, *, with_costs: bool = True
) -> MeasuredSpeed:
    """Train a few micro-batches and throw the result away: tokens per second of each but the first, and the costs.

    The base is loaded as a run would load it. with_costs: also evaluate, write a checkpoint and answer the questions.
    Raises UserError as a run would: for the dataset, the base, the device.
    """
    from transformers import TrainerCallback

    from core.models.base import load_tokenizer, read_config, resolve
    from core.models.base_check import vocabulary
    from core.models.device import choose_device, choose_dtype
    from core.models.shared_weights.shared_base import open_base
    from core.training.dataset import prepare_data
    from core.training.sample_answers import choose_prompts, generate_answers
    from core.training.speed_for_memory import choose_form_here
    from core.training.trainer import build_trainer

    prepared = 0.0
    marks: list[tuple[float, int]] = []

    class Clock(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            nonlocal prepared
            prepared = time.time() - psutil.Process().create_time()

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            marks.append((time.perf_counter(), trainer.tokens_seen))
            say(f"step {len(marks)} of {STEPS}")

    short = dataclasses.replace(recipe, max_steps=STEPS, gradient_accumulation_steps=1, save_steps=STEPS + 1)
    source = resolve(recipe.model_name_or_path)
    say("reading the data")
    tokenizer = load_tokenizer(source)
    data = prepare_data(short, tokenizer, vocabulary(read_config(source)))
    device = choose_device().value
    model = open_base(
        source,
        home,
        load_in_4bit=recipe.load_in_4bit,
        use_bnb_nested_quant=recipe.use_bnb_nested_quant,
        device=device,
        progress=say,
    ).model
    form = choose_form_here(short, data.longest, home)
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(
            form.recipe,
            model=model,
            tokenizer=tokenizer,
            source=source,
            train=data.train,
            held_out=data.held_out if with_costs else None,
            folder=Path(folder),
            dtype=choose_dtype(device, model.config.model_type),
            written_out=form.written_out,
            padding_free=form.padding_free,
            callbacks=[Clock()],
        )
        trainer.train()
        rates = [(tokens - before) / (now - then) for (then, before), (now, tokens) in pairwise(marks)]
        costs = Costs()
        if with_costs:
            evaluation = None
            if data.held_out is not None:
                say("evaluating")
                evaluation = _seconds(trainer.evaluate) / sum(map(len, data.held_out["input_ids"]))
            say("saving and answering")
            prompts = choose_prompts(recipe, data.held_out_conversations)
            answering = _seconds(partial(generate_answers, trainer.model, tokenizer, prompts))
            saving = _seconds(trainer.save_now)
            # At the end base and adapter answer the questions, and the adapter is written as a checkpoint is.
            costs = Costs(prepared, evaluation, saving + answering, saving + 2 * answering)
    return MeasuredSpeed(recipe.to_dict(), rates, marks[-1][1] / len(marks), costs, this_machine())


def measure_base(base: str, home: Home, say: Callable[[str], None]) -> None:
    """Measure a base in micro-batches of several sizes, and keep what came of it once all is measured."""
    measured = []
    for number, rows in enumerate(MICRO_BATCHES, 1):
        settings = {"dataset_name": SAMPLE, "model_name_or_path": base, "per_device_train_batch_size": rows}

        def say_part(phase: str, part: str = f"{number} of {len(MICRO_BATCHES)}") -> None:
            say(f"{part}, {phase}")

        measured.append(calibrate(Recipe.from_dict(settings), home, say_part, with_costs=number == 1))
    for each in measured:
        save_speed(home, each)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def give_way() -> None:
    """Compute only where nobody else would: at the lowest priority there is."""
    os.nice(19)
    with suppress(AttributeError, OSError):  # Linux alone has it
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m core.training.calibration", description=__doc__)
    parser.add_argument("--base", required=True)
    parser.add_argument("--home", type=Path, required=True)
    given = parser.parse_args(arguments)
    give_way()
    parent = os.getppid()

    def say(phase: str) -> None:
        if os.getppid() != parent:
            sys.exit(1)  # nobody is there any more who would end it when somebody chats
        print(phase, flush=True)  # noqa: T201

    measure_base(given.base, Home.open(given.home), say)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
