"""What goes into the engine and what comes out: a sequence (one completion of one prompt), and its outputs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from core.serving.engine.sampling import SequenceSampler
from core.serving.engine.sampling_params import SampledToken, SamplingParams
from core.serving.engine.stream import TextStream
from core.serving.engine.token_ranges import TokenRange
from core.serving.lora.layers import BASE
from core.serving.lora.slots import HostAdapter


@dataclass(frozen=True)
class RequestOutput:
    """What one step adds to a sequence. `finish_reason` or `error` mark the last output."""

    text: str = ""
    sampled: SampledToken | None = None
    finish_reason: str | None = None
    """"stop" (an end token or a stop string), "length", or "cancelled"."""
    error: str | None = None

    @property
    def is_last(self) -> bool:
        return self.finish_reason is not None or self.error is not None


@dataclass(eq=False)
class Sequence:
    """One completion of one prompt. The caller sets the first block; the rest belongs to the engine's thread."""

    prompt_ids: list[int]
    params: SamplingParams
    on_output: Callable[[RequestOutput], None]
    adapter: HostAdapter | None = None
    client: str = ""

    output_ids: list[int] = field(default_factory=list)
    slot: int = BASE
    kv_range: TokenRange = field(default_factory=lambda: TokenRange(0, 0))
    """Where its keys and values are; empty until it runs."""
    cached: int = 0
    """Tokens in the key/value cache."""
    reused: int = 0
    """Tokens of the prompt that were there already, of an earlier sequence."""
    finished: bool = False
    sampler: SequenceSampler = field(init=False)
    text: TextStream = field(init=False)
    # Seconds of time.perf_counter().
    arrived_at: float = field(default_factory=time.perf_counter)
    admitted_at: float | None = None
    first_token_at: float | None = None
    last_token_at: float | None = None

    def __post_init__(self) -> None:
        self.sampler = SequenceSampler(self.params, self.prompt_ids)

    @property
    def reserved(self) -> int:
        """The most tokens that this sequence can ever have in the cache."""
        return len(self.prompt_ids) + self.params.max_tokens
