"""The studio as a person starts it: `python -m studio serve`, in processes of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil

from tests import base_cache

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")


class StudioProcess:
    """A running studio over a home folder. `wait_for_address` returns as soon as the port answers."""

    def __init__(self, home: Path, *arguments: str, env: dict[str, str] | None = None) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        base_cache.take(home)
        self.log = home / "studio-under-test.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "studio", "serve", "--port", "0", "--home", str(home), *arguments],
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.url = ""

    def wait_for_address(self) -> str:
        """The address that the studio prints once it listens. Raises AssertionError with the log if it ends first."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := ADDRESS.search(line):
                self.url = f"http://127.0.0.1:{found[1]}"
                # Nobody reads on; the pipe must not fill up.
                threading.Thread(target=self.process.stdout.read, daemon=True).start()
                return self.url
        raise AssertionError(f"the studio ended before it listened:\n{self.log.read_text()}")

    def wait_until_ready(self, seconds: float = 120) -> None:
        """Until the engine answers; /v1/models is refused with 503 before."""
        transport = httpx.HTTPTransport(retries=3)
        with httpx.Client(base_url=self.url, timeout=seconds, transport=transport, trust_env=False) as client:
            poll(lambda: client.get("/v1/models").status_code == 200, seconds, "the engine to be ready")
        base_cache.give(self.home)

    def record(self, name: str) -> dict[str, object]:
        """What a process says of itself in the home folder: `engine` or `web`."""
        return dict(json.loads((self.home / "processes" / f"{name}.json").read_text()))

    def open_page(self) -> None:
        """Keep a stream of the page open, as a browser does, until the studio ends it."""
        client = httpx.Client(base_url=self.url, timeout=None, trust_env=False)
        stream = client.send(client.build_request("GET", "/gradio_api/heartbeat/apageisopen"), stream=True)
        assert stream.status_code == 200

        def read() -> None:
            with contextlib.closing(client), contextlib.suppress(httpx.HTTPError):
                stream.read()

        threading.Thread(target=read, daemon=True).start()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it as Ctrl-C or a Space going down would; everything it started must be gone afterwards."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(40)
        finally:
            base_cache.give(self.home)
            self.process.kill()
            for process in left_behind(self.home):
                process.kill()


def left_behind(home: Path) -> list[psutil.Process]:
    """Living processes that were started for this home folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        if any(str(home) in word for word in words) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def poll(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for something that tells no event (another process's state). Raises AssertionError when it never comes."""
    event = threading.Event()
    for _ in range(int(seconds / 0.1)):
        if condition():
            return
        event.wait(0.1)
    raise AssertionError(f"waited {seconds:g} s in vain for {what}")
