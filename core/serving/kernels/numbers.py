"""Numbers and memory as compiled code sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import carray, njit, types
from numba.extending import intrinsic

# What the compiler may assume of sums and products. Not that there is no NaN: a row's NaN must reach its logits.
FAST = {"reassoc", "contract", "arcp", "nsz"}
F32, I32 = np.float32, np.int32


@intrinsic
def _float_pointer(typing: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.float32)(types.uintp), generate


@njit(inline="always")
def floats_at(address: int, shape: Any) -> Any:
    """The float32 array of this shape at an address."""
    return carray(_float_pointer(np.uintp(address)), shape)


@njit(fastmath=FAST, inline="always")
def exp(x: Any) -> Any:
    """e^x in float32 to 3e-7 of it, in a form that the compiler makes vectors of: 2^n times a polynomial for the rest
    (the coefficients of Cephes' expf, Moshier 1992). x is held between -87 and 88."""
    x = min(max(x, F32(-87)), F32(88))
    n = np.rint(x * F32(1.44269504))
    rest = x - n * F32(0.693359375) + n * F32(2.12194440e-4)
    p = F32(1.9875691500e-4)
    p = p * rest + F32(1.3981999507e-3)
    p = p * rest + F32(8.3334519073e-3)
    p = p * rest + F32(4.1665795894e-2)
    p = p * rest + F32(1.6666665459e-1)
    p = p * rest + F32(5.0000001201e-1)
    power = I32(I32(I32(n) + I32(127)) << I32(23)).view(np.float32)
    return (p * rest * rest + rest + F32(1)) * power


@njit(fastmath=FAST, cache=True)
def clear(x: Any) -> None:
    """Zeros. As loops, here and elsewhere: an assignment to a slice takes the compiler a second longer."""
    for i in range(len(x)):
        x[i] = F32(0)


@njit(fastmath=FAST, cache=True)
def copy(source: Any, target: Any) -> None:
    for i in range(len(source)):
        target[i] = source[i]
