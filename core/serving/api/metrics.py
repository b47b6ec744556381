"""Counts and times of the engine, and their Prometheus text form."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.serving.service import Service

# https://prometheus.io/docs/instrumenting/exposition_formats/
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


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
    """What the engine's thread counts. Monotonic but for nothing: gauges are read from the engine itself."""

    prompt_tokens: int = 0
    output_tokens: int = 0
    steps: int = 0
    step_seconds: float = 0.0
    """Decode steps as a whole; `forward_seconds` is the part of it inside the model."""
    forward_seconds: float = 0.0
    rows_by_end: dict[str, int] = field(
        default_factory=lambda: {"stop": 0, "length": 0, "cancelled": 0, "error": 0},
    )
    queue_seconds: Histogram = field(default_factory=lambda: Histogram(0.01, 0.1, 0.5, 1, 5, 15, 60))
    first_token_seconds: Histogram = field(
        default_factory=lambda: Histogram(0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
    )
    token_seconds: Histogram = field(default_factory=lambda: Histogram(0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1))
    install_seconds: Histogram = field(default_factory=lambda: Histogram(0.001, 0.005, 0.02, 0.1, 0.5))


class Exposition:
    """Metrics as Prometheus reads them."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, kind: str, name: str, text: str, *samples: tuple[Mapping[str, str], float]) -> None:
        """kind: "gauge" or "counter"; samples: (labels, value)."""
        self._head(kind, name, text)
        self._lines += [f"{name}{_labels(labels.items())} {value:g}" for labels, value in samples]

    def histogram(self, name: str, text: str, histogram: Histogram) -> None:
        self._head("histogram", name, text)
        total = 0
        for bound, count in zip((*histogram.bounds, float("inf")), list(histogram.counts), strict=True):
            total += count
            le = "+Inf" if bound == float("inf") else f"{bound:g}"
            self._lines.append(f'{name}_bucket{{le="{le}"}} {total}')
        self._lines += [f"{name}_sum {histogram.sum:g}", f"{name}_count {total}"]

    def _head(self, kind: str, name: str, text: str) -> None:
        self._lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]

    def __str__(self) -> str:
        return "\n".join(self._lines) + "\n"


def _labels(pairs: Iterable[tuple[str, str]]) -> str:
    escaped = [(key, value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")) for key, value in pairs]
    return "{" + ",".join(f'{key}="{value}"' for key, value in escaped) + "}" if escaped else ""


def render(service: Service | None) -> str:
    """The engine's metrics; before the base is loaded only that it is up."""
    out = Exposition()
    out.add("gauge", "guanaco_ready", "Whether the engine serves.", ({}, float(service is not None)))
    if service is None:
        return str(out)
    engine, counters = service.engine, service.engine.counters
    where = [each["where"] for each in service.resident()]
    out.add("gauge", "guanaco_rows", "Completions in the batch.", ({}, len(engine.rows)))
    out.add("gauge", "guanaco_waiting", "Completions in the queue.", ({}, len(engine.waiting)))
    out.add("gauge", "guanaco_kv_tokens", "Cache budget and what rows have reserved of it, in tokens.",
            ({"kind": "budget"}, engine.cache.budget), ({"kind": "reserved"}, engine.reserved_tokens),
            ({"kind": "used"}, engine.used_tokens))  # fmt: skip
    out.add("gauge", "guanaco_adapters", "Adapters in memory, by place.",
            ({"where": "slot"}, where.count("slot")), ({"where": "host"}, where.count("host")))  # fmt: skip
    out.add("counter", "guanaco_prompt_tokens_total", "Prompt tokens read.", ({}, counters.prompt_tokens))
    out.add("counter", "guanaco_output_tokens_total", "Tokens generated.", ({}, counters.output_tokens))
    out.add("counter", "guanaco_steps_total", "Decode steps.", ({}, counters.steps))
    out.add("counter", "guanaco_step_seconds_total", "Time in decode steps.", ({}, counters.step_seconds))
    out.add("counter", "guanaco_forward_seconds_total", "The part of it in the model.", ({}, counters.forward_seconds))
    out.add("counter", "guanaco_completions_total", "Completions, by how they ended.",
            *(({"end": end}, count) for end, count in counters.rows_by_end.items()))  # fmt: skip
    out.histogram("guanaco_queue_seconds", "Wait for a row.", counters.queue_seconds)
    out.histogram("guanaco_time_to_first_token_seconds", "From arrival on.", counters.first_token_seconds)
    out.histogram("guanaco_time_per_token_seconds", "Between two tokens of a row.", counters.token_seconds)
    out.histogram("guanaco_adapter_install_seconds", "Engine time to put an adapter in.", counters.install_seconds)
    return str(out)
