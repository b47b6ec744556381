"""Many adapters on one base in one forward."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from core.serving.lora.layers import BASE, Down, Route, SlotLinear


@dataclass(frozen=True, eq=False)
class HostAdapter:
    """An adapter in the host's memory, ready to be copied into a slot. Never changed: a new version is a new object.

    pairs: module path -> (A transposed [in, rank], B transposed [rank, out], already scaled).
    """

    name: str
    folder: Path
    signature: tuple[object, ...]
    pairs: dict[str, tuple[Tensor, Tensor]]

    @property
    def bytes(self) -> int:
        return sum(a.nbytes + b.nbytes for a, b in self.pairs.values())


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
    shared: list[list[str]] = field(default_factory=list)  # layers that read one input, see shared_inputs
    grouped: bool = True  # how rows of several slots are calculated, see slot_layers
    slots: list[Slot] = field(init=False)
    installs: int = 0

    def __post_init__(self) -> None:
        self.slots = [Slot() for _ in range(self.count)]
        self.route = Route(self.count, self.device, grouped=self.grouped)
        self.layers: dict[str, SlotLinear] = {}
        self._group = {path: tuple(group) for group in self.shared for path in group}
        self._downs: dict[tuple[str, ...], Down] = {}
        self._clock = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Changes when the slots move to other memory: the rank that each group of layers has room for, 0 for none."""
        return tuple(rank for down in self._downs.values() for rank in (len(down.layers), down.rank))

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
        for path, (_, b) in adapter.pairs.items():
            self._layer(path).down.grow(len(b))
        self.slots[target] = Slot()
        for path, layer in self.layers.items():
            layer.put(target, adapter.pairs.get(path))
        self.slots[target] = Slot(adapter, used=self._clock)
        self.installs += 1
        return target

    def _layer(self, path: str) -> SlotLinear:
        """The slot layer at a module path; the base's layer is wrapped when the first adapter for it comes."""
        if path not in self.layers:
            base = self.model.get_submodule(path)
            assert isinstance(base, nn.Linear)
            group = self._group.get(path, (path,))
            if group not in self._downs:
                self._downs[group] = Down(self.route, self.count, base.in_features, self.dtype, self.device)
            layer = SlotLinear(base, self._downs[group], self.dtype)
            parent, _, name = path.rpartition(".")
            setattr(self.model.get_submodule(parent), name, layer)
            self.layers[path] = layer
        return self.layers[path]
