"""Eight rows of eight numbers as eight columns, in the processor's registers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

WIDTH = 8
I32, I64, VECTOR = ir.IntType(32), ir.IntType(64), ir.VectorType(ir.FloatType(), WIDTH)
# Each step takes two vectors and gives two; places from 8 on are the second one's. Only the last one goes from one half
# of a vector to the other, which takes the processor longer.
_NUMBERS = ((0, 8, 1, 9, 4, 12, 5, 13), (2, 10, 3, 11, 6, 14, 7, 15))
_PAIRS = ((0, 1, 8, 9, 4, 5, 12, 13), (2, 3, 10, 11, 6, 7, 14, 15))
_HALVES = ((0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15))


@intrinsic
def transpose(typing: Any, source: Any, source_stride: Any, target: Any, target_stride: Any) -> Any:
    """target[j, i] = source[i, j] for i, j < 8. Addresses of float32, and bytes from one row to the next."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        source, source_stride, target, target_stride = arguments

        def row(first: Any, stride: Any, number: int) -> Any:
            return builder.inttoptr(builder.add(first, builder.mul(stride, I64(number))), VECTOR.as_pointer())

        def mix(pairs: list[tuple[int, int]], places: tuple[tuple[int, ...], ...], vectors: list[Any]) -> list[Any]:
            masks = [ir.Constant(ir.VectorType(I32, WIDTH), list(each)) for each in places]
            return [builder.shuffle_vector(vectors[i], vectors[j], mask) for i, j in pairs for mask in masks]

        vectors = []
        for number in range(WIDTH):
            vector = builder.load(row(source, source_stride, number))
            vector.align = 4
            vectors.append(vector)
        vectors = mix([(0, 1), (2, 3), (4, 5), (6, 7)], _NUMBERS, vectors)
        vectors = mix([(0, 2), (1, 3), (4, 6), (5, 7)], _PAIRS, vectors)
        vectors = mix([(0, 4), (1, 5), (2, 6), (3, 7)], _HALVES, vectors)
        for number, vector in enumerate([*vectors[0::2], *vectors[1::2]]):
            builder.store(vector, row(target, target_stride, number)).align = 4
        return context.get_dummy_value()

    return types.void(*[types.uintp] * 4), generate
