"""Linear layers of the base with room for many adapters: stacked matrices, and a mask per row between them.

With slots 0..S-1 of rank r a layer gives  y = W x + B ((A x) * mask),  A: [in, S*r],  B: [S*r, out].  The mask keeps,
for each row, the r columns of its own slot; a row on the base keeps none. So the number of operators is the same for
any number of adapters. The scaling is folded into B when an adapter is read. Layers that read one input (queries,
keys and values; gate and up) have their A in one stack, and one product serves them all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

BASE = -1  # the slot of rows that use no adapter
RANK_STEP = 8  # rank capacity grows in steps of this; ranks between are padded with zeros


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


class Down:
    """The first halves, A, of the layers that read one input: [layers, in, slots * rank].

    Laid out so that products run along memory that lies together: a CPU takes two thirds of the time of [.., rank, in].
    """

    def __init__(self, route: Route, count: int, in_features: int, dtype: torch.dtype, device: torch.device) -> None:
        self.route, self.count, self.in_features, self.rank = route, count, in_features, 0
        self.layers: list[SlotLinear] = []
        self.A = torch.zeros(0, in_features, 0, dtype=dtype, device=device)
        self._span: tuple[int, int] | None = None
        self._part = self.A
        self._x: Tensor | None = None
        self._hidden: Sequence[Tensor] = ()
        self._waiting = 0

    def add(self, layer: SlotLinear) -> int:
        """The place of a new layer in the stack."""
        self.layers.append(layer)
        self._resize(self.rank)
        return len(self.layers) - 1

    def grow(self, rank: int) -> None:
        """Raise the rank capacity of all slots to at least `rank`; what is in them stays."""
        if rank > self.rank:
            self._resize(math.ceil(rank / RANK_STEP) * RANK_STEP)

    def hidden(self, x: Tensor, place: int) -> Tensor:
        """A x of one layer, [tokens, slots * rank] of the slots that are calculated, masked. x: [rows, new, in]."""
        if x is not self._x:
            self._x, self._hidden, self._waiting = x, self._multiply(x), len(self.layers)
        found = self._hidden[place]
        self._waiting -= 1
        if not self._waiting:  # an activation must not outlive its forward
            self._x, self._hidden = None, ()
        return found

    def part(self) -> tuple[int, int]:
        """The columns that are calculated, first and last + 1."""
        first, last = self.route.span
        return first * self.rank, last * self.rank

    def _multiply(self, x: Tensor) -> Sequence[Tensor]:
        if self.route.span != self._span:  # the view of the part that is calculated changes seldom
            first, last = self.part()
            self._span, self._part = self.route.span, self.A[:, :, first:last]
        flat = x.reshape(-1, self.in_features)
        alone = len(self.layers) == 1
        hidden = flat @ self._part[0] if alone else torch.bmm(flat.expand(len(self.layers), -1, -1), self._part)
        if self.route.single is None:
            # Not multiplied by 0: another adapter's overflow (inf) on this row would become NaN.
            hidden.masked_fill_(self.route.others(self.rank), 0)
        return (hidden,) if alone else hidden.unbind()

    def _resize(self, rank: int) -> None:
        layers, held = self.A.shape[0], self.rank
        A = self.A.new_zeros(len(self.layers), self.in_features, self.count, rank)
        if held:
            A[:layers, :, :, :held] = self.A.view(layers, self.in_features, self.count, held)
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
        self._span: tuple[int, int] | None = None
        self._up = torch.empty(0)
        self.register_buffer(
            "B", torch.zeros(0, self.out_features, dtype=dtype, device=base.weight.device), persistent=False
        )
        self.place = down.add(self)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.base(x)
        route = self.route
        if route.single == BASE or not self.rank:
            return y
        if route.span != self._span:
            first, last = self.down.part()
            self._span, self._up = route.span, self.B[first:last]
        y.view(-1, self.out_features).addmm_(self.down.hidden(x, self.place), self._up)
        return y

    def resize(self, rank: int) -> None:
        """Give every slot room for `rank`; what is in them stays."""
        if rank == self.rank:
            return
        B = self.B.new_zeros(self.down.count, rank, self.out_features)
        if self.rank:
            B[:, : self.rank] = self.B.view(self.down.count, self.rank, self.out_features)
        self.B, self.rank, self._span = B.flatten(0, 1), rank, None

    def put(self, slot: int, pair: tuple[Tensor, Tensor] | None) -> None:
        """Fill a slot with A and B, or with zeros when the adapter leaves this layer alone."""
        if not self.rank:
            return
        first, last = slot * self.rank, (slot + 1) * self.rank
        filled = first
        A = self.down.A[self.place]
        if pair is not None:
            filled += len(pair[1])
            A[:, first:filled].copy_(pair[0], non_blocking=True)
            self.B[first:filled].copy_(pair[1], non_blocking=True)
        A[:, filled:last].zero_()
        self.B[filled:last].zero_()


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
