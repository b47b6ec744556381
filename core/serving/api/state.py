"""What the engine's process is doing: loading the base, serving it, or failed. /health tells it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from adapters.common.errors import without_paths
from core.models.device import Choice
from core.serving.api.errors import ApiError
from core.serving.api.startup_phases import StartupPhases
from core.serving.engine.stats import EngineStats

if TYPE_CHECKING:  # imports torch; the process listens before that
    from core.serving.api.requests import GenerationRequest
    from core.serving.api.response_builder import ResponseBuilder
    from core.serving.engine.sequence import RequestOutput, Sequence

LOADING, READY, FAILED = "loading", "ready", "failed"
RETRY_WHILE_LOADING = 2  # seconds


class Service(Protocol):
    """What the endpoints need of the loaded engine (core.serving.service)."""

    choices: dict[str, Choice]

    def prepare(
        self, request: GenerationRequest, client: str, on_output: Callable[[int, RequestOutput], None]
    ) -> ResponseBuilder: ...
    def submit(self, sequences: list[Sequence]) -> None: ...
    def cancel(self, sequences: list[Sequence]) -> None: ...
    def stats(self) -> EngineStats: ...
    def resident(self) -> list[dict[str, str]]: ...
    def models(self) -> dict[str, Any]: ...
    def model(self, name: str) -> dict[str, Any]: ...
    def load(self, name: str, folder: Path, replace_present: bool) -> str: ...
    def unload(self, name: str) -> None: ...
    def close(self) -> None: ...


@dataclass
class ServerState:
    """What /health tells; written by the engine's thread, read by the loop."""

    base: str
    pid: int
    started: float
    instance: str
    status: str = LOADING
    phase: str = "starting"
    detail: str = ""
    service: Service | None = None
    since: float = field(default_factory=time.monotonic)

    @cached_property
    def phases(self) -> StartupPhases:
        return StartupPhases(self.started)

    def begin_phase(self, phase: str) -> None:
        self.phase = phase
        self.phases.begin(phase)

    def ready(self, service: Service) -> None:
        self.service, self.status, self.phase = service, READY, "serving"
        self.phases.ready()

    def fail(self, detail: str) -> None:
        self.status, self.phase, self.detail = FAILED, "stopped", without_paths(detail)

    def require(self) -> Service:
        """The service. Raises ApiError 503 while it is loading or when loading has failed."""
        if self.status == READY and self.service is not None:
            return self.service
        if self.status == FAILED:
            raise ApiError(503, f"The engine cannot serve: {self.detail}", code="engine_failed")
        raise ApiError(
            503, f"The engine is still loading ({self.phase}).", code="loading", retry_after=RETRY_WHILE_LOADING
        )

    def health(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "status": self.status,
            "phase": self.phase,
            "detail": self.detail,
            "base": self.base,
            "pid": self.pid,
            "started": self.started,
            "instance": self.instance,
            "adapters": [],
            "start": self.phases.taken,
        }
        if self.service is not None:
            stats, choices = self.service.stats(), self.service.choices
            body |= {
                "adapters": self.service.resident(),
                "rows": stats.running,
                "waiting": stats.waiting,
                "max_model_len": stats.max_length,
                "kv_tokens": stats.kv_tokens,
                "repeated_forwards": stats.repeated_forwards,
                "memory": {
                    "weights": choices["weights"].value,
                    "second_layout": choices["batched_products"].value == "on",
                    "compiled": choices["forward"].value == "compiled",
                    "kv_budget": stats.kv_budget,
                    "kv_filled": stats.kv_filled,
                    "kv_bytes_per_token": stats.kv_bytes_per_token,
                },
                "choices": {name: vars(choice) for name, choice in choices.items()},
            }
        return body
