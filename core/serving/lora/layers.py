"""Linear layers of the base with room for many adapters.

A layer gives  y = W x + B[s] (A[s] x)  where s is the slot of the row that x belongs to; A: [slots, in, r],
B: [slots, r, out]. Rows on the base get W x alone. The scaling is folded into B when an adapter is read. Layers that
read one input (queries, keys and values; gate and up) have their A side by side, and one product serves them all.

Where rows differ in their slots there are two ways, both with the same number of operators for any number of adapters:
- stacked, on a GPU: every token meets the A of all slots, a mask keeps what is its own, and one product with all B
  follows. That is few operators, on memory that never moves, so that a step can be recorded.
- grouped, on a CPU: tokens are put in the order of their slots, and each slot's matrices meet its own tokens only.
  That is the least arithmetic, at the price of operators that move tokens unless they stand in that order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from enum import Enum, auto

import torch
from torch import Tensor, nn

BASE = -1  # the slot of rows that use no adapter
RANK_STEP = 8  # rank capacity grows in steps of this; ranks between are padded with zeros


class Form(Enum):
    """What a forward's rows have in common."""

    BASE = auto()  # all are on the base
    SINGLE = auto()  # all are on one slot
    STACKED = auto()
    GROUPED = auto()


def span_of(slots: Sequence[int]) -> tuple[int, int]:
    """The slots that are calculated for these rows, first and last + 1; (BASE, 0) when there is none."""
    used = [slot for slot in slots if slot != BASE]
    return (min(used), max(used) + 1) if used else (BASE, 0)


class Route:
    """Which slot each row of the coming forward uses; all slot layers look here."""

    def __init__(self, count: int, device: torch.device, *, grouped: bool) -> None:
        self.device, self.grouped = device, grouped
        self.form = Form.BASE
        self.span = (BASE, 0)
        self.width = 0
        """Grouped: tokens per slot, those that fill up included."""
        self.order: Tensor | None = None
        """Grouped: which token stands where, [slots * width]; None when they stand in that order already."""
        self.filling: Tensor | None = None
        """Grouped: True where a token only fills up, [slots, width, 1]; None when none does."""
        self._numbers = torch.arange(count, device=device)
        self._slots = self._numbers
        self._others: Tensor | None = None

    def set(self, slots: Sequence[int], on_device: Tensor, tokens: int) -> None:
        """`slots`: one per row, `on_device`: the same as a tensor; `tokens`: how many tokens each row brings."""
        self.span = span_of(slots)
        self._others = None
        if len(set(slots)) == 1:
            self.form = Form.BASE if slots[0] == BASE else Form.SINGLE
        elif self.grouped:
            self.form = Form.GROUPED
            self._group(slots, tokens)
        else:
            self.form = Form.STACKED
            self._slots = on_device if tokens == 1 else on_device.repeat_interleave(tokens)

    def others(self) -> Tensor:
        """Stacked: True where a token must not see a slot, [tokens, slots, 1]. Built once per forward."""
        if self._others is None:
            self._others = (self._slots[:, None] != self._numbers[slice(*self.span)])[..., None]
        return self._others

    def _group(self, slots: Sequence[int], tokens: int) -> None:
        groups = [[row for row, slot in enumerate(slots) if slot == each] for each in range(*self.span)]
        most = max(len(group) for group in groups)
        rows = [row for group in groups for row in group + [0] * (most - len(group))]
        self.width = most * tokens
        self.order = self.filling = None
        if rows != list(range(len(slots))):
            each = torch.arange(tokens, device=self.device)
            self.order = (torch.tensor(rows, device=self.device)[:, None] * tokens + each).flatten()
        if len(rows) > sum(len(group) for group in groups):
            filling = [[at >= len(group) for at in range(most)] for group in groups]
            self.filling = torch.tensor(filling, device=self.device).repeat_interleave(tokens, dim=1)[..., None]


class Down:
    """The first halves, A, of the layers that read one input: [slots, in, layers * rank]."""

    def __init__(self, route: Route, count: int, in_features: int, dtype: torch.dtype, device: torch.device) -> None:
        self.route, self.count, self.in_features, self.rank = route, count, in_features, 0
        self.layers: list[SlotLinear] = []
        self.A = torch.zeros(count, in_features, 0, dtype=dtype, device=device)
        self._zero = self.A.new_zeros(())
        self._span: tuple[int, int] | None = None
        self._part = self.A
        self._x: Tensor | None = None
        self._hidden: Sequence[Tensor] = ()
        self._waiting = 0

    def add(self, layer: SlotLinear) -> int:
        """The place of a new layer beside the others."""
        self.layers.append(layer)
        self._resize(self.rank)
        return len(self.layers) - 1

    def grow(self, rank: int) -> None:
        """Raise the rank capacity of all slots to at least `rank`; what is in them stays."""
        if rank > self.rank:
            self._resize(math.ceil(rank / RANK_STEP) * RANK_STEP)

    def hidden(self, x: Tensor, place: int) -> Tensor:
        """A x of one layer. x: [rows, new, in].

        All rows on one slot: [tokens, rank]; stacked: [tokens, slots * rank]; grouped: [slots, width, rank].
        """
        if x is not self._x:
            self._x, self._hidden, self._waiting = x, self._multiply(x), len(self.layers)
        found = self._hidden[place]
        self._waiting -= 1
        if not self._waiting:  # an activation must not outlive its forward
            self._x, self._hidden = None, ()
        return found

    def _multiply(self, x: Tensor) -> Sequence[Tensor]:
        route = self.route
        if route.span != self._span:  # the view of the part that is calculated changes seldom
            self._span, self._part = route.span, self.A[slice(*route.span)]
        flat, layers = x.reshape(-1, self.in_features), len(self.layers)
        if route.form is Form.SINGLE:
            return (flat @ self._part[0]).split(self.rank, -1)
        # What is not a row's own is filled with 0, not multiplied by it: an overflow (inf) would become NaN.
        if route.form is Form.GROUPED:
            if route.order is not None:
                flat = flat.index_select(0, route.order)
            hidden = torch.bmm(flat.view(-1, route.width, self.in_features), self._part)
            if route.filling is not None:
                hidden.masked_fill_(route.filling, 0)
            return hidden.split(self.rank, -1)
        hidden = torch.bmm(flat.expand(len(self._part), -1, -1), self._part)
        by_layer = hidden.view(len(self._part), len(flat), layers, self.rank).permute(2, 1, 0, 3)
        masked = torch.empty(by_layer.shape, dtype=hidden.dtype, device=hidden.device)
        torch.where(route.others(), self._zero, by_layer, out=masked)
        return masked.flatten(2).unbind()

    def _resize(self, rank: int) -> None:
        A = self.A.new_zeros(self.count, self.in_features, len(self.layers), rank)
        if self.rank:
            old = self.A.view(self.count, self.in_features, -1, self.rank)
            A[:, :, : old.shape[2], : self.rank] = old
        self.A, self.rank, self._span = A.flatten(2), rank, None
        for layer in self.layers:
            layer.resize(rank)


class SlotLinear(nn.Module):
    """A linear layer of the base with its slots. Before the first adapter comes, the base's layer stands alone."""

    def __init__(self, base: nn.Linear, down: Down, dtype: torch.dtype) -> None:
        super().__init__()
        self.B: Tensor
        self.base = base
        self.in_features, self.out_features = base.in_features, base.out_features
        self.down, self.route, self.rank = down, down.route, 0
        self._seen: tuple[Form, tuple[int, int]] | None = None
        self._up = torch.empty(0)
        B = torch.zeros(down.count, 0, self.out_features, dtype=dtype, device=base.weight.device)
        self.register_buffer("B", B, persistent=False)
        self.place = down.add(self)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.base(x)
        route = self.route
        if route.form is Form.BASE or not self.rank:
            return y
        if (route.form, route.span) != self._seen:  # as in Down: the view of the part that is calculated
            part = self.B[slice(*route.span)]
            self._seen = route.form, route.span
            self._up = part if route.form is Form.GROUPED else part.flatten(0, 1)
        hidden = self.down.hidden(x, self.place)
        if route.form is not Form.GROUPED:
            y.view(-1, self.out_features).addmm_(hidden, self._up)
        elif route.order is None:
            y.view(-1, route.width, self.out_features).baddbmm_(hidden, self._up)
        else:
            by_slot = torch.bmm(hidden, self._up).view(-1, self.out_features)
            y.view(-1, self.out_features).index_add_(0, route.order, by_slot)
        return y

    def resize(self, rank: int) -> None:
        """Give every slot room for `rank`; what is in them stays."""
        if rank == self.rank:
            return
        B = self.B.new_zeros(self.down.count, rank, self.out_features)
        B[:, : self.rank] = self.B
        self.B, self.rank, self._seen = B, rank, None

    def put(self, slot: int, pair: tuple[Tensor, Tensor] | None) -> None:
        """Fill a slot with A and B, or with zeros when the adapter leaves this layer alone."""
        if not self.rank:
            return
        A = self.down.A[slot, :, self.place * self.rank : (self.place + 1) * self.rank]
        B = self.B[slot]
        filled = 0
        if pair is not None:
            filled = len(pair[1])
            A[:, :filled].copy_(pair[0], non_blocking=True)
            B[:filled].copy_(pair[1], non_blocking=True)
        A[:, filled:].zero_()
        B[filled:].zero_()


def linears(model: nn.Module) -> dict[str, tuple[int, int]]:
    """Module path -> (out_features, in_features) of every linear layer, 4-bit ones included."""
    return {
        path: (module.out_features, module.in_features)
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear)
    }


def shared_inputs(model: nn.Module, forward: Callable[[], object]) -> list[list[str]]:
    """The linear layers that read one and the same tensor in a forward, as groups of module paths."""
    seen: list[tuple[Tensor, list[str]]] = []  # the tensors are kept: one that is gone may have its place taken

    def note(path: str, x: Tensor) -> None:
        for tensor, paths in seen:
            if tensor is x:
                paths.append(path)
                return
        seen.append((x, [path]))

    handles = [
        model.get_submodule(path).register_forward_pre_hook(lambda module, given, path=path: note(path, given[0]))
        for path in linears(model)
    ]
    try:
        forward()
    finally:
        for handle in handles:
            handle.remove()
    return [paths for _, paths in seen if len(paths) > 1]
