"""How long each phase of the start took, from the process's start to the first token: in the log and in /health."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

log = logging.getLogger("core.serving")


@dataclass
class StartupPhases:
    """started: when the process began (seconds since the epoch). `taken` has seconds by phase, in their order."""

    started: float
    taken: dict[str, float] = field(default_factory=dict)
    _phase: str = "starting the process"
    _since: float = 0.0
    _first_token: bool = False

    def begin(self, phase: str) -> None:
        """End the phase before. What follows a colon is progress, and begins no new phase."""
        name = phase.split(":")[0]
        if name == self._phase:
            return
        now = time.time()
        seconds = now - (self._since or self.started)
        self.taken[self._phase] = round(self.taken.get(self._phase, 0.0) + seconds, 2)
        log.info("%s took %.2f s", self._phase, seconds)
        self._phase, self._since = name, now

    def ready(self) -> None:
        self.begin("serving")
        log.info("ready %.2f s after the process began", self._since - self.started)

    def end_start(self) -> None:
        """The first call records the time to the first token."""
        if self._first_token:
            return
        self._first_token = True
        self.taken["until the first token"] = round(time.time() - self.started, 2)
        log.info("first token %.2f s after the process began", time.time() - self.started)
