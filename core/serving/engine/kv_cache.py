"""Keys and values of all sequences: one fixed budget of tokens, of which each sequence has a range of its own."""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from core.serving.engine.row_groups import RowGroup, group_rows
from core.serving.engine.token_ranges import RangeAllocator, TokenRange
from core.serving.kv_budget import aligned


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
    """Passes keys and values through and records their shapes: one forward tells what every layer will cache, and how
    many of them ask for groups of rows."""

    def __init__(self) -> None:
        self.layers: list[Any] = []
        self.specs: dict[int, KVCacheSpec] = {}
        self.grouped_layers = 0

    def update(self, key: Tensor, value: Tensor, layer_idx: int, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        self.specs[layer_idx] = KVCacheSpec(key.shape[1], key.shape[-1], value.shape[-1], key.dtype)
        return key, value

    def views(self) -> list[tuple[RowGroup, Tensor, Tensor]]:
        self.grouped_layers += 1
        return []

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return 0


class KVCache(Cache):
    """Keys and values per layer as [heads, budget, dim], in memory that never moves.

    A range of tokens is one strided view of it, and so are several ranges at equal distances (`group_rows`), so that a
    decode step copies nothing. Where a forward's rows are in several groups, attention asks for them by `views`; if
    not `grouped`, for a family whose attention cannot, `update` copies all rows side by side instead.
    Sliding-window layers keep everything too; the mask hides what is outside the window.
    """

    def __init__(
        self,
        specs: dict[int, KVCacheSpec],
        budget: int,
        max_rows: int,
        device: torch.device,
        *,
        grouped: bool = True,
    ) -> None:
        self.layers: list[Any] = []  # what transformers' helpers look at; this cache has no layer objects
        self.specs = specs
        self.budget = budget
        self.max_rows = max_rows
        self.grouped = grouped
        self.ranges = RangeAllocator(budget)
        self._device = device
        # Zeros, not uninitialised memory: a masked position has weight 0, but 0 x NaN would still be NaN.
        self._memory = {
            layer: (
                zeros((spec.heads, budget, spec.key_dim), spec.dtype, device),
                zeros((spec.heads, budget, spec.value_dim), spec.dtype, device),
            )
            for layer, spec in specs.items()
        }
        self.groups: tuple[RowGroup, ...] = ()
        self._chunk: slice | None = None
        self._write = self._gathered = torch.empty(0, dtype=torch.long, device=device)
        self._views: list[tuple[RowGroup, Tensor, Tensor]] = []

    @property
    def bytes_per_token(self) -> int:
        return sum(spec.bytes_per_token for spec in self.specs.values())

    @property
    def filled_tokens(self) -> int:
        """Tokens whose memory has been taken: on a GPU all, on a CPU those that have been written at some time."""
        return self.budget if self._device.type != "cpu" else self.ranges.reached

    def addresses(self, layer: int) -> tuple[int, int]:
        """Where a layer's keys and values [heads, budget, dim] begin."""
        keys, values = self._memory[layer]
        return keys.data_ptr(), values.data_ptr()

    def can_hold(self, *lengths: int) -> bool:
        """Whether sequences of these lengths fit the budget together."""
        return len(lengths) <= self.max_rows and sum(map(aligned, lengths)) <= self.budget

    def has_room(self, length: int) -> bool:
        """Whether a sequence of up to `length` tokens fits beside those that have a range now."""
        return aligned(length) <= self.ranges.free_tokens

    def allocate(self, length: int) -> TokenRange:
        """A range for a sequence of up to `length` tokens, for which there must be room."""
        capacity = aligned(length)
        if (token_range := self.ranges.allocate(capacity)) is None:
            self.compact()
            token_range = self.ranges.allocate(capacity)
        assert token_range is not None
        return token_range

    def plan_chunk(self, ranges: Sequence[TokenRange], start: int, stop: int) -> None:
        """The next forward writes tokens start..stop-1 of each row and reads all up to there."""
        self._plan(ranges, [stop] * len(ranges))
        self._chunk = slice(start, stop)

    def plan_step(self, ranges: Sequence[TokenRange], reads: Sequence[int], write: Tensor) -> tuple[RowGroup, ...]:
        """The next forward writes one token for each row and reads `reads` tokens of each; the result: its groups.

        write: long tensor [rows], where each row's token goes, counted from the start of the memory.
        """
        self._plan(ranges, reads)
        self._chunk, self._write = None, write
        return self.groups

    def update(self, key: Tensor, value: Tensor, layer_idx: int, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        keys, values = self._memory[layer_idx]
        self._views = []
        if self._chunk is None:
            keys.index_copy_(1, self._write, key[:, :, 0].transpose(0, 1))
            values.index_copy_(1, self._write, value[:, :, 0].transpose(0, 1))
        else:
            for group in self.groups:
                _view(keys, group, self._chunk).copy_(key[group.rows])
                _view(values, group, self._chunk).copy_(value[group.rows])
            if self._chunk.start == 0:
                return key, value
        if len(self.groups) > 1 and not self.grouped:
            return keys[:, self._gathered].transpose(0, 1), values[:, self._gathered].transpose(0, 1)
        views = [
            (group, _view(keys, group, slice(0, group.read)), _view(values, group, slice(0, group.read)))
            for group in self.groups
        ]
        if len(views) == 1:
            return views[0][1:]
        self._views = views
        return key, value  # which nobody reads: attention asks for the views

    def views(self) -> list[tuple[RowGroup, Tensor, Tensor]]:
        """Keys and values of each group in the layer that was updated last; none when `update` gave them itself."""
        return self._views

    def copy(self, source: TokenRange, target: TokenRange, tokens: int) -> None:
        """Copy the first `tokens` tokens of one range to another."""
        for memory in self._tensors():
            memory[:, target.offset : target.offset + tokens] = memory[:, source.offset : source.offset + tokens]

    def compact(self, last: TokenRange | None = None) -> None:
        """Close all gaps between ranges, `last` behind the others. Needs memory for one layer's keys or values."""
        moves = self.ranges.compact(last)
        for memory in self._tensors() if moves else []:
            before = memory.clone()
            for offset, moved in moves:
                memory[:, moved.offset : moved.end] = before[:, offset : offset + moved.capacity]

    def wipe(self, token_range: TokenRange) -> None:
        """Overwrite a range with zeros: NaN that a failed sequence has left must not reach the next one there."""
        for memory in self._tensors():
            memory[:, token_range.offset : token_range.end].zero_()

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return 0

    def _plan(self, ranges: Sequence[TokenRange], reads: Sequence[int]) -> None:
        self.groups = group_rows(ranges, reads)
        if len(self.groups) > 1 and not self.grouped:
            # Beyond a row's own range its last token is read again, under the mask.
            read = max(reads)
            places = [[row.offset + min(i, row.capacity - 1) for i in range(read)] for row in ranges]
            self._gathered = torch.tensor(places, device=self._device)

    def _tensors(self) -> list[Tensor]:
        return [memory for pair in self._memory.values() for memory in pair]


def zeros(shape: tuple[int, int, int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """As torch.zeros; on a CPU, memory that takes no room, and no time, before it is written to.

    torch.zeros writes the zeros: gigabytes at every start, for rows that may never come. NumPy asks for pages of 2 MiB,
    of which every head of every layer would take one for its first token. A mapping has small pages that are zero.
    """
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    mapping = mmap.mmap(-1, math.prod(shape) * dtype.itemsize, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return torch.frombuffer(mapping, dtype=dtype).view(shape)


def _view(memory: Tensor, group: RowGroup, tokens: slice) -> Tensor:
    """Those tokens of each of a group's rows as [rows, heads, tokens, dim], of memory [heads, budget, dim]."""
    heads, budget, dim = memory.shape
    shape = (group.count, heads, tokens.stop - tokens.start, dim)
    return memory.as_strided(shape, (group.stride * dim, budget * dim, dim, 1), (group.offset + tokens.start) * dim)
