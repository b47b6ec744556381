"""How many tokens of keys and values the engine may hold. Decided here for engine and planner.

Importing this loads neither torch nor anything else of the engine.
"""

from __future__ import annotations

from dataclasses import dataclass

from adapters.common.errors import UserError
from core.serving.settings import EngineSettings

ALIGN = 64  # capacities are rounded up to this many tokens: fewer shapes, and what fast attention kernels like
CPU_SHARE = 0.25  # of the memory that is free once the base is loaded; a training run needs the rest
GPU_SHARE = 0.35  # of what is free beyond the reserve,
GPU_RESERVE = 1 << 30  # bytes left for activations and adapters,
GPU_TOKENS_PER_ROW = 512  # and no more than this for each row: there the memory is taken at once


@dataclass(frozen=True)
class KVBudget:
    """The most tokens that all conversations together may have in the cache, and why as many.

    On a GPU the engine takes the memory when it starts, on a CPU as it comes to need it.
    """

    tokens: int
    bytes_per_token: int
    reason: str

    @property
    def bytes(self) -> int:
        return self.tokens * self.bytes_per_token


def choose_kv_budget(
    settings: EngineSettings, *, bytes_per_token: int, context: int, free: int, on_cpu: bool
) -> KVBudget:
    """The budget of an engine that is set so. Raises UserError when there is no room for any conversation.

    context: most tokens of one conversation. free: bytes, with the base loaded.
    """
    if settings.kv_tokens is not None:
        tokens, reason = settings.kv_tokens // ALIGN * ALIGN, "asked for"
    else:
        usable = int(free * CPU_SHARE) if on_cpu else int((free - GPU_RESERVE) * GPU_SHARE)
        row = context if on_cpu else min(context, GPU_TOKENS_PER_ROW)
        most = settings.max_rows * aligned(row)
        tokens = min(most, max(0, usable // bytes_per_token) // ALIGN * ALIGN)
        reason = f"{settings.max_rows} rows of {row}" if tokens == most else f"{usable / 2**30:.1f} GiB may be used"
    if tokens < ALIGN:
        raise UserError(
            f"There is no memory for keys and values: {tokens} tokens at {bytes_per_token / 1024:.1f} KiB each.",
            "Choose a smaller base, free memory, or raise --kv-tokens.",
        )
    return KVBudget(tokens, bytes_per_token, f"{reason}, {bytes_per_token / 1024:.1f} KiB per token")


def aligned(length: int, unit: int = ALIGN) -> int:
    return -(-length // unit) * unit
