"""What goes into a product: a token's numbers, normed or gated where the layer asks for it, as 16-bit integers, and
their product with LoRA's first matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

from core.serving.kernels.layout import A_STRIDE, A_WIDTH, BLOCK, INPUT_LEVELS, IS_GATED, LORA_A, PLACES
from core.serving.kernels.numbers import F32, FAST, I32, clear, exp
from core.serving.kernels.row_times_matrix import HALF_BYTES, add_row_times_matrix

_places = np.array(PLACES)
_magnitude = I32(0x7FFFFFFF)


@njit(fastmath=FAST, cache=True)
def norm(x: Any, weight: Any, eps: Any, normed: Any) -> None:
    """x / sqrt(mean(x^2) + eps) * weight (Zhang and Sennrich 2019)."""
    squares = F32(0)
    for i in range(len(x)):
        squares += x[i] * x[i]
    scale = F32(1) / np.sqrt(squares / F32(len(x)) + eps)
    for i in range(len(x)):
        normed[i] = x[i] * scale * weight[i]


@njit(fastmath=FAST, cache=True)
def _gate(gate_up: Any) -> None:
    """silu(gate) * up, in the place of gate."""
    size = len(gate_up) // 2
    for i in range(size):
        gate = gate_up[i]
        gate_up[i] = gate / (F32(1) + exp(-gate)) * gate_up[size + i]


@njit(fastmath=FAST, cache=True)
def _round(x: Any, rounded: Any) -> Any:
    """x [in] as int16 in the order of the blocks' places, zeros behind; the result is their scale.

    The scale is NaN or infinite if a number is, so that the product's row is no number then.
    """
    bits = x.view(np.int32)
    largest = I32(0)
    for i in range(len(bits)):  # as integers the bits of magnitudes are in order, NaN above all
        largest = max(largest, I32(bits[i] & _magnitude))
    scale = I32(largest).view(np.float32) / F32(INPUT_LEVELS)
    inverse = F32(1) / scale if scale > F32(1e-37) else F32(0)
    for start in range(0, len(rounded), BLOCK):
        for place in range(BLOCK):
            i = start + _places[place]
            rounded[start + place] = np.int16(np.rint(x[i] * inverse)) if i < len(x) else np.int16(0)
    return scale


@njit(fastmath=FAST, cache=True)
def _take_in_token(
    token: int, values: Any, weight: Any, eps: Any, product: Any, slot: int, rounded: Any, scratch: Any
) -> None:
    x = values
    if len(weight):
        x = scratch.normed[token]
        norm(values, weight, eps, x)
    elif product[IS_GATED]:
        _gate(values)
        x = values[: len(values) // 2]
    if slot >= 0 and product[LORA_A]:
        width, matrix, hidden = product[A_WIDTH], product[LORA_A] + slot * product[A_STRIDE], scratch.lora[token]
        clear(hidden[:width])
        add_row_times_matrix(x.ctypes.data, len(x), matrix, HALF_BYTES, width, hidden.ctypes.data, width)
    scratch.scales[token] = _round(x, rounded)


@njit(parallel=True, nogil=True, fastmath=FAST, cache=True)
def _take_in_all(values: Any, weight: Any, eps: Any, product: Any, slots: Any, rounded: Any, scratch: Any) -> None:
    for token in prange(len(slots)):
        number = np.int64(token)
        _take_in_token(number, values[number], weight, eps, product, slots[number], rounded[number], scratch)


@njit(nogil=True, cache=True)
def take_in(values: Any, weight: Any, eps: Any, product: Any, slots: Any, rounded: Any, scratch: Any) -> None:
    """Make a product's inputs ready, on a thread per token: `rounded`, and scratch's `scales` and `lora`.

    values: float32 [tokens, in], which are normed if `weight` [in] is not empty; if the product IS_GATED, gate and up
    [tokens, 2 * in], which are made one. product: a row of the table of products. slots: int64 [tokens].
    """
    if len(slots) == 1:  # a call of the threads costs more than the token
        _take_in_token(np.int64(0), values[0], weight, eps, product, slots[0], rounded[0], scratch)
    else:
        _take_in_all(values, weight, eps, product, slots, rounded, scratch)
