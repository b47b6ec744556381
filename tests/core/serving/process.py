"""The engine as its own process, as the page starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

START_SECONDS = 280.0
POLL_SECONDS = 0.05


class EngineProcess:
    """`python -m core.serving` on a home folder, until the block ends."""

    def __init__(self, home: Path, base: Path | str, *arguments: str) -> None:
        self.home, self.base = home, base
        self._log = (home.parent / "engine.log").open("wb")
        command = [sys.executable, "-m", "core.serving", "--base", str(base), "--home", str(home), *arguments]
        self.process = subprocess.Popen(
            command, stdout=self._log, stderr=self._log, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )

    def __enter__(self) -> EngineProcess:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def readiness(self) -> dict[str, Any]:
        """The readiness file, once it is there."""
        path = self.home / "processes" / "engine.json"
        deadline = time.monotonic() + START_SECONDS
        while not path.exists():
            assert self.process.poll() is None and time.monotonic() < deadline, self.log
            time.sleep(POLL_SECONDS)
        readiness: dict[str, Any] = json.loads(path.read_text())
        return readiness

    @property
    def url(self) -> str:
        return str(self.readiness["url"])

    @property
    def log(self) -> str:
        return Path(self._log.name).read_text()

    def health(self) -> dict[str, Any]:
        health: dict[str, Any] = httpx.get(f"{self.url}/health", timeout=30).json()
        return health

    def ready(self) -> EngineProcess:
        """Wait until the base is loaded."""
        deadline = time.monotonic() + START_SECONDS
        while (health := self.health())["status"] == "loading":
            assert time.monotonic() < deadline, self.log
            time.sleep(POLL_SECONDS)
        assert health["status"] == "ready", health
        return self

    def stop(self) -> int:
        """End it as the page does; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(START_SECONDS)
        self._log.close()
        return code
