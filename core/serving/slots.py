"""Many adapters on one base in one forward: all adapters' matrices stacked in slots, and a mask per row between them.

For a linear layer with slots 0..S-1 of rank r:  y = W x + B ((A x) * mask),  A: [S*r, in],  B: [S*r, out] transposed.
The mask keeps, for each row, the r columns of its own slot; a row on the base keeps none. So three operators per layer
serve any number of adapters. The scaling is folded into B when an adapter is read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

BASE = -1  # the slot of rows that use no adapter
RANK_STEP = 8  # rank capacity grows in steps of this; ranks between are padded with zeros


@dataclass(frozen=True, eq=False)
class HostAdapter:
    """An adapter in the host's memory, ready to be copied into a slot. Never changed: a new version is a new object.

    pairs: module path -> (A [rank, in], B transposed [rank, out], already scaled).
    """

    name: str
    folder: Path
    signature: tuple[object, ...]
    pairs: dict[str, tuple[Tensor, Tensor]]

    @property
    def bytes(self) -> int:
        return sum(a.nbytes + b.nbytes for a, b in self.pairs.values())


class Route:
    """Which slot each row of the coming forward uses; all slot layers look here."""

    def __init__(self, count: int, device: torch.device) -> None:
        self.single: int | None = BASE  # the one slot that all rows use, or None when they differ
        self.span = (0, 0)  # the slots that are calculated, first and last + 1
        self._slots = torch.full((1,), BASE, device=device)
        self._blocks = torch.arange(count, device=device)
        self._others: dict[int, Tensor] = {}

    def set(self, slots: Sequence[int], on_device: Tensor, tokens: int) -> None:
        """`slots`: one per row, `on_device`: the same as a tensor; `tokens`: how many tokens each row brings."""
        self._others.clear()
        self.single = slots[0] if len(set(slots)) == 1 else None
        if self.single is None:
            self.span = (0, max(slots) + 1)
            self._slots = on_device if tokens == 1 else on_device.repeat_interleave(tokens)
        else:
            self.span = (self.single, self.single + 1)

    def others(self, rank: int) -> Tensor:
        """True where a token must not see a column: [rows * tokens, slots * rank]. Built once per forward and rank."""
        mask = self._others.get(rank)
        if mask is None:
            mask = (self._slots[:, None] != self._blocks[None, : self.span[1]]).repeat_interleave(rank, dim=1)
            self._others[rank] = mask
        return mask


class SlotLinear(nn.Module):
    """A linear layer of the base with its slots. Before the first adapter comes, the base's layer stands alone."""

    def __init__(self, base: nn.Linear, route: Route, count: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.A: Tensor
        self.B: Tensor
        self.base = base
        self.in_features, self.out_features = base.in_features, base.out_features
        self.route, self.count, self.rank = route, count, 0
        self._span: tuple[int, int] | None = None
        self._part = (torch.empty(0), torch.empty(0))
        device = base.weight.device
        self.register_buffer("A", torch.zeros(0, self.in_features, dtype=dtype, device=device), persistent=False)
        self.register_buffer("B", torch.zeros(0, self.out_features, dtype=dtype, device=device), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.base(x)
        route = self.route
        if route.single == BASE or not self.rank:
            return y
        if route.span != self._span:  # the views of the part that is calculated change seldom
            first, last = (slot * self.rank for slot in route.span)
            self._span, self._part = route.span, (self.A[first:last].t(), self.B[first:last])
        down, up = self._part
        hidden = x.reshape(-1, self.in_features) @ down
        if route.single is None:
            # Not multiplied by 0: another adapter's overflow (inf) on this row would become NaN.
            hidden.masked_fill_(route.others(self.rank), 0)
        y.view(-1, self.out_features).addmm_(hidden, up)
        return y

    def grow(self, rank: int) -> None:
        """Raise the rank capacity of all slots to at least `rank`; what is in them stays."""
        if rank <= self.rank:
            return
        rank = math.ceil(rank / RANK_STEP) * RANK_STEP
        for name, width in (("A", self.in_features), ("B", self.out_features)):
            old = getattr(self, name)
            new = old.new_zeros(self.count, rank, width)
            if self.rank:
                new[:, : self.rank] = old.view(self.count, self.rank, width)
            setattr(self, name, new.view(-1, width))
        self.rank = rank
        self._span = None

    def put(self, slot: int, pair: tuple[Tensor, Tensor] | None) -> None:
        """Fill a slot with A and B, or with zeros when the adapter leaves this layer alone."""
        if not self.rank:
            return
        for stacked, matrix in zip((self.A, self.B), pair or (None, None), strict=True):
            part = stacked[slot * self.rank : (slot + 1) * self.rank]
            filled = 0
            if matrix is not None:
                filled = len(matrix)
                part[:filled].copy_(matrix, non_blocking=True)
            part[filled:].zero_()


@dataclass
class Slot:
    adapter: HostAdapter | None = None
    rows: int = 0  # rows that are using it
    retired: bool = False  # replaced or unloaded: free once the last row leaves
    used: int = 0  # when it was last used, as a count


@dataclass
class Slots:
    """The slots of one model: who is in which, and which one to give away next. Only the engine's thread calls this."""

    model: nn.Module
    count: int
    dtype: torch.dtype
    device: torch.device
    slots: list[Slot] = field(init=False)
    installs: int = 0

    def __post_init__(self) -> None:
        self.slots = [Slot() for _ in range(self.count)]
        self.route = Route(self.count, self.device)
        self.layers: dict[str, SlotLinear] = {}
        self._clock = 0

    def resident(self) -> list[HostAdapter]:
        return [slot.adapter for slot in list(self.slots) if slot.adapter is not None and not slot.retired]

    def acquire(self, adapter: HostAdapter | None) -> int | None:
        """The slot for one more row with this adapter, installed if need be. None while all slots have rows of others.

        Raises torch.OutOfMemoryError when a larger rank does not fit the device; nothing has changed then.
        """
        if adapter is None:
            return BASE
        slot = self.install(adapter)
        if slot is not None:
            self.slots[slot].rows += 1
        return slot

    def release(self, slot: int) -> None:
        if slot == BASE:
            return
        entry = self.slots[slot]
        entry.rows -= 1
        if entry.retired and not entry.rows:
            self.slots[slot] = Slot()

    def retire(self, adapter: HostAdapter) -> None:
        """Take an adapter out: at once when no row uses it, else when its last row leaves."""
        for index, entry in enumerate(self.slots):
            if entry.adapter is adapter:
                entry.retired = True
                if not entry.rows:
                    self.slots[index] = Slot()

    def install(self, adapter: HostAdapter) -> int | None:
        """Copy an adapter into a slot unless it is in one: a free one, else the one longest unused that has no rows."""
        self._clock += 1
        for index, entry in enumerate(self.slots):
            if entry.adapter is adapter:
                entry.used = self._clock
                return index
        idle = [index for index, entry in enumerate(self.slots) if not entry.rows]
        if not idle:
            return None
        target = min(idle, key=lambda index: (self.slots[index].adapter is not None, self.slots[index].used, index))
        for path, (a, _) in adapter.pairs.items():
            self._layer(path).grow(len(a))
        self.slots[target] = Slot()
        for path, layer in self.layers.items():
            layer.put(target, adapter.pairs.get(path))
        self.slots[target] = Slot(adapter, used=self._clock)
        self.installs += 1
        return target

    def _layer(self, path: str) -> SlotLinear:
        """The slot layer at a module path; the base's layer is wrapped when the first adapter for it comes."""
        if path not in self.layers:
            layer = SlotLinear(self.model.get_submodule(path), self.route, self.count, self.dtype)  # type: ignore[arg-type]
            parent, _, name = path.rpartition(".")
            setattr(self.model.get_submodule(parent), name, layer)
            self.layers[path] = layer
        return self.layers[path]


def linears(model: nn.Module) -> dict[str, tuple[int, int]]:
    """Module path -> (out_features, in_features) of every linear layer, 4-bit ones included."""
    return {
        path: (module.out_features, module.in_features)
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear)
    }
