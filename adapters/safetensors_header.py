"""What a safetensors file holds, from its header alone: no torch, no data read, nothing trusted."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path

from adapters.common.errors import UserError

# Bits per element, as the safetensors format names its types.
_BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "I64": 64, "I32": 32, "I16": 16, "I8": 8,
    "U64": 64, "U32": 32, "U16": 16, "U8": 8, "BOOL": 8,
}  # fmt: skip
_MAX_HEADER = 25_000_000  # bytes; the format allows four times that, but 100,000 tensors need no more
_MAX_DIMENSIONS = 8


@dataclass(frozen=True)
class TensorFacts:
    shape: tuple[int, ...]
    dtype: str  # as safetensors names it: "F32", "BF16", ...


def read_header(path: Path) -> dict[str, TensorFacts]:
    """Tensor name -> shape and type, from the header of a safetensors file; the file's length must match it.

    Format: https://huggingface.co/docs/safetensors (8 bytes of header length, little-endian; JSON; data).
    Raises UserError when the file is truncated, longer than it says, or not a safetensors file.
    """
    where = f"{path.parent.name}/{path.name}"
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if len(start) < 8:
            raise UserError(f"{where} is truncated: it has only {size} bytes.", "Fetch or save the adapter anew.")
        (length,) = struct.unpack("<Q", start)
        if length > _MAX_HEADER:
            raise UserError(
                f"{where} is not a safetensors file, or its header is larger than any adapter's.",
                "Fetch or save the adapter anew.",
            )
        if 8 + length > size:
            raise UserError(
                f"{where} is truncated: its header alone needs {8 + length} bytes, the file has {size}.",
                "Fetch or save the adapter anew.",
            )
        content = file.read(length)
    try:
        header = json.loads(content)
        entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        tensors = {name: TensorFacts(tuple(entry["shape"]), entry["dtype"]) for name, entry in entries.items()}
        end = _end_of_data([(tensors[name], *entry["data_offsets"]) for name, entry in entries.items()])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{where} is not a safetensors file: its header is malformed ({error}).", "Fetch or save the adapter anew."
        ) from error
    expected = 8 + length + end
    if expected != size:
        what = "truncated" if size < expected else "longer than its header says"
        raise UserError(
            f"{where} is {what}: {expected} bytes expected, the file has {size}.", "Fetch or save the adapter anew."
        )
    return tensors


def _end_of_data(places: list[tuple[TensorFacts, int, int]]) -> int:
    """Where the last tensor ends; (tensor, begin, end) must lie one after the other, each as long as its shape says."""
    at = 0
    for tensor, begin, end in sorted(places, key=lambda place: place[1:]):
        # Bounded before they are multiplied: the product of a thousand long numbers takes hours.
        if len(tensor.shape) > _MAX_DIMENSIONS or not all(map(_is_size, (*tensor.shape, begin, end))):
            raise ValueError("a size that is no whole number, or too large for any file")
        if begin != at or (end - begin) * 8 != math.prod(tensor.shape) * _BITS[tensor.dtype]:
            raise ValueError("a tensor's place does not match its shape")
        at = end
    return at


def _is_size(number: object) -> bool:
    return type(number) is int and 0 <= number < 2**63
