"""What the chat beside a training takes, as a list of parts."""

from __future__ import annotations

from dataclasses import dataclass, field

from adapters.common.errors import UserError
from core.planner import memory
from core.planner.gpus import Gpu
from core.planner.memory import EXACT, NF4
from core.planner.memory_parts import CHAT, MemoryPart, micro_batch_of, process_part
from core.planner.model_shape import ModelShape
from core.recipes.recipe import Recipe
from core.serving.kernels import runtime
from core.serving.kv_budget import KVBudget, choose_kv_budget
from core.serving.running_engine import EngineMemory
from core.serving.settings import EngineSettings

LORA_WIDTH = 2  # bytes per number of the slots that a compiled forward reads
RANK_STEP = 8  # slots grow in steps of this (core.serving.lora.layers)
UNKNOWN_CONTEXT = 1 << 20  # tokens of a conversation, where the config names no limit
LEAST_KV_TOKENS = 4096  # what is counted where the engine itself would find no room
CPU_TOKENIZER = 850  # bytes per token of the vocabulary, for the engine's two tokenizers


@dataclass(frozen=True)
class Chat:
    """The engine beside the training, as it is set.

    shared: engine and trainer hold one copy of the base; None: see is_shared. engine: what the running one tells.
    """

    settings: EngineSettings = field(default_factory=EngineSettings)
    shared: bool | None = None
    engine: EngineMemory | None = None

    @property
    def prefill_tokens(self) -> int:
        """Prompt tokens in one prefill step: four side-by-side columns with a chunk each."""
        return 4 * self.settings.prefill_chunk


def chat_parts(recipe: Recipe, shape: ModelShape, gpu: Gpu, chat: Chat) -> list[MemoryPart]:
    """What the engine may come to take while the training runs."""
    form, slots = engine_form(shape, gpu, chat), chat.settings.slots
    shared = is_shared(recipe, gpu) if chat.shared is None else chat.shared
    rank = -(-recipe.lora_r // RANK_STEP) * RANK_STEP
    sides = sum(sum(size) for size in shape.targets(recipe.lora_target_modules).values())
    prefill = chat.prefill_tokens * gpu.width * (3 * shape.intermediate + 4 * shape.hidden)
    if form.compiled:
        prefill = memory.compiled_forward_bytes(shape)
    unpacking = 0 if gpu.on_cpu else memory.unpacking_bytes(micro_batch_of(recipe, shape, gpu))
    process = process_part("Chat: process", gpu, CHAT)
    cache = _kv_budget(shape, gpu, chat, process.bytes)
    return [
        *_second_copy(shape, gpu, shared, form),
        MemoryPart(
            "Chat: keys and values",
            cache.bytes,
            f"What the chat remembers: up to {cache.tokens:,} tokens of all open chats together, "
            f"{cache.bytes_per_token / 1024:.0f} KiB each.",
            CHAT,
        ),
        MemoryPart(
            "Chat: adapter slots",
            slots * rank * sides * shape.layers * (LORA_WIDTH if form.compiled else gpu.width),
            f"Up to {slots} adapters of rank {rank} side by side.",
            CHAT,
        ),
        MemoryPart("Chat: working memory", prefill + unpacking, "One layer of a prompt being read.", CHAT),
        *([_tokenizer_part(shape)] if gpu.on_cpu else []),
        process,
    ]


def _kv_budget(shape: ModelShape, gpu: Gpu, chat: Chat, process: int) -> KVBudget:
    """The running engine's own, else the one that an engine would have that starts on the empty device."""
    per_token = 2 * shape.layers * shape.keys * gpu.width
    if chat.engine is not None:
        return KVBudget(chat.engine.kv_budget, chat.engine.kv_bytes_per_token, "the running engine's")
    base = memory.linear_bytes(shape, gpu.width, load_in_4bit=True) + memory.plain_bytes(shape, gpu.width)
    written = sum(part.bytes for part in _second_copy(shape, gpu, True, engine_form(shape, gpu, chat)))
    context = min(shape.context or UNKNOWN_CONTEXT, chat.settings.max_length or UNKNOWN_CONTEXT)
    free = gpu.usable - process - base - written
    try:
        return choose_kv_budget(chat.settings, bytes_per_token=per_token, context=context, free=free, on_cpu=gpu.on_cpu)
    except UserError:  # the engine would not start here
        return KVBudget(LEAST_KV_TOKENS, per_token, "no room is left")


def is_shared(recipe: Recipe, gpu: Gpu) -> bool:
    """Whether one copy of the base for engine and trainer is planned with: on CPU, for the usual 4 bit only.

    shared_base has one on CUDA too, but that has not been seen to work on a card yet, and a plan must not fall short.
    """
    return gpu.on_cpu and recipe.load_in_4bit and recipe.use_bnb_nested_quant


@dataclass(frozen=True)
class EngineForm:
    """How the engine keeps the base's weights, as EngineMemory has it."""

    weights: str
    second_layout: bool = False
    compiled: bool = False


def engine_form(shape: ModelShape, gpu: Gpu, chat: Chat) -> EngineForm:
    """The running engine's own, else the one that an engine on this machine would choose; at worst, all in fp32, twice.

    Fused layers come with heads that are rotated in part, of which config.json is not asked here.
    """
    if chat.engine is not None:
        return EngineForm(chat.engine.weights, chat.engine.second_layout, chat.engine.compiled)
    takes = chat.settings.weights in ("auto", NF4) and shape.model_type in runtime.FAMILIES and not shape.family.fused
    if gpu.on_cpu and takes and not runtime.why_not():
        return EngineForm(NF4, compiled=True)
    return EngineForm(EXACT, second_layout=True)


def _second_copy(shape: ModelShape, gpu: Gpu, shared: bool, form: EngineForm) -> list[MemoryPart]:
    packed = memory.linear_bytes(shape, gpu.width, load_in_4bit=True)
    plain = memory.plain_bytes(shape, gpu.width)
    if gpu.on_cpu:
        written = memory.written_bytes(shape, form.weights, second_layout=form.second_layout)
        text = f"On a CPU the chat keeps the 4-bit weights written out ({form.weights}), which is faster."
        if form.weights == NF4:
            text = "The chat calculates with the 4-bit codes that are there; these are scales, and the head in 8 bit."
        return [MemoryPart("Chat: weights written out", written + (0 if shared else packed + plain), text, CHAT)]
    if shared:
        return []
    text = "Chat and training are two processes, and each holds the base: it is not shared between them here."
    return [MemoryPart("Chat: second copy of the base", packed + plain, text, CHAT)]


def _tokenizer_part(shape: ModelShape) -> MemoryPart:
    text = f"The vocabulary of {shape.vocab:,} tokens, for reading prompts and again for writing answers."
    return MemoryPart("Chat: tokenizer", CPU_TOKENIZER * shape.vocab, text, CHAT)
