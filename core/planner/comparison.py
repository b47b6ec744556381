"""The bars that people learn from: what training all weights takes, and what LoRA and QLoRA take, on one card."""

from __future__ import annotations

from dataclasses import dataclass

from core.planner import memory
from core.planner.gpus import Gpu
from core.planner.memory import MicroBatch
from core.planner.memory_parts import MemoryPart, count_in_words
from core.planner.model_shape import ModelShape, read_shape

RANK, LENGTH = 16, 1024
SEVEN_BILLION = "7B"
# Llama 2's 7 B layers with a vocabulary of 64,000, which makes it 7.00 billion weights: the round example of lectures.
EXAMPLE = ModelShape("7 B example", "llama", 4096, 11008, 32, 32, 32, 128, 64000, tied=False)


@dataclass(frozen=True)
class TrainingMethod:
    """One way to train. The first three parts are weights, gradients and optimiser states; `static` is their sum."""

    name: str
    parts: list[MemoryPart]
    note: str

    @property
    def static(self) -> int:
        return sum(part.bytes for part in self.parts[:3])

    @property
    def total(self) -> int:
        return sum(part.bytes for part in self.parts)

    def fits(self, gpu: Gpu) -> bool:
        return self.total <= gpu.usable


def compare_methods(base: str | ModelShape, gpu: Gpu) -> list[TrainingMethod]:
    """Five ways to train `base` on one conversation of 1024 tokens with checkpointing, each as a bar.

    base: as `core.planner.read_shape` takes it, or "7B" for the round example of 7.00 billion weights. Raises UserError
    as read_shape does.
    """
    shape = base if isinstance(base, ModelShape) else EXAMPLE if base == SEVEN_BILLION else read_shape(base)
    return [
        _all_weights(shape, gpu, 4, "Full, fp32", "Every weight, its gradient and Adam's two moments: 4 bytes each."),
        _all_weights(shape, gpu, 2, "Full, 16-bit", "The same four numbers per weight in 2 bytes each."),
        _all_weights(shape, gpu, 1, "Full, 8-bit", "The same in 1 byte each, which loses too much to train well."),
        _adapter(shape, gpu, quantised=False),
        _adapter(shape, gpu, quantised=True),
    ]


def _all_weights(shape: ModelShape, gpu: Gpu, width: int, name: str, note: str) -> TrainingMethod:
    count = shape.parameters
    # Nothing calculates in 8 bit: activations are in 16 bit at least.
    step = MicroBatch(shape, max(2, width), 1, LENGTH, adapter=0, flash=gpu.flash, quantised=False, on_cpu=gpu.on_cpu)
    parts = [
        MemoryPart("Weights", width * count, f"{count_in_words(count)} weights, {8 * width} bit each."),
        MemoryPart("Gradients", width * count, "One number per weight: in which direction to change it."),
        MemoryPart("Optimiser states", 2 * width * count, "Adam remembers two running means per weight."),
        _activations(step),
    ]
    return TrainingMethod(name, parts, note)


def _adapter(shape: ModelShape, gpu: Gpu, *, quantised: bool) -> TrainingMethod:
    step = MicroBatch(
        shape,
        2,
        1,
        LENGTH,
        adapter=RANK,
        targets=tuple(shape.linears),
        flash=gpu.flash,
        quantised=quantised,
        on_cpu=gpu.on_cpu,
    )
    trained = memory.adapter_parameters(step)
    base = memory.linear_bytes(shape, 2, load_in_4bit=quantised) + memory.plain_bytes(shape, 2)
    how = "4-bit NF4 (embeddings and head in 16 bit)" if quantised else "16 bit"
    parts = [
        MemoryPart(
            "Weights",
            base + 4 * trained,
            f"The frozen base in {how}, and {count_in_words(trained)} adapter weights in fp32.",
        ),
        MemoryPart("Gradients", 4 * trained, "Only the adapter has gradients."),
        MemoryPart("Optimiser states", 8 * trained, "And only the adapter has Adam's two running means."),
        _activations(step),
    ]
    frozen = "frozen in 4 bit" if quantised else "frozen"
    return TrainingMethod(
        "QLoRA" if quantised else "LoRA", parts, f"The base is {frozen}; an adapter of rank {RANK} learns beside it."
    )


def _activations(step: MicroBatch) -> MemoryPart:
    return MemoryPart(
        "Activations",
        memory.peak_memory(step).floating,
        f"What one conversation of {LENGTH} tokens needs on its way through, with gradient checkpointing.",
    )
