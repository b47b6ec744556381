"""Servers that a benchmark starts: they stand still outside of their turns, and none outlives it."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest

from benchmarks.common.servers import Server, running
from tests.app_process import poll

pytestmark = pytest.mark.slow

SERVER = """
import subprocess, sys
from http.server import HTTPServer, SimpleHTTPRequestHandler

child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])

class Handler(SimpleHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

HTTPServer(("127.0.0.1", int(sys.argv[-1])), Handler).serve_forever()
"""


def states(processes: list[psutil.Process]) -> set[bool]:
    """Whether they are stopped."""
    return {process.status() == psutil.STATUS_STOPPED for process in processes}


def has_ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_server_and_its_children_run_in_their_turn_only_and_end_with_an_error(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(SERVER)
    server = Server([sys.executable, str(tmp_path / "server.py")], folder=tmp_path)
    with pytest.raises(KeyboardInterrupt), running(server) as started:
        parent = psutil.Process(started.pid)
        processes = [parent, *parent.children()]
        assert len(processes) == 2
        started.stop()
        with started.turn():
            poll(lambda: states(processes) == {False}, 20, "both to go on")
        poll(lambda: states(processes) == {True}, 20, "both to stand still")
        raise KeyboardInterrupt
    poll(lambda: all(has_ended(process) for process in processes), 20, "both to end")


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="no such base"),
        running(Server([sys.executable, "-c", "exit('no such base')"])),
    ):
        pass
