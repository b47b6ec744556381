"""The web server, which SIGTERM or Ctrl-C ends quietly, however many pages are open."""

from __future__ import annotations

import asyncio
import signal
import socket

import uvicorn
from fastapi import FastAPI

CONNECTIONS = 800  # an open page has three; with more, files could not be opened any more (1024 is a usual limit)
STREAM_SECONDS = 2.0  # for answers under way; a page's own streams would go on for as long as it is open
LONGEST_SECONDS = 5  # until what still has not ended is cancelled


class HangingUp(uvicorn.Server):
    """uvicorn, but what streams on after STREAM_SECONDS has its connection closed, as if the person had left.

    uvicorn alone would cancel it, and each open page would leave a traceback.
    """

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        later = asyncio.get_running_loop().call_later(STREAM_SECONDS, self._hang_up)
        try:
            await super().shutdown(sockets)
        finally:
            later.cancel()

    def _hang_up(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.close()


def serve_until_stopped(app: FastAPI, listener: socket.socket) -> None:
    """Serve on a listening socket until SIGTERM or SIGINT."""
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        timeout_graceful_shutdown=LONGEST_SECONDS,
        limit_concurrency=CONNECTIONS,
    )
    # uvicorn raises the signal anew when it has shut down; the default action would end this process right there.
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    HangingUp(config).run(sockets=[listener])
    signal.signal(signal.SIGINT, before[signal.SIGINT])  # who presses Ctrl-C again does not want to wait for the rest
