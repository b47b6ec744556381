"""The studio's page served by the test's own process, without the seconds that a process of its own takes to start."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from playwright.sync_api import Browser, Page

from studio.app import build_app
from studio.context import Studio


@contextmanager
def opened_in_process(browser: Browser, studio: Studio, **options: Any) -> Iterator[Page]:
    """The page of this studio in a browser of its own, with options of the browser's context."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(build_app(studio), log_level="critical"))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    opened = browser.new_page(**({"viewport": {"width": 1440, "height": 900}} | options))
    opened.goto(f"http://127.0.0.1:{listening.getsockname()[1]}")
    yield opened
    opened.close()
    server.should_exit = True
    server.force_exit = True
    thread.join(10)
