"""A row times a narrow matrix, for LoRA: its sums stay in the processor's registers, which no compiler sees to when the
width is not known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit
from numba.core import cgutils, types
from numba.extending import intrinsic

from core.serving.kernels.numbers import FAST, floats_at

I64, FLOAT, VECTOR = ir.IntType(64), ir.FloatType(), ir.VectorType(ir.FloatType(), 8)
FLOAT_BYTES, HALF_BYTES = 4, 2
HALF, HALVES = ir.HalfType(), ir.VectorType(ir.HalfType(), 8)


def _make(vectors: int, is_half: bool) -> Any:
    """add(x, matrix, stride, count, out): out[0 : n] += sum over i < count of x[i] * matrix[i, 0 : n], n = 8 * vectors.

    All are addresses of float32, but if `is_half` the matrix's, of float16; `stride` bytes lie between its rows.
    """
    size = 16 if is_half else 32  # bytes of eight numbers

    @intrinsic
    def add(typing: Any, x: Any, matrix: Any, stride: Any, count: Any, out: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
            x, matrix, stride, count, out = arguments
            kind = ir.FunctionType(VECTOR, [VECTOR, VECTOR, VECTOR])
            fma = cgutils.get_or_insert_function(builder.module, kind, "llvm.fma.v8f32")
            before, loop, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
            at_out = [builder.add(out, I64(32 * i)) for i in range(vectors)]
            first = [_load(builder, address, VECTOR) for address in at_out]
            builder.branch(loop)
            builder.position_at_end(loop)
            number, at_row = builder.phi(I64), builder.phi(I64)
            sums = [builder.phi(VECTOR) for _ in range(vectors)]
            factor = _load(builder, builder.add(x, builder.shl(number, I64(2))), FLOAT)
            empty = ir.Constant(VECTOR, ir.Undefined)
            one = builder.insert_element(empty, factor, ir.IntType(32)(0))
            factors = builder.shuffle_vector(one, empty, ir.Constant(ir.VectorType(ir.IntType(32), 8), [0] * 8))
            added = [
                builder.call(fma, [_numbers(builder, builder.add(at_row, I64(size * i)), is_half), factors, so_far])
                for i, so_far in enumerate(sums)
            ]
            following, next_row = builder.add(number, I64(1)), builder.add(at_row, stride)
            for phi, start, new in [(number, I64(0), following), (at_row, matrix, next_row)]:
                phi.add_incoming(start, before)
                phi.add_incoming(new, loop)
            for so_far, start, new in zip(sums, first, added, strict=True):
                so_far.add_incoming(start, before)
                so_far.add_incoming(new, loop)
            builder.cbranch(builder.icmp_unsigned("<", following, count), loop, after)
            builder.position_at_end(after)
            for address, new in zip(at_out, added, strict=True):
                builder.store(new, builder.inttoptr(address, VECTOR.as_pointer())).align = 4
            return context.get_dummy_value()

        return types.void(types.uintp, types.uintp, types.uintp, types.uintp, types.uintp), generate

    return add


def _load(builder: Any, address: Any, kind: Any) -> Any:
    value = builder.load(builder.inttoptr(address, kind.as_pointer()))
    value.align = 2
    return value


def _numbers(builder: Any, address: Any, is_half: bool) -> Any:
    return builder.fpext(_load(builder, address, HALVES), VECTOR) if is_half else _load(builder, address, VECTOR)


@intrinsic
def _half_at(typing: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        return builder.fpext(_load(builder, arguments[0], HALF), FLOAT)

    return types.float32(types.uintp), generate


@intrinsic
def _float_at(typing: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        return _load(builder, arguments[0], FLOAT)

    return types.float32(types.uintp), generate


# Eight vectors keep the processor busy; one takes nearly as long as four, since each of its sums waits for the last.
_add_8, _add_16, _add_32, _add_64 = (_make(vectors, is_half=False) for vectors in (1, 2, 4, 8))
_add_8_halves, _add_16_halves, _add_32_halves = (_make(vectors, is_half=True) for vectors in (1, 2, 4))


@njit(fastmath=FAST, cache=True)
def add_row_times_matrix(x: int, count: int, matrix: int, size: int, stride: int, out: int, columns: int) -> None:
    """out [columns] += x [count] times a matrix [count, columns] whose rows are `stride` numbers apart.

    x, matrix and out are addresses, x and out of float32; `size` is the bytes of the matrix's numbers, FLOAT_BYTES or
    HALF_BYTES. count is at least 1.
    """
    column, between = 0, size * stride
    while size == FLOAT_BYTES and column + 64 <= columns:
        _add_64(x, matrix + size * column, between, count, out + 4 * column)
        column += 64
    while column + 32 <= columns:
        if size == HALF_BYTES:
            _add_32_halves(x, matrix + size * column, between, count, out + 4 * column)
        else:
            _add_32(x, matrix + size * column, between, count, out + 4 * column)
        column += 32
    if column + 16 <= columns:
        if size == HALF_BYTES:
            _add_16_halves(x, matrix + size * column, between, count, out + 4 * column)
        else:
            _add_16(x, matrix + size * column, between, count, out + 4 * column)
        column += 16
    if column + 8 <= columns:
        if size == HALF_BYTES:
            _add_8_halves(x, matrix + size * column, between, count, out + 4 * column)
        else:
            _add_8(x, matrix + size * column, between, count, out + 4 * column)
        column += 8
    if column < columns:
        factors, rest = floats_at(x, (count,)), floats_at(out, (columns,))
        for row in range(count):
            for i in range(column, columns):
                at = np.uintp(matrix + row * between + size * i)
                rest[i] += factors[row] * (_half_at(at) if size == HALF_BYTES else _float_at(at))
