"""One forward of the model over rows: which slot, which cache positions and which mask each row gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from core.serving.engine.attention_masks import Masks
from core.serving.engine.cuda_graphs import Graphs
from core.serving.engine.kv_cache import ALIGN, RowCache, aligned
from core.serving.engine.sequence import Row
from core.serving.lora.layers import span_of
from core.serving.lora.slots import Slots

RECORDED_ALIGN = 256  # tokens: recorded steps read the cache up to a multiple of this, so that fewer are needed


@dataclass(frozen=True)
class Outcome:
    """Logits [rows, vocab] of the rows that came through, and what befell the others."""

    rows: list[Row]
    logits: Tensor | None
    failed: list[tuple[Row, Exception]]


class Forward:
    """The model with its cache, masks and slots. `first` is always the cache's row of the first row given."""

    def __init__(
        self, model: PreTrainedModel, cache: RowCache, masks: Masks, slots: Slots, graphs: Graphs | None = None
    ) -> None:
        self.model, self.cache, self.masks, self.slots = model, cache, masks, slots
        self.graphs = graphs
        self._device = model.device
        self._count = torch.arange(cache.max_rows, device=self._device)
        self._fed = torch.zeros(3, cache.max_rows, dtype=torch.long, device=self._device)
        self._recorded_shape = slots.shape

    def chunk(self, rows: list[Row], first: int, start: int, stop: int) -> Outcome:
        """Read tokens start..stop-1 of the rows' prompts."""
        return self._survivors(rows, first, lambda some, at: self._chunk(some, at, start, stop))

    def step(self, rows: list[Row], first: int) -> Outcome:
        """Read each row's last token."""
        return self._survivors(rows, first, self._step)

    def _chunk(self, rows: list[Row], first: int, start: int, stop: int) -> Tensor:
        slots = [row.slot for row in rows]
        self.slots.route.set(slots, torch.tensor(slots, device=self._device), stop - start)
        self.cache.plan_chunk(first, first + len(rows), start, stop)
        tokens = torch.tensor([row.prompt[start:stop] for row in rows], device=self._device)
        positions = self.masks.positions[None, start:stop].expand(len(rows), -1)
        return self._logits(tokens, positions, self.masks.chunk(start, stop))

    def _step(self, rows: list[Row], first: int) -> Tensor:
        count, slots = len(rows), [row.slot for row in rows]
        fed = self._fed[:, :count]
        # one transfer to the device for all that changes between steps
        fed.copy_(torch.tensor([[row.output[-1] for row in rows], [row.cached for row in rows], slots]))
        tokens, positions, on_device = fed
        # On a CPU no kernel gains by a round length, and each token that is read costs time.
        unit = RECORDED_ALIGN if self.graphs else 1 if self._device.type == "cpu" else ALIGN
        read = min(self.cache.length, aligned(max(row.cached for row in rows) + 1, unit))

        def work() -> Tensor:
            self.slots.route.set(slots, on_device, 1)
            self.cache.plan_step(first, first + count, positions, self._count[:count], read)
            return self._logits(tokens[:, None], positions[:, None], self.masks.step(positions, read))

        if self.graphs is None or first:
            return work()
        if self._recorded_shape != self.slots.shape:  # the slots have moved to other memory
            self._recorded_shape = self.slots.shape
            self.graphs.forget()
        alone = len(set(slots)) == 1
        return self.graphs.run((count, read, self.cache.length, span_of(slots), alone), work)

    def _logits(self, tokens: Tensor, positions: Tensor, mask: Tensor | dict[str, Tensor]) -> Tensor:
        return self.model(
            input_ids=tokens,
            position_ids=positions,
            attention_mask=mask,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]

    def _survivors(self, rows: list[Row], first: int, forward: Callable[[list[Row], int], Tensor]) -> Outcome:
        """Run `forward` over the rows; if it fails, over each alone, so that only those which fail alone are lost.

        A forward writes the same cache positions again when repeated, so repeating it is harmless. Raises what the
        forward raises when the device itself has failed.
        """
        try:
            return Outcome(rows, forward(rows, first), [])
        except Exception as error:
            if is_device_fault(error):
                raise
            if len(rows) == 1:
                return Outcome([], None, [(rows[0], error)])
        alone = [self._survivors([row], first + i, forward) for i, row in enumerate(rows)]
        logits = [each.logits for each in alone if each.logits is not None]
        return Outcome(
            [row for each in alone for row in each.rows],
            torch.cat(logits) if logits else None,
            [failure for each in alone for failure in each.failed],
        )


def is_device_fault(error: BaseException) -> bool:
    """Whether the device itself has failed: after a CUDA error nothing on it can be trusted, out of memory aside."""
    if isinstance(error, torch.OutOfMemoryError):
        return False
    return isinstance(error, torch.AcceleratorError) or "CUDA error" in str(error)
