"""Keys and values of all sequences: one fixed budget, laid out as a grid with one row per sequence, each as long as
the longest one needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache

ALIGN = 64  # lengths are rounded up to this many tokens: fewer shapes, and what fast attention kernels like


@dataclass(frozen=True)
class KVCacheSpec:
    """What one layer caches per token, as the model itself passes it to the cache."""

    heads: int
    key_dim: int
    value_dim: int
    dtype: torch.dtype

    @property
    def bytes_per_token(self) -> int:
        return self.heads * (self.key_dim + self.value_dim) * self.dtype.itemsize


class KVCacheProbe(Cache):
    """Passes keys and values through and records their shapes: one forward tells what every layer will cache."""

    def __init__(self) -> None:
        self.layers: list[Any] = []
        self.specs: dict[int, KVCacheSpec] = {}

    def update(self, key: Tensor, value: Tensor, layer_idx: int, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        self.specs[layer_idx] = KVCacheSpec(key.shape[1], key.shape[-1], value.shape[-1], key.dtype)
        return key, value

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return 0


class KVCache(Cache):
    """Keys and values per layer as [rows, heads, length, dim], over flat memory of `budget` tokens that never moves.

    `rows` times `length` never exceeds the budget. The rows in use are the first ones, without gaps, so that a
    decode step reads views and copies nothing; `arrange` changes the grid's length for a longer sequence or for more
    rows. Sliding-window layers keep everything too; the mask hides what is outside the window.
    """

    def __init__(self, specs: dict[int, KVCacheSpec], budget: int, max_rows: int, device: torch.device) -> None:
        self.layers: list[Any] = []  # what transformers' helpers look at; this cache has no layer objects
        self.specs = specs
        self.budget = budget
        self.max_rows = max_rows
        self.length = 0
        # Zeros, not uninitialised memory: a masked position has weight 0, but 0 x NaN would still be NaN.
        self._memory = {
            layer: tuple(
                torch.zeros(budget * spec.heads * dim, dtype=spec.dtype, device=device)
                for dim in (spec.key_dim, spec.value_dim)
            )
            for layer, spec in specs.items()
        }
        self._keys: dict[int, Tensor] = {}
        self._values: dict[int, Tensor] = {}
        self._rows = slice(0, 0)
        self._write: int | tuple[Tensor, Tensor] = 0
        self._read = 0

    @property
    def bytes_total(self) -> int:
        return self.budget * sum(spec.bytes_per_token for spec in self.specs.values())

    def can_hold(self, rows: int, length: int) -> bool:
        """Whether `rows` rows, the longest of them `length` tokens, fit the budget together."""
        return rows <= self.max_rows and rows * aligned(length) <= self.budget

    def arrange(self, rows: int, length: int, used: list[int]) -> None:
        """Make room for `rows` rows of `length` tokens; `used` is how many tokens each row in use holds now.

        Does nothing where the present grid suffices, so that adding one row usually costs nothing.
        """
        length = aligned(length)
        if self.length >= length and rows * self.length <= self.budget:
            return
        in_use, longest = len(used), max(used, default=0)
        for layer, spec in self.specs.items():
            for grid, memory, dim in (
                (self._keys, self._memory[layer][0], spec.key_dim),
                (self._values, self._memory[layer][1], spec.value_dim),
            ):
                old = grid[layer][:in_use, :, :longest].clone() if in_use else None
                height = self.budget // length
                grid[layer] = memory[: height * spec.heads * length * dim].view(height, spec.heads, length, dim)
                if old is not None:
                    grid[layer][:in_use, :, :longest] = old
        self.length = length

    def plan_chunk(self, first: int, last: int, start: int, stop: int) -> None:
        """The next forward writes tokens start..stop-1 of each of the rows first..last-1."""
        self._rows, self._write, self._read = slice(first, last), start, stop

    def plan_step(self, first: int, last: int, positions: Tensor, rows: Tensor, read: int) -> None:
        """The next forward writes one token for each of the rows first..last-1, at `positions`; it reads `read` tokens.

        positions, rows: long tensors [last - first]; rows counts from 0.
        """
        self._rows, self._write, self._read = slice(first, last), (rows, positions), read

    def update(self, key: Tensor, value: Tensor, layer_idx: int, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        keys, values = self._keys[layer_idx][self._rows], self._values[layer_idx][self._rows]
        if isinstance(self._write, int):
            keys[:, :, self._write : self._read] = key
            values[:, :, self._write : self._read] = value
            if self._write == 0:
                return key, value
        else:
            rows, positions = self._write
            keys[rows, :, positions] = key[:, :, 0]
            values[rows, :, positions] = value[:, :, 0]
        return keys[:, :, : self._read], values[:, :, : self._read]

    def move(self, source: int, target: int, used: int) -> None:
        """Copy the first `used` tokens of row `source` to row `target`."""
        for grid in (self._keys, self._values):
            for tensor in grid.values():
                tensor[target, :, :used] = tensor[source, :, :used]

    def wipe(self, row: int) -> None:
        """Overwrite a row with zeros: NaN that a failed sequence has left must not reach the next one in this row."""
        for grid in (self._keys, self._values):
            for tensor in grid.values():
                tensor[row].zero_()

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return 0


def aligned(length: int, unit: int = ALIGN) -> int:
    return -(-length // unit) * unit
