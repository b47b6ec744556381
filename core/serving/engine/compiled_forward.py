"""A forward as one compiled call instead of some operators for each layer, where the base's form allows it."""

from __future__ import annotations

from collections.abc import Sequence as Many
from enum import IntEnum
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from core.serving.engine.attention_masks import SLIDING, AttentionMasks
from core.serving.engine.kv_cache import KVCache
from core.serving.engine.sequence import Sequence
from core.serving.engine.shared_linear import MemberLinear
from core.serving.kernels import runtime
from core.serving.kernels.layout import BLOCK
from core.serving.lora.layers import MultiLoraLinear, SharedLoraA
from core.serving.lora.slots import LoraSlots

LORA_DTYPE = torch.float16  # of the slots that the kernels read
PIECE = 256  # tokens of a prompt that go through a layer together
QUERIES = 16  # of them attend together
FIRST_ANGLES = 1024  # positions whose angles are calculated at first; twice as many each time that more are needed


class LayerPart(IntEnum):
    """The products of a layer, in their order."""

    QKV = 0
    OUT = 1
    GATE_UP = 2
    DOWN = 3


# The names that the layers of each product have, in one family or another.
PARTS: dict[LayerPart, tuple[tuple[str, ...], ...]] = {
    LayerPart.QKV: (("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"), ("self_attn.qkv_proj",)),
    LayerPart.OUT: (("self_attn.o_proj",),),
    LayerPart.GATE_UP: (("mlp.gate_proj", "mlp.up_proj"), ("mlp.gate_up_proj",)),
    LayerPart.DOWN: (("mlp.down_proj",),),
}


def why_not_compiled(model: PreTrainedModel) -> str:
    """Why a forward of this base cannot be one call, its weights being BlockLinear; empty when it can."""
    config: Any = model.config
    if model.dtype != torch.float32 or model.device.type != "cpu":
        return "that is for a base that calculates on a CPU, in float32"
    if reason := runtime.why_not():
        return reason
    if config.model_type not in runtime.FAMILIES or not type(model).__module__.startswith("transformers.models."):
        return f"the family {config.model_type} calculates in another way"
    if config.hidden_act != "silu":
        return f"its activation is {config.hidden_act}"
    if _angles(model, 1)[0].shape[-1] != model.get_submodule("model.layers.0.self_attn").head_dim:
        return "only a part of each head is rotated"
    return ""


class CompiledForward:
    """The forwards of one model, over its cache and its slots."""

    def __init__(self, model: PreTrainedModel, cache: KVCache, masks: AttentionMasks, slots: LoraSlots) -> None:
        self._kernels, self._slots, self._model = runtime.kernels(), slots, model
        self._threads = torch.get_num_threads()
        config: Any = model.config
        attention: Any = model.get_submodule("model.layers.0.self_attn")
        layers: Any = model.get_submodule("model.layers")
        spec = cache.specs[0]
        heads = config.num_attention_heads
        self._shape = (config.hidden_size, heads, spec.heads, spec.key_dim, config.intermediate_size)
        self._vocabulary = model.get_output_embeddings().out_features
        self._embedding = _array(model.get_input_embeddings().weight)
        self._cos, self._sin = _angles(model, FIRST_ANGLES)
        norms = [norm.weight for layer in layers for norm in (layer.input_layernorm, layer.post_attention_layernorm)]
        last_norm: Any = model.get_submodule("model.norm")
        head_norms = np.zeros((0, 2, spec.key_dim), np.float32)
        eps = [float(last_norm.variance_epsilon)] * 3
        if hasattr(attention, "q_norm"):
            head_norms = np.stack(
                [
                    np.stack([_array(layer.self_attn.q_norm.weight), _array(layer.self_attn.k_norm.weight)])
                    for layer in layers
                ]
            )
            eps[1:] = [float(attention.q_norm.variance_epsilon), float(attention.k_norm.variance_epsilon)]
        kinds = config.layer_types if masks.mapped else [masks.kinds[0]] * len(layers)
        self._fixed = {
            "norms": np.stack([_array(weight) for weight in [*norms, last_norm.weight]]),
            "no_norm": np.empty(0, np.float32),
            "head_norms": head_norms,
            "eps": np.array(eps, np.float32),
            "cache": np.array([cache.addresses(layer) for layer in range(len(layers))]),
            "windows": np.array([masks.window if kind == SLIDING else 0 for kind in kinds]),
            "sizes": np.array([heads, spec.heads, spec.key_dim, cache.budget, config.intermediate_size]),
            "scaling": np.float32(attention.scaling),
        }
        self._tables: Any = None
        self._tables_of: tuple[int, ...] | None = None
        self._scratch: Any = None

    def step(self, rows: Many[Sequence]) -> Tensor:
        """Read each row's last token; the result: logits [rows, vocabulary]."""
        self._update()
        tokens, slots, positions, offsets = np.array(
            [(row.output_ids[-1], row.slot, row.cached, row.kv_range.offset) for row in rows]
        ).T.copy()
        blocks = np.stack([np.arange(len(rows)), np.ones_like(slots), offsets, positions + 1], 1)
        hidden = self._run_layers(tokens, slots, positions, offsets + positions, blocks)
        return self._run_head(slots, hidden)

    def chunk(self, rows: Many[Sequence], start: int, stop: int) -> Tensor:
        """Read tokens start..stop-1 of the rows' prompts; the result: logits [rows, vocabulary] after the last one."""
        self._update()
        last = []
        for row in rows:
            for first in range(start, stop, PIECE):
                positions = np.arange(first, min(first + PIECE, stop))
                tokens = np.array(row.prompt_ids[first : first + len(positions)])
                offset = row.kv_range.offset
                blocks = [
                    (i, min(QUERIES, len(positions) - i), offset, first + i + 1)
                    for i in range(0, len(positions), QUERIES)
                ]
                slots = np.full(len(positions), row.slot)
                hidden = self._run_layers(tokens, slots, positions, offset + positions, np.array(blocks))
            last.append(hidden[-1])
        return self._run_head(np.array([row.slot for row in rows]), np.stack(last))

    def _update(self) -> None:
        """Before a forward: threads may be others than before, and the slots may have moved to other memory."""
        runtime.use_threads(self._threads)
        if self._tables_of != self._slots.shape:
            self._tables, self._tables_of = self._make_tables(), self._slots.shape

    def _run_layers(self, tokens: Any, slots: Any, positions: Any, writes: Any, blocks: Any) -> Any:
        """What the layers make of some tokens, float32 [tokens, hidden]. The other arguments: see StepInputs."""
        longest = int(positions.max()) + 1
        if longest > len(self._cos):
            self._cos, self._sin = _angles(self._model, max(longest, 2 * len(self._cos)))
        inputs = self._kernels.StepInputs(slots, writes, blocks, self._cos[positions], self._sin[positions])
        hidden = self._embedding[tokens]
        self._kernels.run_layers(self._tables, inputs, self._scratch_for(len(tokens)), hidden)
        return hidden

    def _run_head(self, slots: Any, hidden: Any) -> Tensor:
        logits = torch.empty(len(hidden), self._vocabulary)
        self._kernels.run_head(self._tables, slots, self._scratch_for(len(hidden)), hidden, logits.numpy())
        return logits

    def _make_tables(self) -> Any:
        products: list[list[int]] = []
        tasks: list[list[int]] = []
        members: list[list[int]] = []
        width = 0
        layers = self._model.config.num_hidden_layers
        for number, (paths, linear) in enumerate(_products(self._model)):
            first_task, first_member, first_column = len(tasks), len(members), 0
            lora_a: SharedLoraA | None = None
            for layer in map(self._model.get_submodule, paths):
                lora = [0, 0, 0, 0]
                if isinstance(layer, MultiLoraLinear) and layer.rank:
                    lora_a = layer.lora_a
                    lora = [layer.B.data_ptr(), layer.B[0].nbytes, layer.rank, layer.index * layer.rank]
                outputs = _base(layer).out_features
                members.append([*lora, first_column, outputs])
                first_column += outputs
            tasks += linear.tasks(range(first_member, len(members)))
            a = [0, 0, 0] if lora_a is None else [lora_a.A.data_ptr(), lora_a.A[0].nbytes, lora_a.A.shape[2]]
            width = max(width, a[2])
            part = LayerPart(number % len(LayerPart)) if number < layers * len(LayerPart) else None
            is_gated, is_added = part is LayerPart.DOWN, part in (LayerPart.DOWN, LayerPart.OUT)
            products.append([first_task, len(tasks), *a, is_gated, is_added])
        self._scratch, self._lora_width = None, width
        return self._kernels.ModelTables(
            products=np.array(products), tasks=np.array(tasks), members=np.array(members), **self._fixed
        )

    def _scratch_for(self, tokens: int) -> Any:
        if self._scratch is None or len(self._scratch.scales) < tokens:
            hidden, heads, key_heads, dim, gate = self._shape
            room = max(PIECE, tokens)

            # torch's memory begins where a line of the processor's cache does, and NumPy's often in the middle of one.
            def blocks(size: int) -> Any:
                return torch.empty(room, -(-size // BLOCK) * BLOCK, dtype=torch.int16).numpy()

            def floats(*shape: int) -> Any:
                return torch.empty(room, *shape).numpy()

            self._scratch = self._kernels.Scratch(
                normed=floats(hidden),
                rounded_hidden=blocks(hidden),
                rounded_heads=blocks(heads * dim),
                rounded_gate=blocks(gate),
                scales=floats(),
                heads=floats((heads + 2 * key_heads) * dim),
                attended=floats(heads * dim),
                gate_up=floats(2 * gate),
                lora=floats(self._lora_width),
            )
        return self._kernels.Scratch(*(memory[:tokens] for memory in self._scratch))


def _products(model: PreTrainedModel) -> list[tuple[tuple[str, ...], Any]]:
    """The paths of each product's layers in the order of a forward, and the one layer that multiplies for them; None
    where there is none."""
    found = []
    for number in range(model.config.num_hidden_layers):
        prefix = f"model.layers.{number}."
        paths = {path for path, _ in model.get_submodule(prefix[:-1]).named_modules()}
        for names in PARTS.values():
            own = next(group for group in names if paths.issuperset(group))
            found.append(tuple(prefix + name for name in own))
    found.append(tuple(path for path, module in model.named_modules() if module is model.get_output_embeddings()))
    return [(paths, _multiplier([_base(model.get_submodule(path)) for path in paths])) for paths in found]


def _multiplier(layers: list[Any]) -> Any:
    """What multiplies for these layers, if it does so for all of them in this order."""
    if len(layers) == 1 and not isinstance(layers[0], MemberLinear):
        return layers[0]
    products = {id(layer.product): layer.product for layer in layers if isinstance(layer, MemberLinear)}
    if len(products) == 1 and [layer.index for layer in layers] == list(range(len(layers[0].product.sizes))):
        return layers[0].product.linear
    return None


def _base(layer: Any) -> Any:
    return layer.base if isinstance(layer, MultiLoraLinear) else layer


def _angles(model: PreTrainedModel, positions: int) -> tuple[Any, Any]:
    """Cosines and sines of the rotary embedding, float32 [positions, dim]."""
    rotary: Any = model.get_submodule("model.rotary_emb")
    with torch.inference_mode():
        cos, sin = rotary(torch.empty(1, 1, 1), torch.arange(positions)[None])
    return cos[0].numpy(), sin[0].numpy()


def _array(weight: Tensor) -> Any:
    return weight.detach().float().numpy()
