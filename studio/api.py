"""The OpenAI surface on the studio's own port: /v1 and /metrics, passed on to the engine as they are."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from studio.engine_client import LONG
from studio.processes import Engine

PASSED_ON = {"content-type", "accept", "x-request-id"}  # nothing else of a client's headers reaches the engine
RETURNED = {"content-type", "retry-after", "x-request-id", "cache-control"}
ROUTES = (
    ("GET", "/v1/models"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/load_lora_adapter"),
    ("POST", "/v1/unload_lora_adapter"),
    ("GET", "/metrics"),
)


def router(engine: Engine) -> APIRouter:
    routes = APIRouter()
    http = httpx.AsyncClient(timeout=LONG, trust_env=False)

    async def pass_on(request: Request) -> Response:
        if engine.url is None:
            return not_ready(engine.status.detail)
        outgoing = http.build_request(
            request.method,
            engine.url + request.url.path,
            content=await request.body(),
            headers={name: value for name, value in request.headers.items() if name in PASSED_ON},
        )
        try:
            answer = await http.send(outgoing, stream=True)
        except httpx.HTTPError:
            return not_ready("the engine is being started again")
        headers = {name: value for name, value in answer.headers.items() if name in RETURNED}

        async def body() -> AsyncIterator[bytes]:
            # When the client leaves, this generator is closed, and with it the engine's request.
            try:
                async for piece in answer.aiter_raw():
                    yield piece
            finally:
                await answer.aclose()

        return StreamingResponse(body(), answer.status_code, headers)

    for method, path in ROUTES:
        routes.add_api_route(path, pass_on, methods=[method], name=path)
    return routes


def not_ready(detail: str) -> JSONResponse:
    """503 in OpenAI's error shape."""
    message = f"The engine is not ready: {detail or 'starting'}. Try again in a few seconds."
    error = {"message": message, "type": "service_unavailable", "param": None, "code": "engine_not_ready"}
    return JSONResponse({"error": error}, 503, {"Retry-After": "2"})
