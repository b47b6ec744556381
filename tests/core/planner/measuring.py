"""Real tiny models under real training steps, and what of their memory can be counted: saved tensors and live ones."""

from __future__ import annotations

import contextlib
import tempfile
import weakref
from collections.abc import Iterator
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig, PretrainedConfig
from trl.trainer.utils import add_fused_lm_head

from core.models.base import frozen
from core.planner.memory import MATH, MicroBatch
from core.planner.model_shape import FAMILIES, ModelShape, shape_of

VOCABULARY = 512
SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 192,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 4096,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "tie_word_embeddings": False,
}
OWN: dict[str, dict[str, Any]] = {
    "qwen3": {"head_dim": 24},
    "gemma": {"head_dim": 24, "tie_word_embeddings": True},
    "gemma2": {"head_dim": 24, "query_pre_attn_scalar": 24, "tie_word_embeddings": True},
    "gemma3_text": {"head_dim": 24, "query_pre_attn_scalar": 24, "tie_word_embeddings": True},
}


def config_of(family: str, **changes: Any) -> PretrainedConfig:
    return AutoConfig.for_model(family, **(SIZES | OWN.get(family, {}) | changes))


def shape(config: PretrainedConfig) -> ModelShape:
    """Read from JSON, as the planner does it."""
    return shape_of(config.to_dict(), config.model_type)


def base(config: PretrainedConfig, width: int, *, quantised: bool = True) -> Any:
    """A random base, its linear layers quantised by bitsandbytes, as core.models.base.load_model leaves it."""
    dtype = torch.float32 if width == 4 else torch.bfloat16
    attention = FAMILIES[config.model_type].attention
    torch.manual_seed(0)
    made = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation=attention)
    if not quantised:
        return made
    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    with tempfile.TemporaryDirectory() as folder:
        made.save_pretrained(folder)
        loaded = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, attn_implementation=attention, quantization_config=settings
        )
    return frozen(loaded)


def with_adapter(model: Any, step: MicroBatch) -> Any:
    names = sorted(
        {path.rpartition(".")[2] for path in step.targets} | ({"embed_tokens"} if step.embeddings else set())
    )
    made = get_peft_model(
        model, LoraConfig(r=step.adapter, target_modules=names, lora_dropout=0.1 if step.dropout else 0.0)
    )
    for parameter in made.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()  # as core.training.trainer does
    made.enable_input_require_grads()
    return made


def trained(config: PretrainedConfig, step: MicroBatch) -> Any:
    """The model of a step: with an adapter, or with all of its weights to be trained."""
    made = base(config, step.width, quantised=step.quantised)
    if step.adapter:
        made.requires_grad_(False)
        made = with_adapter(made, step)
    if step.checkpointing:
        made.gradient_checkpointing_enable()
    return made.train()


def step_for(config: PretrainedConfig, **settings: Any) -> MicroBatch:
    described = shape(config)
    given: dict[str, Any] = {"width": 4, "rows": 1, "length": 128, "adapter": 8, "checkpointing": False, "on_cpu": True}
    given |= {"targets": tuple(described.linears)}
    return MicroBatch(described, **(given | settings))


def inputs(step: MicroBatch) -> dict[str, Any]:
    """A micro-batch; where the step has a mask, its first row is padded."""
    tokens = torch.randint(3, step.shape.vocab, (step.rows, step.length))
    mask = torch.ones_like(tokens)
    if step.masked:
        mask[0, -step.length // 4 :] = 0
    return {"input_ids": tokens, "attention_mask": mask, "use_cache": False}


@contextlib.contextmanager
def precision(step: MicroBatch) -> Iterator[None]:
    """Autocast as accelerate sets it for fp16 and bf16. PEFT asks CUDA's switch, wherever it runs."""
    with contextlib.ExitStack() as stack:
        if step.width == 2:
            stack.enter_context(as_on_cuda())
            stack.enter_context(torch.autocast("cpu", torch.bfloat16))
        yield


@contextlib.contextmanager
def as_on_cuda() -> Iterator[None]:
    before = torch.is_autocast_enabled("cuda")
    torch.set_autocast_enabled("cuda", True)
    try:
        yield
    finally:
        torch.set_autocast_enabled("cuda", before)


@contextlib.contextmanager
def kernel(step: MicroBatch) -> Iterator[None]:
    """Have torch calculate attention as it would on the step's device."""
    with sdpa_kernel(SDPBackend.MATH) if step.attention == MATH else contextlib.nullcontext():
        yield


def backbone(model: Any) -> Any:
    whole = model.get_base_model() if hasattr(model, "get_base_model") else model
    return whole.base_model


def saved_bytes(config: PretrainedConfig, step: MicroBatch) -> int:
    """Bytes of tensors that the second layer saves for its backward, each storage once, weights left out."""
    model = trained(config, step)
    body = backbone(model)
    weights = {weight.untyped_storage().data_ptr() for weight in (*model.parameters(), *model.buffers())}
    sizes: dict[int, int] = {}
    kept: list[Tensor] = []  # alive, so that no storage takes another's address
    inside = False

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if inside and storage.data_ptr() not in weights and storage.data_ptr() not in seen:
            sizes[storage.data_ptr()] = storage.nbytes()
        if not inside:
            seen.add(storage.data_ptr())
        kept.append(tensor)
        return tensor

    def enter(*_: Any) -> None:
        nonlocal inside
        inside = True

    def leave(*_: Any) -> None:
        nonlocal inside
        inside = False

    seen: set[int] = set()
    layer = body.layers[1]
    layer.register_forward_pre_hook(enter)
    layer.register_forward_hook(leave)
    with precision(step), kernel(step), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        body(**inputs(step))
    return sum(sizes.values())


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all tensor storages that are alive, and the most there were. Those before it do not count."""

    def __init__(self, before: list[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live: int = 0
        self.peak: int = 0
        self._known: dict[int, weakref.ref[Any]] = {}
        for tensor in before:
            storage = tensor.untyped_storage()
            self._known[id(storage)] = weakref.ref(storage)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return result

    def _count(self, storage: Any) -> None:
        key, size = id(storage), storage.nbytes()
        if key in self._known and self._known[key]() is storage:
            return

        def gone(_: Any) -> None:
            self.live -= size
            self._known.pop(key, None)

        self._known[key] = weakref.ref(storage, gone)
        self.live += size
        self.peak = max(self.peak, self.live)


def step_peak(config: PretrainedConfig, step: MicroBatch) -> int:
    """The most bytes alive in one micro-batch, loss included, beyond weights and gradients."""
    model = trained(config, step)
    add_fused_lm_head(model.get_base_model(), outputs=("log_probs", "entropy", "is_top1"))  # as TRL's trainer does
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)
    given = inputs(step)
    labels = torch.where(given["attention_mask"] == 1, given["input_ids"], -100)
    with kernel(step), LiveBytes([*model.parameters(), *model.buffers()]) as bytes_alive:
        with precision(step):
            loss = model(**given, labels=labels, fused_lm_head=True).loss
        # Checkpointing sets autocast anew for what it calculates again, on CUDA that very switch too.
        with as_on_cuda() if step.width == 2 else contextlib.nullcontext():
            loss.backward()
        return int(bytes_alive.peak)
