"""TensorBoard over all runs, as a WSGI app on the studio's own port. It is loaded when it is first asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from a2wsgi import WSGIMiddleware
from fastapi import FastAPI
from fastapi.responses import RedirectResponse

RELOAD_SECONDS = 5
TITLE = "Guanaco Studio runs"
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def mount(app: FastAPI, runs: Path) -> None:
    """Serve TensorBoard for the folder `runs` (one sub-folder per run) at /tensorboard/."""

    @app.get("/tensorboard", include_in_schema=False)
    def add_slash() -> RedirectResponse:
        return RedirectResponse("/tensorboard/", 307)

    @app.get("/font-roboto/{file}", include_in_schema=False)
    def font(file: str) -> RedirectResponse:
        # TensorBoard's page asks for its fonts at the root of the host.
        return RedirectResponse(f"/tensorboard/font-roboto/{file}", 307)

    app.mount("/tensorboard", WSGIMiddleware(LazyBoard(runs), workers=4))


class LazyBoard:
    """TensorBoard as a WSGI app that is loaded by its first request; others that come meanwhile wait for it."""

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self._lock = threading.Lock()
        self._board: Wsgi | None = None

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with self._lock:
            self._board = self._board or load_board(self._runs)
        return self._board(environ, start_response)


def load_board(runs: Path) -> Wsgi:
    """TensorBoard itself, which reads `runs` from now on. Its plugins take about half a second."""
    from tensorboard import default, program
    from tensorboard.backend import application

    board = program.TensorBoard(plugins=default.get_plugins())
    # load_fast would start a data server process of its own, and hide new points from this one.
    board.configure(logdir=str(runs), load_fast="false", reload_interval=RELOAD_SECONDS, window_title=TITLE)
    provider, multiplexer = board._make_data_provider()  # the only way to a WSGI app without a server
    # The reading has begun; what is still called logdir is only shown, and where it lies is not for all who see runs.
    provider._logdir = board.flags.logdir = TITLE
    wsgi: Wsgi = application.TensorBoardWSGIApp(
        board.flags, board.plugin_loaders, provider, board.assets_zip_provider, multiplexer
    )
    return wsgi
