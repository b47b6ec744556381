"""How a run on a CPU spends free memory on speed. What it calculates stays the same, number for number.

Two things are to be had: activations that are kept instead of calculated again (no gradient_checkpointing), and the
base's 4-bit weights written out once instead of unpacked in every forward and every backward. A third costs no memory:
the conversations of a micro-batch lie end to end in one row, without padding, and each attends to itself alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from core.planner.gpus import Gpu
from core.planner.memory_parts import MemoryPart, training_parts
from core.planner.model_shape import SDPA, ModelShape
from core.recipes.recipe import Recipe

SHARE_OF_ROOM = 0.5  # a run may take this much of what is free for the sake of speed
GIB = 1 << 30
PADDING_FREE = "The conversations of a micro-batch lie end to end, without padding; each attends to itself alone."


@dataclass(frozen=True)
class TrainingForm:
    """recipe: the one given, with gradient_checkpointing as the run has it. written_out: the base's weights are plain
    fp32 numbers. parts: the memory that the run takes so. reason: in words that can be shown to a person.
    padding_free: conversations lie end to end, as TRL's setting of that name has it."""

    recipe: Recipe
    written_out: bool
    parts: list[MemoryPart]
    reason: str
    padding_free: bool = False

    @property
    def total(self) -> int:
        return sum(part.bytes for part in self.parts)


def choose_form(
    recipe: Recipe, shape: ModelShape, gpu: Gpu, *, room: int | None = None, longest: int | None = None
) -> TrainingForm:
    """The fastest form that takes no more than half of `room` (bytes; None: all that `gpu` has)."""
    frugal = _form(recipe, shape, gpu, longest, recipe.gradient_checkpointing, written_out=False)
    if not gpu.on_cpu:
        return replace(frugal, reason="on a GPU memory is what is scarce")
    available = gpu.usable if room is None else room
    forms = [
        _form(recipe, shape, gpu, longest, checkpointing, written_out=written_out)
        for checkpointing in dict.fromkeys((False, recipe.gradient_checkpointing))
        for written_out in dict.fromkeys((recipe.load_in_4bit, False))
    ]
    fitting = (form for form in forms if form.total <= SHARE_OF_ROOM * available)
    chosen = next(fitting, frugal)
    return replace(
        chosen,
        reason=f"{chosen.total / GIB:.1f} GiB of {available / GIB:.1f} GiB",
        padding_free=_can_be_padding_free(recipe, shape, longest),
    )


def _can_be_padding_free(recipe: Recipe, shape: ModelShape, longest: int | None) -> bool:
    """Whether there is something to gain, nobody has chosen otherwise, and the base's attention can be so divided."""
    length = min(recipe.max_length, longest or recipe.max_length)
    has_full_attention = shape.family.attention == SDPA and (shape.window is None or length <= shape.window)
    has_several = recipe.packing is None and recipe.per_device_train_batch_size > 1
    return has_full_attention and (has_several or bool(recipe.packing))


def _form(
    recipe: Recipe, shape: ModelShape, gpu: Gpu, longest: int | None, checkpointing: bool, *, written_out: bool
) -> TrainingForm:
    settled = replace(recipe, gradient_checkpointing=checkpointing)
    parts = training_parts(settled, shape, gpu, longest, written_out=written_out)
    return TrainingForm(settled, written_out, parts, "")
