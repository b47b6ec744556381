"""TensorBoard over all runs, as a WSGI app on the studio's own port."""

from __future__ import annotations

from pathlib import Path

from a2wsgi import WSGIMiddleware
from fastapi import FastAPI
from fastapi.responses import RedirectResponse

RELOAD_SECONDS = 5
TITLE = "Guanaco Studio runs"


def mount(app: FastAPI, runs: Path) -> None:
    """Serve TensorBoard for the folder `runs` (one sub-folder per run) at /tensorboard/."""
    from tensorboard import default, program
    from tensorboard.backend import application

    board = program.TensorBoard(plugins=default.get_plugins())
    # load_fast would start a data server process of its own, and hide new points from this one.
    board.configure(logdir=str(runs), load_fast="false", reload_interval=RELOAD_SECONDS, window_title=TITLE)
    provider, multiplexer = board._make_data_provider()  # the only way to a WSGI app without a server
    # The reading has begun; what is still called logdir is only shown, and where it lies is not for all who see runs.
    provider._logdir = board.flags.logdir = TITLE
    wsgi = application.TensorBoardWSGIApp(
        board.flags, board.plugin_loaders, provider, board.assets_zip_provider, multiplexer
    )

    @app.get("/tensorboard", include_in_schema=False)
    def add_slash() -> RedirectResponse:
        return RedirectResponse("/tensorboard/", 307)

    @app.get("/font-roboto/{file}", include_in_schema=False)
    def font(file: str) -> RedirectResponse:
        # TensorBoard's page asks for its fonts at the root of the host.
        return RedirectResponse(f"/tensorboard/font-roboto/{file}", 307)

    app.mount("/tensorboard", WSGIMiddleware(wsgi, workers=4))
