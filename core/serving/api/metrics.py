"""The engine's counts and times for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from core.serving.api.state import ServerState, Service
from core.serving.engine.stats import Histogram

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


def registry_of(state: ServerState) -> CollectorRegistry:
    """A registry of its own, which reads the engine on each scrape."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(EngineCollector(state))
    return registry


def metrics_text(registry: CollectorRegistry) -> bytes:
    return generate_latest(registry)


class EngineCollector(Collector):
    """Reads the engine's own counts; before the base is loaded there is only `guanaco_ready`."""

    def __init__(self, state: ServerState) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        service = self._state.service
        yield GaugeMetricFamily("guanaco_ready", "Whether the engine serves.", float(service is not None))
        if service is not None:
            yield from _gauges(service)
            yield from _counters(service)


def _gauges(service: Service) -> Iterator[Metric]:
    stats, places = service.stats(), [adapter["where"] for adapter in service.resident()]
    yield GaugeMetricFamily("guanaco_rows", "Completions in the batch.", stats.running)
    yield GaugeMetricFamily("guanaco_waiting", "Completions in the queue.", stats.waiting)
    tokens = GaugeMetricFamily(
        "guanaco_kv_tokens",
        "Tokens of the cache, by what they are for.",
        labels=["kind"],
    )
    for kind, count in stats.kv_tokens.items():
        tokens.add_metric([kind], count)
    yield tokens
    adapters = GaugeMetricFamily("guanaco_adapters", "Adapters in memory, by place.", labels=["where"])
    for place in ("slot", "host"):
        adapters.add_metric([place], places.count(place))
    yield adapters


def _counters(service: Service) -> Iterator[Metric]:
    stats = service.stats()
    counters = stats.counters
    for name, text, value in (
        ("prompt_tokens", "Prompt tokens read.", counters.prompt_tokens),
        ("prefix_cache_queries", "Prompt tokens looked up in the cache.", counters.prefix_queries),
        ("prefix_cache_hits", "Prompt tokens found there, which were not read.", counters.prefix_hits),
        ("output_tokens", "Tokens generated.", counters.output_tokens),
        ("steps", "Decode steps.", counters.steps),
        ("step_seconds", "Time in decode steps.", counters.step_seconds),
        ("forward_seconds", "The part of it in the model.", counters.forward_seconds),
        ("repeated_forwards", "Forwards that failed and were repeated row by row.", stats.repeated_forwards),
    ):
        yield CounterMetricFamily(f"guanaco_{name}", text, value)
    completions = CounterMetricFamily("guanaco_completions", "Completions, by how they ended.", labels=["end"])
    for end, count in counters.completions_by_end.items():
        completions.add_metric([end], count)
    yield completions
    for name, text, histogram in (
        ("queue_seconds", "Wait for a row.", counters.queue_seconds),
        ("time_to_first_token_seconds", "From arrival on.", counters.first_token_seconds),
        ("time_per_token_seconds", "Between two tokens of a row.", counters.token_seconds),
        ("adapter_install_seconds", "Engine time to put an adapter in.", counters.install_seconds),
    ):
        yield HistogramMetricFamily(f"guanaco_{name}", text, _buckets(histogram), histogram.sum)


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """(upper bound, observations up to it), the last one without a bound."""
    bounds = [*(f"{bound:g}" for bound in histogram.bounds), "+Inf"]
    return list(zip(bounds, accumulate(list(histogram.counts)), strict=True))
