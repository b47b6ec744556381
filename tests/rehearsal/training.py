"""Steps of the real trainer at full size on a card that is not there: its memory by parts, its waits, its copies.

Everything goes through StudioTrainer.train(): PEFT's adapters on bitsandbytes' layers, accelerate's autocast and
gradient scaler, checkpointing, TRL's fused loss, the optimiser. Two optimiser steps of one micro-step each; gradients
stay after the first, so that the second is like a micro-step that comes after others.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import TrainerCallback

from benchmarks.gpu.plan import SHAPES
from core.models.base import BaseSource, load_tokenizer, resolve
from core.models.device import choose_device, choose_dtype
from core.recipes.recipe import Recipe
from core.training.trainer import StudioTrainer, build_trainer
from tests.rehearsal.allocator import replay
from tests.rehearsal.base import filled, libraries, outline
from tests.rehearsal.card import Card, present
from tests.rehearsal.recipes import recipe_for

PHASES = ("forward", "backward", "optimizer")
LISTED = 12


@dataclass
class TrainingReport:
    """Bytes. kept: what the forward leaves for the backward. peaks: the most alive in each phase. held, reserved and
    expandable: as tests.rehearsal.allocator has them. between, micro_step, step: what the watch noted between the first
    step and the second one (its batch is fetched then), in the forward and backward of that, and in its optimiser.
    dtypes: those of the results in both steps; trained: of the adapter's weights. top: what is alive at the peak, where
    that is asked for."""

    base: int = 0
    adapter: int = 0
    gradients: int = 0
    states: int = 0
    kept: int = 0
    peaks: dict[str, int] = field(default_factory=dict)
    held: int = 0
    reserved: int = 0
    expandable: int = 0
    attention: dict[str, int] = field(default_factory=dict)
    between: dict[str, Any] = field(default_factory=dict)
    micro_step: dict[str, Any] = field(default_factory=dict)
    step: dict[str, Any] = field(default_factory=dict)
    dtypes: list[str] = field(default_factory=list)
    trained: list[str] = field(default_factory=list)
    top: dict[str, int] = field(default_factory=dict)

    @property
    def peak(self) -> int:
        return max(self.peaks.values())


def rehearse(case: dict[str, Any]) -> dict[str, Any]:
    """case: card, shape, layers (None: all), recipe (settings), listed (the phase whose peak is to be listed)."""
    card = Card.named(case["card"], listed=case.get("listed"))
    shape = SHAPES[case["shape"]] | ({"num_hidden_layers": case["layers"]} if case.get("layers") else {})
    return asdict(train(card, shape, recipe_for(case["recipe"])))


def train(card: Card, shape: dict[str, Any], recipe: Recipe) -> TrainingReport:
    tokenizer = load_tokenizer(resolve("builtin"))
    report, memory = TrainingReport(), card.memory
    rows = recipe.per_device_train_batch_size
    with ExitStack() as stack:
        stack.enter_context(libraries(padded=rows > 1 and not recipe.packing, packed=bool(recipe.packing)))
        data = _dataset(recipe, 2 * rows)
        model = outline(shape, card.dtype, load_in_4bit=recipe.load_in_4bit, nested=recipe.use_bnb_nested_quant)
        stack.enter_context(present(card))
        dtype = choose_dtype(choose_device().value)
        model = filled(model, nested=recipe.use_bnb_nested_quant)
        report.base = memory.live
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        trainer = build_trainer(
            recipe,
            model=model,
            tokenizer=tokenizer,
            source=BaseSource("none", "none", local=True),
            train=data,
            held_out=None,
            folder=folder,
            dtype=dtype,
        )
        report.adapter = memory.live - report.base
        _run(trainer, card, report)
    taken = replay(memory.trace)
    report.held, report.reserved, report.expandable = taken.held, taken.reserved, taken.expandable
    report.attention, report.peaks = dict(card.attention.chosen), {name: memory.peaks.get(name, 0) for name in PHASES}
    report.top = dict(memory.at_peak.most_common(LISTED))
    return report


def _run(trainer: StudioTrainer, card: Card, report: TrainingReport) -> None:
    memory, watch = card.memory, card.watch
    trained = [weight for weight in trainer.model.parameters() if weight.requires_grad]
    report.trained = sorted({str(weight.dtype).removeprefix("torch.") for weight in trained})
    report.gradients = sum(4 * weight.numel() for weight in trained)
    resting = 0

    def take_notes() -> dict[str, Any]:
        taken = watch.notes.to_dict()
        dtypes.update(taken["dtypes"])
        watch.fresh()
        return taken

    class Phases(TrainerCallback):
        def on_step_begin(self, arguments: Any, state: Any, *others: Any, **more: Any) -> None:
            nonlocal resting
            memory.phase, resting = "forward", memory.live
            report.between = take_notes()
            if not state.global_step:
                dtypes.clear()  # until now all was made ready

        def on_pre_optimizer_step(self, *arguments: Any, **others: Any) -> None:
            memory.phase = "optimizer"
            report.micro_step = take_notes()

        def on_step_end(self, *arguments: Any, **others: Any) -> None:
            report.step = take_notes()

    dtypes: set[str] = set()

    def backward(loss: Any, **others: Any) -> None:
        report.kept = memory.live - resting
        memory.phase = "backward"
        original(loss, **others)
        memory.phase = "forward"

    original: Callable[..., None] = trainer.accelerator.backward
    trainer.accelerator.backward = backward
    trainer._save_checkpoint = lambda *_: None  # type: ignore[method-assign]  # there is nothing to write
    trainer.model.zero_grad = lambda *_, **__: None
    trainer.add_callback(Phases())
    memory.forget_peaks()
    trainer.train()
    report.states = resting - report.base - report.adapter - report.gradients
    report.dtypes = sorted(dtypes)


def _dataset(recipe: Recipe, rows: int) -> Dataset:
    length = recipe.max_length
    row: dict[str, list[int]] = {"input_ids": [7] * length, "labels": [7] * length}
    if recipe.packing:
        row["seq_lengths"] = [length // 2, length - length // 2]
    return Dataset.from_list([row] * rows)
