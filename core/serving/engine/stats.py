"""What the engine counts, and how full it is. Plain values, which other threads may read."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field


class Histogram:
    """Observations in seconds, counted in buckets by their upper bounds. One thread writes, others may read."""

    def __init__(self, *bounds: float) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds

    @property
    def count(self) -> int:
        return sum(self.counts)


@dataclass
class EngineCounters:
    """What the engine's thread counts. None of it ever falls; what rises and falls is in EngineStats."""

    prompt_tokens: int = 0
    """Prompt tokens that were read; those that were reused are in `prefix_hits`."""
    prefix_queries: int = 0
    """Prompt tokens of the sequences that were admitted,"""
    prefix_hits: int = 0
    """and as many of them as were in the cache already."""
    output_tokens: int = 0
    steps: int = 0
    step_seconds: float = 0.0
    """Decode steps as a whole; `forward_seconds` is the part of it inside the model."""
    forward_seconds: float = 0.0
    completions_by_end: dict[str, int] = field(
        default_factory=lambda: {"stop": 0, "length": 0, "cancelled": 0, "error": 0},
    )
    queue_seconds: Histogram = field(default_factory=lambda: Histogram(0.01, 0.1, 0.5, 1, 5, 15, 60))
    first_token_seconds: Histogram = field(
        default_factory=lambda: Histogram(0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
    )
    token_seconds: Histogram = field(default_factory=lambda: Histogram(0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1))
    install_seconds: Histogram = field(default_factory=lambda: Histogram(0.001, 0.005, 0.02, 0.1, 0.5))


@dataclass(frozen=True)
class EngineStats:
    """How full the engine is at one moment, and what it has counted so far."""

    running: int
    """Completions in the batch."""
    waiting: int
    """Completions in the queue."""
    max_length: int
    """Tokens per conversation."""
    kv_budget: int
    """Tokens that the cache has room for,"""
    kv_reserved: int
    """that the running completions may come to need,"""
    kv_used: int
    """and that they have in it now;"""
    kv_kept: int
    """tokens of ended completions that are kept until the room is needed."""
    kv_filled: int
    """Tokens whose memory has been taken,"""
    kv_bytes_per_token: int
    """and bytes for each."""
    counters: EngineCounters
    repeated_forwards: int = 0
    """Forwards over several completions that failed and were repeated for each alone, which is slow."""

    @property
    def kv_tokens(self) -> dict[str, int]:
        """Tokens of the cache by what they are for, as /health and /metrics name it."""
        return {"budget": self.kv_budget, "reserved": self.kv_reserved, "used": self.kv_used, "kept": self.kv_kept}
