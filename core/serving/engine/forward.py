"""One forward of the model over some sequences: which slot, range of the cache and mask each of them gets."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from core.serving.engine.attention_masks import AttentionMasks
from core.serving.engine.compiled_forward import CompiledForward
from core.serving.engine.cuda_graphs import CudaGraphs
from core.serving.engine.kv_cache import KVCache
from core.serving.engine.sequence import Sequence
from core.serving.kv_budget import ALIGN, aligned
from core.serving.lora.layers import slot_span
from core.serving.lora.slots import LoraSlots

log = logging.getLogger(__name__)
RECORDED_ALIGN = 256  # tokens: recorded steps read the cache up to a multiple of this, so that fewer are needed


@dataclass(frozen=True)
class ForwardResult:
    """Logits [sequences, vocab] of the sequences that succeeded, and the errors of the others."""

    sequences: list[Sequence]
    logits: Tensor | None
    failed: list[tuple[Sequence, Exception]]


class Forward:
    """The model with its cache, masks and slots. Every sequence has its range of the cache when it comes here."""

    def __init__(
        self,
        model: PreTrainedModel,
        cache: KVCache,
        masks: AttentionMasks,
        slots: LoraSlots,
        graphs: CudaGraphs | None = None,
        compiled: CompiledForward | None = None,
    ) -> None:
        self.model, self.cache, self.masks, self.slots = model, cache, masks, slots
        self.graphs, self.compiled = graphs, compiled
        self.repeated = 0
        """Forwards over several sequences that failed and were repeated for each alone."""
        self._device = model.device
        self._step_inputs = torch.zeros(4, cache.max_rows, dtype=torch.long, device=self._device)
        self._recorded_shape = slots.shape

    def chunk(self, sequences: list[Sequence], start: int, stop: int) -> ForwardResult:
        """Read tokens start..stop-1 of the sequences' prompts."""
        chunk = self.compiled.chunk if self.compiled else self._chunk
        return self._isolate_failures(sequences, lambda part: chunk(part, start, stop))

    def step(self, sequences: list[Sequence]) -> ForwardResult:
        """Read each sequence's last token."""
        return self._isolate_failures(sequences, self.compiled.step if self.compiled else self._step)

    def _chunk(self, sequences: list[Sequence], start: int, stop: int) -> Tensor:
        slots = [sequence.slot for sequence in sequences]
        self.slots.routing.set(slots, torch.tensor(slots, device=self._device), stop - start)
        self.cache.plan_chunk([sequence.kv_range for sequence in sequences], start, stop)
        tokens = torch.tensor([sequence.prompt_ids[start:stop] for sequence in sequences], device=self._device)
        positions = self.masks.positions[None, start:stop].expand(len(sequences), -1)
        return self._logits(tokens, positions, self.masks.chunk(start, stop))

    def _step(self, sequences: list[Sequence]) -> Tensor:
        count, slots = len(sequences), [sequence.slot for sequence in sequences]
        ranges = [sequence.kv_range for sequence in sequences]
        last_tokens, cached, writes = zip(
            *((row.output_ids[-1], row.cached, row.kv_range.offset + row.cached) for row in sequences), strict=True
        )
        inputs = self._step_inputs[:, :count]
        # one transfer to the device for all that changes between steps
        inputs.copy_(torch.tensor([last_tokens, cached, slots, writes]))
        tokens, positions, slots_on_device, writes_on_device = inputs
        # On a CPU no kernel gains by a round length, and each token that is read costs time.
        unit = RECORDED_ALIGN if self.graphs else 1 if self._device.type == "cpu" else ALIGN
        reads = [min(row.capacity, aligned(length + 1, unit)) for row, length in zip(ranges, cached, strict=True)]
        groups = self.cache.plan_step(ranges, reads, writes_on_device)

        def run_step() -> Tensor:
            self.slots.routing.set(slots, slots_on_device, 1)
            longest = max(group.read for group in groups)
            unmasked = unit == 1 and longest <= self.masks.window
            return self._logits(tokens[:, None], positions[:, None], self.masks.step(positions, longest), unmasked)

        if self.graphs is None or len(groups) > 1:
            return run_step()
        if self._recorded_shape != self.slots.shape:  # the slots have moved to other memory
            self._recorded_shape = self.slots.shape
            self.graphs.clear()
        is_single_slot = len(set(slots)) == 1
        return self.graphs.run((groups, slot_span(slots), is_single_slot), run_step)

    def _logits(
        self, tokens: Tensor, positions: Tensor, mask: Tensor | dict[str, Tensor], unmasked: bool = False
    ) -> Tensor:
        logits: Tensor = self.model(
            input_ids=tokens,
            position_ids=positions,
            attention_mask=mask,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
            **({"kv_cache": self.cache, "unmasked": unmasked} if self.cache.grouped else {}),
        ).logits
        return logits[:, -1]

    def _isolate_failures(
        self, sequences: list[Sequence], forward: Callable[[list[Sequence]], Tensor]
    ) -> ForwardResult:
        """Run `forward` over all sequences; if it fails, over each alone, so that only those which fail alone are lost.

        A forward that is repeated writes the same cache positions again, so repeating it is harmless. Raises what the
        forward raises when the device itself has failed.
        """
        try:
            return ForwardResult(sequences, forward(sequences), [])
        except Exception as error:
            if is_device_fault(error):
                raise
            if len(sequences) == 1:
                return ForwardResult([], None, [(sequences[0], error)])
            # Where each alone succeeds nobody is told of a failure, and the engine would only be slow.
            self.repeated += 1
            log.warning("a forward over %d rows is repeated row by row: %s", len(sequences), error, exc_info=error)
        results = [self._isolate_failures([sequence], forward) for sequence in sequences]
        logits = [result.logits for result in results if result.logits is not None]
        return ForwardResult(
            [sequence for result in results for sequence in result.sequences],
            torch.cat(logits) if logits else None,
            [failure for result in results for failure in result.failed],
        )


def is_device_fault(error: BaseException) -> bool:
    """Whether the device itself has failed: after a CUDA error nothing on it can be trusted, out of memory aside."""
    if isinstance(error, torch.OutOfMemoryError):
        return False
    return isinstance(error, torch.AcceleratorError) or "CUDA error" in str(error)
