"""The engine's counts as Prometheus reads them: names, labels and cumulative buckets."""

from __future__ import annotations

from typing import Any, cast

from prometheus_client.parser import text_string_to_metric_families

from core.serving.api.metrics import metrics_text, registry_of
from core.serving.api.state import ServerState, Service
from core.serving.engine.stats import EngineCounters, EngineStats


class LoadedEngine:
    def __init__(self) -> None:
        self.counters = EngineCounters(output_tokens=12_345_678, prefix_queries=900, prefix_hits=800)
        self.counters.completions_by_end["stop"] = 2
        for seconds in (0.2, 0.3, 7.0, 100.0):
            self.counters.queue_seconds.observe(seconds)

    def stats(self) -> EngineStats:
        return EngineStats(
            running=3,
            waiting=1,
            max_length=512,
            kv_budget=1024,
            kv_reserved=300,
            kv_used=200,
            kv_kept=500,
            kv_filled=600,
            kv_bytes_per_token=8,
            counters=self.counters,
            repeated_forwards=7,
        )

    def resident(self) -> list[dict[str, str]]:
        return [{"name": "pirate", "where": "slot"}, {"name": "radio", "where": "host"}]


def samples(service: Any) -> dict[tuple[str, tuple[str, ...]], float]:
    state = ServerState("base", 1, 0.0, "x", service=cast(Service, service))
    text = metrics_text(registry_of(state)).decode()
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_before_the_base_is_loaded_there_is_only_that_it_is_not_ready() -> None:
    assert samples(None) == {("guanaco_ready", ()): 0}


def test_a_loaded_engine_has_its_gauges_and_exact_counters() -> None:
    found = samples(LoadedEngine())
    assert found["guanaco_ready", ()] == 1
    assert found["guanaco_rows", ()] == 3
    kinds = ("budget", "reserved", "used", "kept")
    assert [found["guanaco_kv_tokens", (kind,)] for kind in kinds] == [1024, 300, 200, 500]
    assert found["guanaco_prefix_cache_queries_total", ()] == 900
    assert found["guanaco_prefix_cache_hits_total", ()] == 800
    assert found["guanaco_adapters", ("slot",)] == found["guanaco_adapters", ("host",)] == 1
    assert found["guanaco_output_tokens_total", ()] == 12_345_678
    assert found["guanaco_repeated_forwards_total", ()] == 7
    assert [found["guanaco_completions_total", (end,)] for end in ("stop", "error")] == [2, 0]


def test_buckets_are_cumulative() -> None:
    found = samples(LoadedEngine())
    buckets = [found["guanaco_queue_seconds_bucket", (bound,)] for bound in ("0.1", "0.5", "1", "15", "+Inf")]
    assert buckets == [0, 2, 2, 3, 4]
    assert (found["guanaco_queue_seconds_count", ()], found["guanaco_queue_seconds_sum", ()]) == (4, 107.5)
