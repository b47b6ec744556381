"""What follows the question mark in the page's address is for the browser: /?page=runs&run=ID."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send


class OwnAddresses:
    """ASGI middleware. Gradio would take `page` for the name of a page of its own, and fail; so it gets none of it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/":
            scope = {**scope, "query_string": b""}
        await self.app(scope, receive, send)
