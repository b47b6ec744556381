"""Servers as processes: started, waited for, stopped while others have their turn, and ended whatever happens."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS, END_SECONDS = 600, 30
PAUSE = 0.05  # seconds between two looks


@dataclass(frozen=True)
class Server:
    """What starts a server that speaks OpenAI's protocol. `--port PORT` is added to the command."""

    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    folder: Path = ROOT


@dataclass(frozen=True)
class RunningServer:
    url: str
    pid: int

    @contextmanager
    def turn(self) -> Iterator[None]:
        """It works only in here, if it was stopped before."""
        os.killpg(self.pid, signal.SIGCONT)
        try:
            yield
        finally:
            self.stop()

    def stop(self) -> None:
        """SIGSTOP for it and for what it has started: what does not run does not spin either."""
        os.killpg(self.pid, signal.SIGSTOP)


def engine(home: Path, *options: str, threads: int = 1, tree: Path = ROOT) -> Server:
    """The engine's own process, from this working tree of the project or another one."""
    command = [sys.executable, "-m", "core.serving", "--home", str(home), "--threads", str(threads), *options]
    return Server(command, {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": str(threads)}, tree)


@contextmanager
def running(server: Server) -> Iterator[RunningServer]:
    """The server once it answers. Raises RuntimeError with the end of its log when it does not come so far."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [*server.command, "--port", str(port)],
            cwd=server.folder,
            env=os.environ | server.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # a group of its own, whose processes get its signals together
        )
        try:
            url = f"http://127.0.0.1:{port}"
            if not _answers(process, url):
                log.seek(0)
                raise RuntimeError(f"{' '.join(server.command)} did not start:\n{log.read()[-4000:].decode()}")
            yield RunningServer(url, process.pid)
        finally:
            _end(process)


def _answers(process: subprocess.Popen[bytes], url: str) -> bool:
    """Wait for it. llama.cpp and the engine answer with 503 while they load, and vLLM does not listen yet."""
    until = time.monotonic() + START_SECONDS
    with httpx.Client(base_url=url, timeout=START_SECONDS, trust_env=False) as client:
        while process.poll() is None and time.monotonic() < until:
            try:
                if client.get("/v1/models").status_code == 200:
                    return True
            except httpx.TransportError:
                pass
            time.sleep(PAUSE)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """End its group, which may be stopped: SIGTERM, and SIGKILL for what is still there."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        os.killpg(process.pid, signal.SIGCONT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(END_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def found_anywhere(name: str) -> str:
    """A base or a dataset as it is given; a path as a whole one, since what reads it may run in another folder."""
    return str(Path(name).resolve()) if Path(name).exists() else name


def end_on_sigterm() -> None:
    """SIGTERM ends this process as Ctrl-C does, with what it has started."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
