"""The whole studio on one port: /v1 for programs, /tensorboard, and the page at /."""

from __future__ import annotations

import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported

import gradio as gr
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount

from studio.api import downloads, openai, tensorboard
from studio.auth import signin
from studio.auth.identity import AccessSettings
from studio.auth.keys import Keys
from studio.auth.middleware import AccessMiddleware
from studio.auth.page_memory import PageStates
from studio.auth.sessions import Sessions
from studio.backup.backup import status_word
from studio.context import Studio
from studio.page import build_page
from studio.ui.theme import CSS, HEAD, theme
from studio.web.page_addresses import OwnAddresses

MAX_UPLOAD = "100mb"


def build_app(studio: Studio, settings: AccessSettings | None = None) -> FastAPI:
    """The ASGI app. It needs no engine: what is not there yet is shown as such.

    Without `settings` it serves this machine only, and lets it do everything.
    """
    settings = settings or AccessSettings()
    app = FastAPI(
        title="Guanaco Studio", docs_url=None, redoc_url=None, openapi_url=None, exception_handlers=openai.ERRORS
    )
    app.state.studio = studio

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        facts = {"status": "ok", "engine": studio.engine.status.state}
        return facts | ({"kept": status_word(studio.backup.status)} if studio.backup else {})

    app.include_router(openai.router(studio))
    app.include_router(downloads.router(studio))
    tensorboard.mount(app, studio.home.runs)
    # Gradio adds CORS headers of its own, which reflect any origin, unless the parent app has the middleware.
    app.add_middleware(
        CORSMiddleware, allow_origins=list(settings.cors_origins), allow_methods=["GET", "POST"], allow_headers=["*"]
    )
    app.add_middleware(OwnAddresses)
    sessions = Sessions()
    if settings.provider is not None:
        app.include_router(signin.router(settings, settings.provider, sessions))
    page = build_page(studio, sign_in=settings.provider is not None)
    app.add_middleware(AccessMiddleware, settings=settings, page=page, keys=Keys(studio.home), sessions=sessions)
    gr.mount_gradio_app(
        app,
        page,
        path="/",
        footer_links=[],
        run_history=False,
        show_error=False,  # of what is not meant for people nobody is told more than that it failed
        max_file_size=MAX_UPLOAD,
        ssr_mode=False,
        theme=theme(),
        css=CSS,
        head=HEAD,
    )
    # Mounted pages never "launch", and Gradio checks the file paths that a client sends only after the launch.
    page.has_launched = True
    mounted = next(
        route.app for route in app.routes if isinstance(route, Mount) and isinstance(route.app, gr.routes.App)
    )
    page.app = mounted
    mounted.state_holder = PageStates()
    mounted.state_holder.set_blocks(page)
    return app
