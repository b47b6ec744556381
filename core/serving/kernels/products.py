"""Products of weights in blocks of 64 with inputs that are rounded to 16-bit integers, and LoRA's part of them.

A weight is cut into tasks of some outputs, which run on several threads. A task reads its codes once for each eight
rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

from core.serving.kernels.block_dots import make_block_dots, widen_int8, widen_nf4
from core.serving.kernels.layout import (
    B_STRIDE,
    BIAS,
    BLOCK,
    CODES,
    COLUMN,
    COUNT,
    FIRST,
    HIDDEN,
    IS_ADDED,
    KIND,
    LORA_B,
    MEMBER,
    NF4,
    RANK,
    SCALES,
    WIDTH,
)
from core.serving.kernels.numbers import F32, FAST, floats_at
from core.serving.kernels.row_times_matrix import HALF_BYTES, add_row_times_matrix

_uintp = np.uintp
# For rows of inputs times outputs of the weight at once. A single row is done with four outputs: what it costs to begin
# and end a row of the weight is then shared.
_SHAPES = ((1, 1), (1, 4), (2, 1), (4, 1), (8, 1))
_nf4_1, _nf4_1x4, _nf4_2, _nf4_4, _nf4_8 = (make_block_dots(widen_nf4, *shape) for shape in _SHAPES)
_int8_1, _int8_1x4, _int8_2, _int8_4, _int8_8 = (make_block_dots(widen_int8, *shape) for shape in _SHAPES)


@njit(fastmath=FAST, nogil=True, cache=True)
def _run_task(task: Any, x: Any, x_scales: Any, y: Any, product: Any, slots: Any, hidden: Any, members: Any) -> None:
    rows, blocks = len(x), x.shape[1] // BLOCK
    stride = _uintp(2 * x.shape[1])
    column, outputs, bias = task[COLUMN], task[COUNT], floats_at(task[BIAS], (task[COUNT],))
    sums = np.empty(8, np.float32)
    sums_at, x_at = _uintp(sums.ctypes.data), _uintp(x.ctypes.data)
    is_nf4, is_added = task[KIND] == NF4, product[IS_ADDED] != 0
    code_bytes, scale_bytes = _uintp(blocks * (BLOCK // 2 if is_nf4 else BLOCK)), _uintp(blocks * 4)
    row = 0
    while row < rows:
        left, row_at = rows - row, _uintp(x_at + _uintp(row) * stride)
        height = 8 if left >= 8 else 4 if left >= 4 else 2 if left >= 2 else 1
        output = 0
        while output < outputs:
            codes = _uintp(_uintp(task[CODES]) + _uintp(output) * code_bytes)
            scales = _uintp(_uintp(task[SCALES]) + _uintp(output) * scale_bytes)
            width = 1
            if height == 8:
                if is_nf4:
                    _nf4_8(row_at, stride, codes, code_bytes, scales, scale_bytes, blocks, sums_at)
                else:
                    _int8_8(row_at, stride, codes, code_bytes, scales, scale_bytes, blocks, sums_at)
            elif height == 4:
                if is_nf4:
                    _nf4_4(row_at, stride, codes, code_bytes, scales, scale_bytes, blocks, sums_at)
                else:
                    _int8_4(row_at, stride, codes, code_bytes, scales, scale_bytes, blocks, sums_at)
            elif height == 2:
                if is_nf4:
                    _nf4_2(row_at, stride, codes, code_bytes, scales, scale_bytes, blocks, sums_at)
                else:
                    _int8_2(row_at, stride, codes, code_bytes, scales, scale_bytes, blocks, sums_at)
            elif outputs - output >= 4:
                width = 4
                if is_nf4:
                    _nf4_1x4(row_at, stride, codes, code_bytes, scales, scale_bytes, blocks, sums_at)
                else:
                    _int8_1x4(row_at, stride, codes, code_bytes, scales, scale_bytes, blocks, sums_at)
            elif is_nf4:
                _nf4_1(row_at, stride, codes, code_bytes, scales, scale_bytes, blocks, sums_at)
            else:
                _int8_1(row_at, stride, codes, code_bytes, scales, scale_bytes, blocks, sums_at)
            for i in range(width):
                start = bias[output] if task[BIAS] else F32(0)
                for j in range(height):
                    value = sums[i * height + j] * x_scales[row + j] + start
                    if is_added:
                        value += y[row + j, column + output]
                    y[row + j, column + output] = value
                output += 1
        row += height
    member = task[MEMBER]
    if member < 0 or not members[member, LORA_B]:
        return
    rank, offset = members[member, RANK], members[member, HIDDEN]
    for row in range(rows):
        slot = slots[row]
        if slot < 0:
            continue
        first = column - members[member, FIRST]
        matrix = members[member, LORA_B] + slot * members[member, B_STRIDE] + HALF_BYTES * first
        factors, results, width = hidden[row, offset:], y[row, column:], members[member, WIDTH]
        add_row_times_matrix(factors.ctypes.data, rank, matrix, HALF_BYTES, width, results.ctypes.data, outputs)


@njit(parallel=True, nogil=True, fastmath=FAST, cache=True)
def run_tasks(tasks: Any, x: Any, x_scales: Any, y: Any, product: Any, slots: Any, hidden: Any, members: Any) -> None:
    """y [rows, out] = W x, or y + W x if the product IS_ADDED, and B (A x) for the rows that have a slot.

    tasks: the product's own. x: int16 [rows, in in whole blocks] and x_scales: float32 [rows], from `take_in`, as is
    hidden, A x, float32 [rows, width]. product: its row of the table. slots: int64 [rows], below 0 for none.
    """
    for number in prange(len(tasks)):
        _run_task(tasks[np.int64(number)], x, x_scales, y, product, slots, hidden, members)
