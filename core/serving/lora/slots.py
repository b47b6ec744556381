"""Which adapter is in which slot of the model's layers."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from core.serving.lora.layers import BASE, LoraRouting, MultiLoraLinear, SharedLoraA


@dataclass(frozen=True, eq=False)
class HostAdapter:
    """An adapter in the host's memory, ready to be copied into a slot. It never changes: a new version is a new object.

    pairs: module path -> (A transposed [in, rank], B transposed [rank, out], already scaled).
    """

    name: str
    folder: Path
    signature: tuple[object, ...]
    pairs: dict[str, tuple[Tensor, Tensor]]
    number: int = field(default_factory=itertools.count().__next__, init=False)
    """No other object of this process has it, not even a later one."""

    @property
    def bytes(self) -> int:
        return sum(a.nbytes + b.nbytes for a, b in self.pairs.values())


@dataclass
class LoraSlot:
    adapter: HostAdapter | None = None
    users: int = 0  # sequences that use it
    retired: bool = False  # replaced or unloaded: free once the last user ends
    last_use: int = 0  # a count that rises with every use


@dataclass
class LoraSlots:
    """The slots of one model: which adapter is in which, and which slot to reuse next. For the engine's thread only."""

    model: nn.Module
    count: int
    dtype: torch.dtype
    device: torch.device
    shared: list[list[str]] = field(default_factory=list)  # layers that read one input, as shared_inputs finds them
    grouped: bool = True  # how rows of several slots are computed, see core.serving.lora.layers
    slots: list[LoraSlot] = field(init=False)
    installs: int = 0

    def __post_init__(self) -> None:
        self.slots = [LoraSlot() for _ in range(self.count)]
        self.routing = LoraRouting(self.count, self.device, grouped=self.grouped)
        self.layers: dict[str, MultiLoraLinear] = {}
        self._group = {path: tuple(group) for group in self.shared for path in group}
        self._lora_a: dict[tuple[str, ...], SharedLoraA] = {}
        self._uses = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Changes when the slots move to other memory: how many layers and which rank each group has room for."""
        return tuple(rank for lora_a in self._lora_a.values() for rank in (len(lora_a.layers), lora_a.rank))

    def resident(self) -> list[HostAdapter]:
        return [slot.adapter for slot in list(self.slots) if slot.adapter is not None and not slot.retired]

    def acquire(self, adapter: HostAdapter | None) -> int | None:
        """The slot for one more sequence with this adapter, installed if necessary. None while others use all slots.

        Raises torch.OutOfMemoryError when a larger rank does not fit the device; nothing has changed then.
        """
        if adapter is None:
            return BASE
        slot = self.install(adapter)
        if slot is not None:
            self.slots[slot].users += 1
        return slot

    def release(self, slot: int) -> None:
        if slot == BASE:
            return
        entry = self.slots[slot]
        entry.users -= 1
        if entry.retired and not entry.users:
            self.slots[slot] = LoraSlot()

    def retire(self, adapter: HostAdapter) -> None:
        """Take an adapter out: at once when no sequence uses it, else when the last one ends."""
        for index, entry in enumerate(self.slots):
            if entry.adapter is adapter:
                entry.retired = True
                if not entry.users:
                    self.slots[index] = LoraSlot()

    def install(self, adapter: HostAdapter) -> int | None:
        """Copy an adapter into a slot unless it is in one: a free slot, else the least recently used without users."""
        self._uses += 1
        for index, entry in enumerate(self.slots):
            if entry.adapter is adapter:
                entry.last_use = self._uses
                return index
        idle = [index for index, entry in enumerate(self.slots) if not entry.users]
        if not idle:
            return None
        target = min(idle, key=lambda index: (self.slots[index].adapter is not None, self.slots[index].last_use, index))
        for path, (_, b) in adapter.pairs.items():
            self._layer(path).lora_a.grow(len(b))
        self.slots[target] = LoraSlot()
        for path, layer in self.layers.items():
            layer.set_lora(target, adapter.pairs.get(path))
        self.slots[target] = LoraSlot(adapter, last_use=self._uses)
        self.installs += 1
        return target

    def _layer(self, path: str) -> MultiLoraLinear:
        """The MultiLoraLinear at a module path; it wraps the base's layer when the first adapter needs it."""
        if path not in self.layers:
            base = self.model.get_submodule(path)
            assert isinstance(base, nn.Linear)
            group = self._group.get(path, (path,))
            if group not in self._lora_a:
                self._lora_a[group] = SharedLoraA(self.routing, self.count, base.in_features, self.dtype, self.device)
            layer = MultiLoraLinear(base, self._lora_a[group], self.dtype)
            self.model.set_submodule(path, layer)
            self.layers[path] = layer
        return self.layers[path]
