"""Whether the engine calculates what the model does: its chunks and steps against one plain forward."""

from __future__ import annotations

from collections.abc import Callable

import torch
from transformers import PreTrainedModel

from adapters.common.errors import UserError
from core.models.device import Choice
from core.serving.engine.fast_layers import plain_layers
from core.serving.engine.forward import Forward
from core.serving.engine.sampling_params import SamplingParams
from core.serving.engine.sequence import Sequence
from core.serving.engine.start_record import StartRecord
from core.serving.kv_budget import ALIGN

KNOWN_TO_WORK = "Llama, Mistral, Qwen2, Qwen3, Phi-3, Gemma-2"


def check_once(
    forward: Forward,
    longest: int,
    kind: str,
    record: StartRecord,
    *,
    tolerance: float,
    on_phase: Callable[[str], None] = lambda phase: None,
) -> Choice:
    """`check_against_model`, unless an earlier start has done it for weights of this kind and as many rows.

    Where steps are recorded it is always done, since it makes and compares the first recordings.
    """

    def check() -> None:
        on_phase("checking the engine against the model")
        check_against_model(forward, longest, tolerance=tolerance)

    rows = len(_checked_capacities(forward, longest))
    when = (record if forward.graphs is None else StartRecord()).check(f"{kind}, rows {rows}", check)
    return Choice("passed", f"checked {when}: its logits are the model's, within {tolerance} standard deviations")


@torch.inference_mode()
def check_against_model(forward: Forward, longest: int, *, tolerance: float) -> None:
    """Compare the logits of the engine's chunks and steps with those of one forward of the model without a cache.

    The rows of a batch lie so that they are no single group, where the budget has room for that. tolerance: in standard
    deviations of the logits. Raises UserError when they differ by more: the family then does something with positions,
    masks or the cache that the step loop does not know of.
    """
    model, cache = forward.model, forward.cache
    length = _checked_length(forward, longest)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(model.config.vocab_size, (length,), generator=generator).tolist()
    with plain_layers(model):
        expected = model(input_ids=torch.tensor([tokens], device=model.device), use_cache=False).logits[0].float()
    rows = []
    for capacity in _checked_capacities(forward, longest):
        row = Sequence(tokens[: length - 4], SamplingParams(), lambda output: None)
        row.kv_range = cache.allocate(capacity)
        rows.append(row)
    results = {}
    for start, stop in ((0, length // 3), (length // 3, length - 4)):
        results[stop - 1] = forward.chunk(rows, start, stop)
    for position in range(length - 4, length):
        for row in rows:
            row.cached = position
            row.output_ids.append(tokens[position])
        results[position] = forward.step(rows)
    for position, result in results.items():
        if result.logits is None or result.failed:
            raise unserved(model, f"a step fails ({result.failed[0][1]})")
        difference = float((result.logits.float() - expected[position]).abs().max() / expected.std().clamp(min=1e-6))
        if not difference <= tolerance:
            raise unserved(model, f"step by step its logits differ by {difference:.2g} standard deviations")
    for row in rows:
        cache.wipe(row.kv_range)
        cache.ranges.free(row.kv_range)


def _checked_length(forward: Forward, longest: int) -> int:
    window = getattr(forward.model.config, "sliding_window", None) or 0
    return min(longest, 24 if window > 64 else window + 24)


def _checked_capacities(forward: Forward, longest: int) -> tuple[int, ...]:
    length = _checked_length(forward, longest)
    lengths = (length, length + ALIGN, length)
    return lengths if forward.cache.can_hold(*lengths) else (length,)


def unserved(model: PreTrainedModel, reason: str) -> UserError:
    """The refusal of a family that the engine cannot serve."""
    return UserError(
        f"The base's family {model.config.model_type} cannot be served: {reason}.",
        f"Families that are known to work: {KNOWN_TO_WORK}.",
    )
