"""Linear layers of the base with room for many adapters.

A layer computes  y = W x + B[s] (A[s] x)  where s is the slot of the row that x belongs to; A: [slots, in, r],
B: [slots, r, out]. Rows on the base get W x alone. The scaling is multiplied into B when an adapter is read. Layers
that read one input (queries, keys and values; gate and up) have their A side by side, so one product serves them all.

Where rows differ in their slots there are two ways, both with the same number of operators for any number of adapters:
- stacked, on a GPU: every token is multiplied by the A of all slots, a mask keeps its own part, and one product with
  all B follows. That is few operators, on memory that never moves, so that a step can be recorded.
- grouped, on a CPU: tokens are sorted by slot, and each slot's matrices are multiplied by its own tokens only. That is
  the least arithmetic, at the price of operators that move tokens unless they are sorted already.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from enum import Enum, auto

import torch
from torch import Tensor, nn

BASE = -1  # the slot of rows that use no adapter
RANK_STEP = 8  # rank capacity grows in steps of this; ranks between are padded with zeros


class RoutingForm(Enum):
    """What a forward's rows have in common."""

    BASE = auto()  # all are on the base
    SINGLE = auto()  # all are on one slot
    STACKED = auto()
    GROUPED = auto()


def slot_span(slots: Sequence[int]) -> tuple[int, int]:
    """The range of slots that these rows need, first and last + 1; (BASE, 0) when they need none."""
    used = [slot for slot in slots if slot != BASE]
    return (min(used), max(used) + 1) if used else (BASE, 0)


class LoraRouting:
    """Which slot each row of the next forward uses; every MultiLoraLinear reads it."""

    def __init__(self, count: int, device: torch.device, *, grouped: bool) -> None:
        self.device, self.grouped = device, grouped
        self.form = RoutingForm.BASE
        self.span = (BASE, 0)
        self.width = 0
        """Grouped: tokens per slot, padding included."""
        self.order: Tensor | None = None
        """Grouped: the token at each position, [slots * width]; None when the tokens are in that order already."""
        self.padding: Tensor | None = None
        """Grouped: True at padding, [slots, width, 1]; None when there is none."""
        self._slot_numbers = torch.arange(count, device=device)
        self._slots = self._slot_numbers
        self._other_slots: Tensor | None = None

    def set(self, slots: Sequence[int], on_device: Tensor, tokens: int) -> None:
        """`slots`: one per row, `on_device`: the same as a tensor; `tokens`: how many new tokens each row has."""
        self.span = slot_span(slots)
        self._other_slots = None
        if len(set(slots)) == 1:
            self.form = RoutingForm.BASE if slots[0] == BASE else RoutingForm.SINGLE
        elif self.grouped:
            self.form = RoutingForm.GROUPED
            self._group(slots, tokens)
        else:
            self.form = RoutingForm.STACKED
            self._slots = on_device if tokens == 1 else on_device.repeat_interleave(tokens)

    def other_slots(self) -> Tensor:
        """Stacked: True where a slot is not the token's own, [tokens, slots, 1]. Built once per forward."""
        if self._other_slots is None:
            self._other_slots = (self._slots[:, None] != self._slot_numbers[slice(*self.span)])[..., None]
        return self._other_slots

    def _group(self, slots: Sequence[int], tokens: int) -> None:
        groups = [[row for row, own in enumerate(slots) if own == slot] for slot in range(*self.span)]
        largest = max(len(group) for group in groups)
        rows = [row for group in groups for row in group + [0] * (largest - len(group))]
        self.width = largest * tokens
        self.order = self.padding = None
        if rows != list(range(len(slots))):
            first_tokens = torch.tensor(rows, device=self.device)[:, None] * tokens
            self.order = (first_tokens + torch.arange(tokens, device=self.device)).flatten()
        if len(rows) > sum(len(group) for group in groups):
            padding = [[i >= len(group) for i in range(largest)] for group in groups]
            self.padding = torch.tensor(padding, device=self.device).repeat_interleave(tokens, dim=1)[..., None]


class SharedLoraA:
    """The matrices A of the layers that read one input, side by side: [slots, in, layers * rank]."""

    def __init__(
        self, routing: LoraRouting, count: int, in_features: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.routing, self.count, self.in_features, self.rank = routing, count, in_features, 0
        self.layers: list[MultiLoraLinear] = []
        self.A = torch.zeros(count, in_features, 0, dtype=dtype, device=device)
        self._zero = self.A.new_zeros(())
        self._span: tuple[int, int] | None = None
        self._span_a = self.A
        self._x: Tensor | None = None
        self._hidden: Sequence[Tensor] = ()
        self._readers_left = 0

    def add(self, layer: MultiLoraLinear) -> int:
        """Make room for one more layer; the result is its index."""
        self.layers.append(layer)
        self._resize(self.rank)
        return len(self.layers) - 1

    def grow(self, rank: int) -> None:
        """Raise the rank capacity of all slots to at least `rank`; their content stays."""
        if rank > self.rank:
            self._resize(math.ceil(rank / RANK_STEP) * RANK_STEP)

    def hidden(self, x: Tensor, index: int) -> Tensor:
        """A x of one layer. x: [rows, new, in].

        All rows on one slot: [tokens, rank]; stacked: [tokens, slots * rank]; grouped: [slots, width, rank].
        """
        if x is not self._x:
            self._x, self._hidden, self._readers_left = x, self._multiply(x), len(self.layers)
        hidden = self._hidden[index]
        self._readers_left -= 1
        if not self._readers_left:  # an activation must not outlive its forward
            self._x, self._hidden = None, ()
        return hidden

    def _multiply(self, x: Tensor) -> Sequence[Tensor]:
        routing = self.routing
        if routing.span != self._span:  # the view of the slots in use seldom changes
            self._span, self._span_a = routing.span, self.A[slice(*routing.span)]
        flat, layers = x.reshape(-1, self.in_features), len(self.layers)
        if routing.form is RoutingForm.SINGLE:
            return torch.split(flat @ self._span_a[0], self.rank, -1)
        # Other slots' results are set to 0, not multiplied by it: an overflow (inf) would become NaN.
        if routing.form is RoutingForm.GROUPED:
            if routing.order is not None:
                flat = flat.index_select(0, routing.order)
            hidden = torch.bmm(flat.view(-1, routing.width, self.in_features), self._span_a)
            if routing.padding is not None:
                hidden.masked_fill_(routing.padding, 0)
            return torch.split(hidden, self.rank, -1)
        hidden = torch.bmm(flat.expand(len(self._span_a), -1, -1), self._span_a)
        by_layer = hidden.view(len(self._span_a), len(flat), layers, self.rank).permute(2, 1, 0, 3)
        masked = torch.empty(by_layer.shape, dtype=hidden.dtype, device=hidden.device)
        torch.where(routing.other_slots(), self._zero, by_layer, out=masked)
        return masked.flatten(2).unbind()

    def _resize(self, rank: int) -> None:
        A = self.A.new_zeros(self.count, self.in_features, len(self.layers), rank)
        if self.rank:
            old = self.A.view(self.count, self.in_features, -1, self.rank)
            A[:, :, : old.shape[2], : self.rank] = old
        self.A, self.rank, self._span = A.flatten(2), rank, None
        for layer in self.layers:
            layer.resize(rank)


class MultiLoraLinear(nn.Module):
    """A linear layer of the base with slots. It replaces the base's layer when the first adapter needs it."""

    def __init__(self, base: nn.Linear, lora_a: SharedLoraA, dtype: torch.dtype) -> None:
        super().__init__()
        self.B: Tensor
        self.base = base
        self.in_features, self.out_features = base.in_features, base.out_features
        self.lora_a, self.routing, self.rank = lora_a, lora_a.routing, 0
        self._view_of: tuple[RoutingForm, tuple[int, int]] | None = None
        self._span_b = torch.empty(0)
        B = torch.zeros(lora_a.count, 0, self.out_features, dtype=dtype, device=lora_a.A.device)
        self.register_buffer("B", B, persistent=False)
        self.index = lora_a.add(self)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.base(x)
        routing = self.routing
        if routing.form is RoutingForm.BASE or not self.rank:
            return y
        if (routing.form, routing.span) != self._view_of:  # as in SharedLoraA: the view of the slots in use
            part = self.B[slice(*routing.span)]
            self._view_of = routing.form, routing.span
            self._span_b = part if routing.form is RoutingForm.GROUPED else part.flatten(0, 1)
        hidden = self.lora_a.hidden(x, self.index)
        if routing.form is not RoutingForm.GROUPED:
            y.view(-1, self.out_features).addmm_(hidden, self._span_b)
        elif routing.order is None:
            y.view(-1, routing.width, self.out_features).baddbmm_(hidden, self._span_b)
        else:
            by_slot = torch.bmm(hidden, self._span_b).view(-1, self.out_features)
            y.view(-1, self.out_features).index_add_(0, routing.order, by_slot)
        return y

    def resize(self, rank: int) -> None:
        """Give every slot room for `rank`; their content stays."""
        if rank == self.rank:
            return
        B = self.B.new_zeros(self.lora_a.count, rank, self.out_features)
        B[:, : self.rank] = self.B
        self.B, self.rank, self._view_of = B, rank, None

    def set_lora(self, slot: int, pair: tuple[Tensor, Tensor] | None) -> None:
        """Copy A and B into a slot, or zeros when the adapter does not target this layer."""
        if not self.rank:
            return
        A = self.lora_a.A[slot, :, self.index * self.rank : (self.index + 1) * self.rank]
        B = self.B[slot]
        rank = 0
        if pair is not None:
            rank = len(pair[1])
            A[:, :rank].copy_(pair[0], non_blocking=True)
            B[:rank].copy_(pair[1], non_blocking=True)
        A[:, rank:].zero_()
        B[rank:].zero_()


def linear_shapes(model: nn.Module) -> dict[str, tuple[int, int]]:
    """Module path -> (out_features, in_features) of every linear layer, 4-bit layers included."""
    return {
        path: (module.out_features, module.in_features)
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear)
    }


def shared_inputs(model: nn.Module, forward: Callable[[], object]) -> list[list[str]]:
    """The linear layers that read one and the same tensor in a forward, as groups of module paths."""
    readers: list[tuple[Tensor, list[str]]] = []  # the tensors are kept alive: `is` could confuse a freed one

    def add_reader(path: str, x: Tensor) -> None:
        for tensor, paths in readers:
            if tensor is x:
                paths.append(path)
                return
        readers.append((x, [path]))

    handles = [
        module.register_forward_pre_hook(lambda _, inputs, path=path: add_reader(path, inputs[0]))
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear)
    ]
    try:
        forward()
    finally:
        for handle in handles:
            handle.remove()
    return [paths for _, paths in readers if len(paths) > 1]
