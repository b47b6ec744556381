"""The innermost loop: one row of a weight, in blocks of 64 numbers with a scale each, times some rows of 16-bit inputs.

Written as LLVM's instructions, since a table look-up of 32 codes at once (`pshufb`) and products of 16-bit pairs summed
in 32 bits (`pmaddwd`) are what makes it fast, and no compiler finds the first in a loop. Sums within a block are exact
integers. Blocks are summed in fp32, in an order that does not depend on how many rows there are, so that a row's result
does not either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from core.serving.kernels.layout import BLOCK, LEVELS, NF4_LEVELS

I8, I16, I32, I64, F32 = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64), ir.FloatType()
I8x16, I8x32 = ir.VectorType(I8, 16), ir.VectorType(I8, 32)
I16x16, I32x8, F32x8 = ir.VectorType(I16, 16), ir.VectorType(I32, 8), ir.VectorType(F32, 8)
Vectors = Callable[[Any, Any, Any], list[Any]]


def make_block_dots(widen: Vectors, rows: int, outputs: int = 1) -> Any:
    """The function dots(x, x_stride, weights, weight_stride, scales, scale_stride, blocks, out) for compiled code.

    It multiplies that many rows of inputs by that many rows of the weight. x: address of the inputs, int16 in the order
    of PLACES. weights: address of the weight's first row, as `widen` reads it. scales: address of its scales, float32.
    Strides are bytes from one row to the next. out: address of float32 [outputs, rows], which gets the sums, over the
    blocks, of scale times the sum of weights times inputs.
    """

    @intrinsic
    def dots(
        typing: Any,
        x: Any,
        x_stride: Any,
        weights: Any,
        weight_stride: Any,
        scales: Any,
        scale_stride: Any,
        blocks: Any,
        out: Any,
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
            x, x_stride, weights, weight_stride, scales, scale_stride, blocks, out = arguments

            def starts(first: Any, stride: Any, count: int) -> list[Any]:
                return [builder.add(first, builder.mul(stride, I64(i))) for i in range(count)]

            at_x, at_weights = starts(x, x_stride, rows), starts(weights, weight_stride, outputs)
            at_scales = starts(scales, scale_stride, outputs)
            before, loop, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
            builder.branch(loop)
            builder.position_at_end(loop)
            number, sums = builder.phi(I64), [builder.phi(F32x8) for _ in range(rows * outputs)]
            multiply = _function(builder, "llvm.x86.avx2.pmadd.wd", I32x8, [I16x16, I16x16])
            add = _function(builder, "llvm.fma.v8f32", F32x8, [F32x8, F32x8, F32x8])
            offset = builder.shl(number, I64(1))
            inputs = [builder.add(start, offset) for start in at_x]
            added: list[Any] = []
            for weight, scale_at in zip(at_weights, at_scales, strict=True):
                vectors = widen(builder, weight, number)
                scale = _broadcast(builder, _load(builder, builder.add(scale_at, builder.lshr(number, I64(4))), F32))
                for address in inputs:
                    products = [
                        builder.call(multiply, [vector, _load(builder, builder.add(address, I64(32 * i)), I16x16)])
                        for i, vector in enumerate(vectors)
                    ]
                    total = builder.add(builder.add(products[0], products[1]), builder.add(products[2], products[3]))
                    added.append(builder.call(add, [builder.sitofp(total, F32x8), scale, sums[len(added)]]))
            following = builder.add(number, I64(BLOCK))
            number.add_incoming(I64(0), before)
            number.add_incoming(following, loop)
            for so_far, new in zip(sums, added, strict=True):
                so_far.add_incoming(ir.Constant(F32x8, [0.0] * 8), before)
                so_far.add_incoming(new, loop)
            is_more = builder.icmp_signed("<", following, builder.mul(blocks, I64(BLOCK)))
            builder.cbranch(is_more, loop, after)
            builder.position_at_end(after)
            for i, new in enumerate(added):
                builder.store(_sum(builder, new), builder.inttoptr(builder.add(out, I64(4 * i)), F32.as_pointer()))
            return context.get_dummy_value()

        return types.void(*[types.uintp] * 6, types.intp, types.uintp), generate

    return dots


def widen_nf4(builder: Any, weights: Any, number: Any) -> list[Any]:
    """A block of 32 bytes, two 4-bit codes each, as four vectors of 16-bit levels."""
    codes = _load(builder, builder.add(weights, builder.lshr(number, I64(1))), I8x32)
    halves = ir.Constant(I8x32, [15] * 32)
    shifted = builder.lshr(builder.bitcast(codes, I16x16), ir.Constant(I16x16, [4] * 16))
    levels = [round(level * LEVELS) for level in NF4_LEVELS]
    lower, upper = (ir.Constant(I8x32, [(level >> shift) & 255 for level in levels] * 2) for shift in (0, 8))
    look_up = _function(builder, "llvm.x86.avx2.pshuf.b", I8x32, [I8x32, I8x32])
    vectors = []
    for four_bits in (builder.and_(builder.bitcast(shifted, I8x32), halves), builder.and_(codes, halves)):
        low, high = builder.call(look_up, [lower, four_bits]), builder.call(look_up, [upper, four_bits])
        for half in (0, 8):
            pairs = [
                place
                for lane in (0, 16)
                for byte in range(8)
                for place in (lane + half + byte, 32 + lane + half + byte)
            ]
            both = builder.shuffle_vector(low, high, ir.Constant(ir.VectorType(I32, 32), pairs))
            vectors.append(builder.bitcast(both, I16x16))
    return vectors


def widen_int8(builder: Any, weights: Any, number: Any) -> list[Any]:
    """A block of 64 int8 numbers, in the order of PLACES, as four vectors."""
    return [
        builder.sext(_load(builder, builder.add(weights, builder.add(number, I64(16 * i))), I8x16), I16x16)
        for i in range(4)
    ]


def _load(builder: Any, address: Any, kind: Any) -> Any:
    value = builder.load(builder.inttoptr(address, kind.as_pointer()))
    value.align = 1
    return value


def _function(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)


def _broadcast(builder: Any, number: Any) -> Any:
    empty = ir.Constant(F32x8, ir.Undefined)
    one = builder.insert_element(empty, number, I32(0))
    return builder.shuffle_vector(one, empty, ir.Constant(I32x8, [0] * 8))


def _sum(builder: Any, vector: Any) -> Any:
    """The sum of a vector's eight numbers: halves are added until one is left."""
    for half in (4, 2, 1):
        places = [ir.Constant(ir.VectorType(I32, half), list(range(i * half, (i + 1) * half))) for i in (0, 1)]
        empty = ir.Constant(vector.type, ir.Undefined)
        vector = builder.fadd(*(builder.shuffle_vector(vector, empty, place) for place in places))
    return builder.extract_element(vector, I32(0))
