"""From a recipe and a card to what a training step takes at its peak: a list of parts, each explained in a sentence."""

from __future__ import annotations

from dataclasses import dataclass

from core.models.target_modules import UNSERVED
from core.planner import memory
from core.planner.gpus import Gpu
from core.planner.memory import EFFICIENT, MicroBatch
from core.planner.model_shape import EAGER, ModelShape
from core.recipes.recipe import Recipe

MIB = 1 << 20
CUDA_CONTEXT = 450 * MIB  # per process: driver, loaded kernels, cuBLAS workspace; see docs/planner.md
CPU_TRAINER, CPU_ENGINE = 505 * MIB, 380 * MIB  # without any base; what both map of libraries counts as the trainer's
GAPS_AT_REST, GAPS_AT_WORK = 0.025, 0.25  # of the base, and of what one layer's work takes; see docs/planner.md
CPU_FRAGMENTATION = 0.35  # of what comes and goes: glibc keeps freed blocks of up to 32 MiB for the next step
TRAINING, CHAT = "training", "chat"


@dataclass(frozen=True)
class MemoryPart:
    """One thing that takes memory. `owner` is TRAINING or CHAT: what would be left without chat is all of the first."""

    name: str
    bytes: int
    explanation: str
    owner: str = TRAINING


def micro_batch_of(
    recipe: Recipe,
    shape: ModelShape,
    gpu: Gpu,
    *,
    longest: int | None = None,
    evaluation: bool = False,
    written_out: bool = False,
) -> MicroBatch:
    """The largest micro-batch that the recipe can come to: every row as long as max_length.

    longest: tokens of the dataset's longest conversation, where known; rows are no longer, unless they are packed.
    """
    length = min(recipe.max_length, longest) if longest and not recipe.packing else recipe.max_length
    rows = recipe.per_device_eval_batch_size if evaluation else recipe.per_device_train_batch_size
    windowed = shape.window is not None and length > shape.window
    return MicroBatch(
        shape=shape,
        width=gpu.width,
        rows=rows,
        length=length,
        adapter=recipe.lora_r,
        targets=tuple(shape.targets(recipe.lora_target_modules)),
        dropout=recipe.lora_dropout > 0,
        checkpointing=recipe.gradient_checkpointing,
        masked=recipe.packing or rows > 1 or windowed,
        flash=gpu.flash,
        quantised=recipe.load_in_4bit and not written_out,
        on_cpu=gpu.on_cpu,
        embeddings=UNSERVED in shape.chosen(recipe.lora_target_modules).values(),
        frozen_head_loss=gpu.on_cpu and not evaluation and not shape.family.rescales_scores,
    )


def training_parts(
    recipe: Recipe, shape: ModelShape, gpu: Gpu, longest: int | None = None, *, written_out: bool = False
) -> list[MemoryPart]:
    """written_out: the run calculates with its 4-bit weights written out once (core.planner.training_form)."""
    step = micro_batch_of(recipe, shape, gpu, longest=longest, written_out=written_out)
    evaluation = (
        micro_batch_of(recipe, shape, gpu, longest=longest, evaluation=True, written_out=written_out)
        if recipe.eval_fraction > 0
        else None
    )
    adapter = memory.adapter_parameters(step)
    states = memory.state_bytes(memory.adapter_matrices(step), recipe.optim, memory.adapter_sides(step))
    optimiser = 0 if gpu.on_cpu else memory.optimiser_bytes(recipe.optim, adapter)
    peak = memory.peak_memory(
        step,
        evaluation,
        optimiser=optimiser,
        gradients=4 * adapter,
        accumulates=recipe.gradient_accumulation_steps > 1,
    )
    base = base_parts(shape, gpu, load_in_4bit=recipe.load_in_4bit, nested=recipe.use_bnb_nested_quant)
    parts = [
        *base,
        *([_written_out_part(shape, gpu)] if written_out else []),
        MemoryPart("Adapter", 4 * adapter, f"{count_in_words(adapter)} LoRA weights in fp32; only these are trained."),
        MemoryPart("Gradients", peak.gradients, _about_gradients(recipe)),
        MemoryPart("Optimiser states", states, _about_states(recipe.optim)),
        MemoryPart("Activations kept", peak.stored, _about_stored(step)),
        MemoryPart("Layer at work", peak.working, _about_working(step)),
        MemoryPart(
            "Unpacked matrix",
            peak.unpacking,
            "4-bit weights are unpacked to calculate with them, one matrix at a time; this is the largest."
            if step.quantised
            else "Nothing is unpacked: the weights are plain numbers.",
        ),
        MemoryPart(
            "Logits",
            peak.logits,
            "Scores over the vocabulary, calculated in tiles. They come at another moment than the layer at work, so "
            "only what exceeds that counts.",
        ),
    ]
    if peak.copies:
        text = "The whole adapter in 16 bit, until a forward ends: at another moment, too, so only what exceeds counts."
        parts.append(MemoryPart("Adapter in 16 bit", peak.copies, text))
    if peak.step:
        text = "What AdamW takes during its step beyond all that comes and goes before it; the fused one takes nothing."
        parts.append(MemoryPart("Optimiser's step", peak.step, text))
    gaps = GAPS_AT_REST * sum(part.bytes for part in base) + GAPS_AT_WORK * (peak.floating - peak.stored)
    return [*parts, *_process_parts(CPU_FRAGMENTATION * peak.floating if gpu.on_cpu else gaps, gpu)]


def base_parts(shape: ModelShape, gpu: Gpu, *, load_in_4bit: bool, nested: bool) -> list[MemoryPart]:
    linear = memory.linear_bytes(shape, gpu.width, load_in_4bit=load_in_4bit, nested=nested)
    how = "4-bit NF4 with its quantisation constants" if load_in_4bit else f"{8 * gpu.width} bit each"
    head = "which are also the head" if shape.tied else "and the head"
    return [
        MemoryPart(
            "Base weights", linear, f"{count_in_words(shape.linear_parameters)} weights of linear layers, {how}."
        ),
        MemoryPart(
            "Embeddings and head",
            memory.plain_bytes(shape, gpu.width),
            f"The embeddings of {shape.vocab:,} tokens {head}, and the norms, are not quantised: "
            f"{8 * gpu.width} bit each.",
        ),
    ]


def _written_out_part(shape: ModelShape, gpu: Gpu) -> MemoryPart:
    text = "Memory is free, so the 4-bit weights are written out once instead of unpacked again and again: faster."
    return MemoryPart("Base written out", gpu.width * shape.linear_parameters, text)


def _process_parts(gaps: float, gpu: Gpu) -> list[MemoryPart]:
    process = process_part("Process", gpu, TRAINING)
    text = "Memory is handed out in rounded blocks, with gaps between them."
    return [MemoryPart("Fragmentation", round(gaps), text), process]


def process_part(name: str, gpu: Gpu, owner: str) -> MemoryPart:
    if gpu.on_cpu:
        size = CPU_ENGINE if owner == CHAT else CPU_TRAINER
        return MemoryPart(name, size, "Python and its libraries, before any weights are loaded.", owner)
    return MemoryPart(
        name, CUDA_CONTEXT, "A CUDA context with its kernels: every process that uses the card has one.", owner
    )


def count_in_words(count: int) -> str:
    return f"{count / 1e9:.2f} billion" if count >= 1e8 else f"{count / 1e6:.1f} million"


def _about_gradients(recipe: Recipe) -> str:
    text = "One fp32 number per trained weight; the frozen base has none."
    if recipe.gradient_accumulation_steps > 1:
        return text
    return f"{text} With one micro-batch per step a layer's come as its activations go, so only what exceeds counts."


def _about_states(optim: str) -> str:
    return {
        "adamw_8bit": "AdamW's two moments per trained weight, in 8 bit each.",
        "adafactor": "Adafactor keeps means of rows and columns only.",
        "sgd": "Plain SGD keeps none.",
    }.get(optim, "AdamW's two moments per trained weight, in fp32.")


def _about_stored(step: MicroBatch) -> str:
    layers, tokens = step.shape.layers, f"{step.rows} x {step.length:,} tokens"
    if step.checkpointing:
        return f"gradient_checkpointing keeps only the input of each of {layers} layers for {tokens}."
    return f"All that {layers} layers need to go backward, for {tokens}; gradient_checkpointing would recompute it."


def _about_working(step: MicroBatch) -> str:
    text = "One layer's activations and the gradients on their way through it."
    if step.attention == EAGER:
        return f"{text} {step.shape.model_type}'s attention keeps all scores: four times as much for twice the length."
    if step.attention != EFFICIENT:
        return (
            f"{text} This card has no flash attention, and for grouped heads torch then keeps all attention scores: "
            "four times as much for twice the length."
        )
    return text
