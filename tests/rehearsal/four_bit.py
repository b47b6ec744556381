"""bitsandbytes' product of activations with packed weights as its CUDA backend does it, without data."""

from __future__ import annotations

import ast
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

FUSED_TOKENS = 1536  # beyond so many the backend always unpacks


def multiply_packed(
    A: Tensor,
    B: Tensor,
    shapeB: Any,
    absmax: Tensor,
    blocksize: int,
    quant_type: str,
    bias: Tensor | None = None,
    absmax_8bit: Tensor | None = None,
    absmax_code: Tensor | None = None,
    absmax_offset: Tensor | None = None,
) -> Tensor:
    """bitsandbytes.backends.cuda.ops' gemm_4bit: one kernel for few tokens, else the matrix is unpacked as a whole."""
    if bias is not None and bias.dtype != A.dtype:
        raise RuntimeError(f"gemm_4bit: bias is {bias.dtype}, and A is {A.dtype}")
    tokens = A.numel() // A.shape[-1]
    is_fused = tokens <= FUSED_TOKENS and A.shape[-1] % blocksize == 0
    if is_fused and _uses_fused_kernel()(0, A.dtype, tokens, shapeB[0], A.shape[-1]):
        return torch.empty(*A.shape[:-1], shapeB[0], dtype=A.dtype, device=A.device)
    constants = absmax
    if absmax_8bit is not None and absmax_offset is not None:
        constants = torch.empty_like(absmax_8bit, dtype=torch.float32) + absmax_offset
    return torch.nn.functional.linear(A, _unpacked(constants, shapeB, A.dtype), bias)


def _unpacked(constants: Tensor, shape: Any, dtype: torch.dtype) -> Tensor:
    return torch.empty(shape, dtype=dtype, device=constants.device)


@cache
def _uses_fused_kernel() -> Any:
    """The backend's own rule, from its source: the module itself cannot be imported without CUDA."""
    spec = importlib.util.find_spec("bitsandbytes")
    assert spec is not None and spec.origin is not None
    source = Path(spec.origin).parent / "backends" / "cuda" / "ops.py"
    wanted = {"_gemm_4bit_use_custom_cuda", "_gpu_dispatch_props"}
    tree = ast.parse(source.read_text())
    tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in wanted]
    for node in tree.body:
        assert isinstance(node, ast.FunctionDef)
        node.decorator_list = []
    names: dict[str, Any] = {"torch": torch, "_GEMM_4BIT_CUSTOM_FLOOR_M": 4}
    exec(compile(tree, str(source), "exec"), names)
    return names["_gemm_4bit_use_custom_cuda"]
