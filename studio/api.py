"""The OpenAI surface on the studio's own port: /v1 and /metrics, passed on to the engine as they are."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from core import parking
from core.errors import UserError
from studio import parked
from studio.context import Studio
from studio.engine_client import LONG
from studio.people import person_of
from studio.processes import PARKED
from studio.published import check_may_use

PASSED_ON = {"content-type", "accept", "x-request-id"}  # nothing else of a client's headers reaches the engine
RETURNED = {"content-type", "retry-after", "x-request-id", "cache-control"}
PARKED_SECONDS = 30  # a run takes long, and its end is not known to the second
ROUTES = (
    ("GET", "/v1/models"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/load_lora_adapter"),
    ("POST", "/v1/unload_lora_adapter"),
    ("GET", "/metrics"),
)


def router(studio: Studio) -> APIRouter:
    routes = APIRouter()
    engine = studio.engine
    http = httpx.AsyncClient(timeout=LONG, trust_env=False)

    async def pass_on(request: Request) -> Response:
        path = request.scope["path"]  # as Access has checked it; request.url is made of the Host header, too
        if engine.url is None and engine.status.state == PARKED:
            asked = parking.read(studio.home) if person_of(request).sees_runs else None
            message = parked.told(asked.name) if asked else engine.status.detail
            return unavailable(message, "chat_parked", PARKED_SECONDS)
        if engine.url is None:
            return not_ready(engine.status.detail)
        if path.endswith("completions") and (refusal := await not_published(studio, request)):
            return refusal
        outgoing = http.build_request(
            request.method,
            engine.url + path,
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


async def not_published(studio: Studio, request: Request) -> JSONResponse | None:
    """A refusal when who asks may not use the model that is asked for."""
    person = person_of(request)
    if not person.only_published:
        return None
    try:
        asked = json.loads(await request.body())
        check_may_use(studio, person, asked.get("model") if isinstance(asked, dict) else None)
    except (ValueError, RecursionError, UserError) as error:
        message = str(error) if isinstance(error, UserError) else "The body is not JSON."
        return JSONResponse({"error": {"message": message, "type": "access", "param": "model", "code": None}}, 403)
    return None


def not_ready(detail: str) -> JSONResponse:
    message = f"The engine is not ready: {detail or 'starting'}. Try again in a few seconds."
    return unavailable(message, "engine_not_ready", 2)


def unavailable(message: str, code: str, seconds: int) -> JSONResponse:
    """503 in OpenAI's error shape; a client may try again after `seconds`."""
    error = {"message": message, "type": "service_unavailable", "param": None, "code": code}
    return JSONResponse({"error": error}, 503, {"Retry-After": str(seconds)})
