"""The engine's counts and times in Prometheus' text form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from core.serving.api.state import Service
from core.serving.engine.stats import Histogram

# https://prometheus.io/docs/instrumenting/exposition_formats/
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


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
    stats, counters = service.stats(), service.stats().counters
    where = [each["where"] for each in service.resident()]
    out.add("gauge", "guanaco_rows", "Completions in the batch.", ({}, stats.running))
    out.add("gauge", "guanaco_waiting", "Completions in the queue.", ({}, stats.waiting))
    out.add("gauge", "guanaco_kv_tokens", "Cache budget and what rows have reserved of it, in tokens.",
            ({"kind": "budget"}, stats.kv_budget), ({"kind": "reserved"}, stats.kv_reserved),
            ({"kind": "used"}, stats.kv_used))  # fmt: skip
    out.add("gauge", "guanaco_adapters", "Adapters in memory, by place.",
            ({"where": "slot"}, where.count("slot")), ({"where": "host"}, where.count("host")))  # fmt: skip
    out.add("counter", "guanaco_prompt_tokens_total", "Prompt tokens read.", ({}, counters.prompt_tokens))
    out.add("counter", "guanaco_output_tokens_total", "Tokens generated.", ({}, counters.output_tokens))
    out.add("counter", "guanaco_steps_total", "Decode steps.", ({}, counters.steps))
    out.add("counter", "guanaco_step_seconds_total", "Time in decode steps.", ({}, counters.step_seconds))
    out.add("counter", "guanaco_forward_seconds_total", "The part of it in the model.", ({}, counters.forward_seconds))
    out.add("counter", "guanaco_completions_total", "Completions, by how they ended.",
            *(({"end": end}, count) for end, count in counters.completions_by_end.items()))  # fmt: skip
    out.histogram("guanaco_queue_seconds", "Wait for a row.", counters.queue_seconds)
    out.histogram("guanaco_time_to_first_token_seconds", "From arrival on.", counters.first_token_seconds)
    out.histogram("guanaco_time_per_token_seconds", "Between two tokens of a row.", counters.token_seconds)
    out.histogram("guanaco_adapter_install_seconds", "Engine time to put an adapter in.", counters.install_seconds)
    return str(out)
