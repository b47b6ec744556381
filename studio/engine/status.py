"""What the engine is doing, in words for a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

STARTING, LOADING, READY, FAILED, SUSPENDED = "starting", "loading", "ready", "failed", "parked"


@dataclass(frozen=True)
class EngineStatus:
    """state: one of the five above. adapters: the engine's own list of what is resident where.

    cause: more about a failure, for the owner alone, since a log names paths.
    """

    state: str
    detail: str = ""
    base: str = ""
    restarts: int = 0
    adapters: tuple[dict[str, Any], ...] = ()
    cause: str = ""

    @property
    def ready(self) -> bool:
        return self.state == READY
