"""What goes in and out of the engine: a row (one completion of one prompt), and the pieces that it sends back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from core.serving.engine.sampling import RowSampler
from core.serving.engine.sampling_params import Drawn, SamplingParams
from core.serving.engine.stream import TextStream
from core.serving.lora.layers import BASE
from core.serving.lora.slots import HostAdapter


@dataclass(frozen=True)
class Piece:
    """A step of one row as its reader sees it. `finish_reason` or `error` mark the last one."""

    text: str = ""
    drawn: Drawn | None = None
    finish_reason: str | None = None
    """"stop" (an end token or a stop string), "length", or "cancelled"."""
    error: str | None = None

    @property
    def last(self) -> bool:
        return self.finish_reason is not None or self.error is not None


@dataclass(eq=False)
class Row:
    """One completion of one prompt. The first block is the caller's; the rest belongs to the engine's thread."""

    prompt: list[int]
    params: SamplingParams
    sink: Callable[[Piece], None]
    adapter: HostAdapter | None = None
    client: str = ""

    output: list[int] = field(default_factory=list)
    slot: int = BASE
    cached: int = 0
    """Tokens in the key/value cache."""
    done: bool = False
    sampler: RowSampler = field(init=False)
    text: TextStream = field(init=False)
    arrived: float = field(default_factory=time.perf_counter)
    admitted: float | None = None
    first_token: float | None = None
    last_token: float | None = None

    def __post_init__(self) -> None:
        self.sampler = RowSampler(self.params, self.prompt)

    @property
    def reserved(self) -> int:
        """The most tokens that this row can ever have in the cache."""
        return len(self.prompt) + self.params.max_tokens
