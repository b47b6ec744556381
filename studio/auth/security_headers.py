"""The headers that every answer carries, so that a browser lets other sites do little with this one."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Send

# 'unsafe-inline' and 'unsafe-eval': Gradio's page has inline scripts and compiles templates. No other host is named.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; frame-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'self'"
)


def with_headers(send: Send, *, in_a_frame: bool) -> Send:
    """`in_a_frame`: this is a Space, which the Hub shows inside a page of its own."""
    ancestors = " https://huggingface.co" if in_a_frame else ""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.setdefault("Content-Security-Policy", POLICY + ancestors)  # TensorBoard has one of its own
            headers.setdefault("X-Content-Type-Options", "nosniff")
            headers.setdefault("Referrer-Policy", "same-origin")
            headers.setdefault("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
            if not in_a_frame:
                headers.setdefault("X-Frame-Options", "SAMEORIGIN")
                headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        await send(message)

    return sending
