"""The layers of a Llama-like model over the new tokens of some rows, from embeddings to logits, in two calls.

For each layer: norm, queries/keys/values, rotation, cache, attention, output, norm, gate/up, SiLU, down. What depends
on a token alone runs on a thread per token, products on a thread per some outputs, attention on a thread per head.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from core.serving.kernels.attention import attend
from core.serving.kernels.inputs import norm, take_in
from core.serving.kernels.layout import BLOCK, FIRST_TASK, LAST_TASK, MEMBER_FIELDS, PRODUCT_FIELDS
from core.serving.kernels.numbers import FAST, copy, floats_at
from core.serving.kernels.products import run_tasks

PRODUCTS = 4  # of a layer: queries/keys/values, output, gate/up, down


class ModelTables(NamedTuple):
    """What a model is."""

    products: Any
    """int64 [layers * 4 + 1, PRODUCT_FIELDS], the head last."""
    tasks: Any
    """int64 [tasks, TASK_FIELDS]"""
    members: Any
    """int64 [members, MEMBER_FIELDS]"""
    norms: Any
    """float32 [layers * 2 + 1, hidden], the last norm last."""
    no_norm: Any
    """float32 [0], the norm of what is not normed."""
    head_norms: Any
    """float32 [layers, 2, head_dim], those of queries and keys; [0, 2, head_dim] for models without."""
    eps: Any
    """float32 [3]: of `norms`, and of the norms of queries and keys."""
    cache: Any
    """int64 [layers, 2]: addresses of keys and values, float32 [key heads, budget, head_dim]."""
    windows: Any
    """int64 [layers]: how many tokens a row sees, 0 for all."""
    sizes: Any
    """int64: heads, key heads, head_dim, budget of the cache, size of gate."""
    scaling: Any
    """float32: of attention's scores."""


class StepInputs(NamedTuple):
    """The tokens of a forward; int64 [tokens] where nothing is said."""

    slots: Any
    """Below 0 for the base."""
    writes: Any
    """Where the token's keys and values go, counted from the start of the cache."""
    blocks: Any
    """int64 [blocks, BLOCK_FIELDS]: which tokens follow one another in a row."""
    cos: Any
    """float32 [tokens, head_dim], of each token's position."""
    sin: Any


class Scratch(NamedTuple):
    """Memory between the parts of a layer; a row for each token."""

    normed: Any
    """float32 [rows, hidden]"""
    rounded_hidden: Any
    """int16 [rows, hidden in whole blocks]"""
    rounded_heads: Any
    """int16 [rows, heads * head_dim in whole blocks]"""
    rounded_gate: Any
    """int16 [rows, gate in whole blocks]"""
    scales: Any
    """float32 [rows]"""
    heads: Any
    """float32 [rows, (heads + 2 * key heads) * head_dim]"""
    attended: Any
    """float32 [rows, heads * head_dim]"""
    gate_up: Any
    """float32 [rows, 2 * gate]"""
    lora: Any
    """float32 [rows, largest width of an A]"""


@njit(fastmath=FAST, cache=True)
def _rotate(x: Any, cos: Any, sin: Any) -> None:
    """The rotary embedding of one head in place (Su et al. 2021, the halves as in transformers)."""
    half = len(x) // 2
    for i in range(half):
        first, second = x[i], x[half + i]
        x[i] = first * cos[i] - second * sin[i]
        x[half + i] = second * cos[half + i] + first * sin[half + i]


@njit(nogil=True, fastmath=FAST, cache=True)
def _rotate_and_cache(layer: int, model: Any, inputs: Any, scratch: Any) -> None:
    heads, key_heads, dim, budget = model.sizes[0], model.sizes[1], model.sizes[2], model.sizes[3]
    keys = floats_at(model.cache[layer, 0], (key_heads, budget, dim))
    values = floats_at(model.cache[layer, 1], (key_heads, budget, dim))
    has_norms = len(model.head_norms) > 0
    for row in range(len(inputs.slots)):
        cos, sin, place = inputs.cos[row], inputs.sin[row], inputs.writes[row]
        for head in range(heads + key_heads):
            x = scratch.heads[row, head * dim : (head + 1) * dim]
            if has_norms:
                is_key = 1 if head >= heads else 0
                norm(x, model.head_norms[layer, is_key], model.eps[1 + is_key], x)
            _rotate(x, cos, sin)
        for head in range(key_heads):
            start = (heads + head) * dim
            copy(scratch.heads[row, start : start + dim], keys[head, place])
            start += key_heads * dim
            copy(scratch.heads[row, start : start + dim], values[head, place])


@njit(nogil=True, cache=True)
def run_layers(model: Any, inputs: Any, scratch: Any, hidden: Any) -> None:
    """All layers. hidden: float32 [tokens, hidden], the tokens' embeddings, of which it makes the layers' result.

    model: ModelTables. inputs: StepInputs. scratch: Scratch, of exactly as many tokens.
    """
    slots, members, tasks, lora = inputs.slots, model.members, model.tasks, scratch.lora
    rounded_hidden, scales = scratch.rounded_hidden, scratch.scales
    for layer in range(len(model.cache)):
        first = layer * PRODUCTS
        qkv, out = model.products[first], model.products[first + 1]
        gate_up, down = model.products[first + 2], model.products[first + 3]
        take_in(hidden, model.norms[2 * layer], model.eps[0], qkv, slots, rounded_hidden, scratch)
        part = tasks[qkv[FIRST_TASK] : qkv[LAST_TASK]]
        run_tasks(part, rounded_hidden, scales, scratch.heads, qkv, slots, lora, members)
        _rotate_and_cache(layer, model, inputs, scratch)
        attend(layer, model, inputs, scratch.heads, scratch.attended)
        take_in(scratch.attended, model.no_norm, model.eps[0], out, slots, scratch.rounded_heads, scratch)
        part = tasks[out[FIRST_TASK] : out[LAST_TASK]]
        run_tasks(part, scratch.rounded_heads, scales, hidden, out, slots, lora, members)
        take_in(hidden, model.norms[2 * layer + 1], model.eps[0], gate_up, slots, rounded_hidden, scratch)
        part = tasks[gate_up[FIRST_TASK] : gate_up[LAST_TASK]]
        run_tasks(part, rounded_hidden, scales, scratch.gate_up, gate_up, slots, lora, members)
        take_in(scratch.gate_up, model.no_norm, model.eps[0], down, slots, scratch.rounded_gate, scratch)
        part = tasks[down[FIRST_TASK] : down[LAST_TASK]]
        run_tasks(part, scratch.rounded_gate, scales, hidden, down, slots, lora, members)


@njit(nogil=True, cache=True)
def run_head(model: Any, slots: Any, scratch: Any, hidden: Any, logits: Any) -> None:
    """logits [rows, vocabulary] of what the layers have made of some tokens, hidden [rows, hidden]. slots: [rows]."""
    head = model.products[len(model.products) - 1]
    last = model.norms[len(model.norms) - 1]
    take_in(hidden, last, model.eps[0], head, slots, scratch.rounded_hidden, scratch)
    part = model.tasks[head[FIRST_TASK] : head[LAST_TASK]]
    run_tasks(part, scratch.rounded_hidden, scratch.scales, logits, head, slots, scratch.lora, model.members)


@njit(nogil=True, cache=True)
def _multiply(tasks: Any, x: Any, weight: Any, product: Any, slots: Any, scratch: Any, members: Any, y: Any) -> None:
    take_in(x, weight, np.float32(0), product, slots, scratch.rounded_hidden, scratch)
    run_tasks(tasks, scratch.rounded_hidden, scratch.scales, y, product, slots, scratch.lora, members)


def multiply(tasks: Any, x: Any, y: Any) -> None:
    """One product outside of a forward: y [rows, out] = W x. x: float32 [rows, in], tasks: [tasks, TASK_FIELDS]."""
    rows, size = x.shape
    nothing, no_codes = np.empty((rows, 0), np.float32), np.empty((rows, 0), np.int16)
    scratch = Scratch(
        normed=nothing,
        rounded_hidden=np.empty((rows, -(-size // BLOCK) * BLOCK), np.int16),
        rounded_heads=no_codes,
        rounded_gate=no_codes,
        scales=np.empty(rows, np.float32),
        heads=nothing,
        attended=nothing,
        gate_up=nothing,
        lora=nothing,
    )
    _multiply(tasks, x, _NO_NORM, _NO_PRODUCT, np.full(rows, -1), scratch, _NO_MEMBERS, y)


_NO_NORM, _NO_PRODUCT = np.empty(0, np.float32), np.zeros(PRODUCT_FIELDS, np.int64)
_NO_MEMBERS = np.empty((0, MEMBER_FIELDS), np.int64)


def compile_all() -> None:
    """Have all compiled, by calls on nothing."""
    numbers, matrix = np.empty(0, np.int64), np.empty((0, 0), np.float32)
    table, codes = np.empty((0, 0), np.int64), np.empty((0, 0), np.int16)
    few = np.zeros(5, np.int64)
    model = ModelTables(
        products=np.zeros((1, PRODUCT_FIELDS), np.int64),
        tasks=table,
        members=table,
        norms=np.empty((1, 0), np.float32),
        no_norm=_NO_NORM,
        head_norms=np.empty((0, 0, 0), np.float32),
        eps=np.ones(3, np.float32),
        cache=table,
        windows=numbers,
        sizes=few,
        scaling=np.float32(1),
    )
    scratch = Scratch(matrix, codes, codes, codes, np.empty(0, np.float32), matrix, matrix, matrix, matrix)
    run_layers(model, StepInputs(numbers, numbers, table, matrix, matrix), scratch, matrix)
    run_head(model, numbers, scratch, matrix, matrix)
    multiply(table, matrix, matrix)
