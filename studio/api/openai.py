"""The OpenAI surface on the studio's own port: /v1 and /metrics, passed on to the engine as they are.

Models that a person may not use are neither listed nor passed on, and every error has OpenAI's shape.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

from adapters.bases import to_shareable_id
from adapters.common.errors import UserError, shortened
from core.coordination import suspend
from core.serving.api.body import parse_json
from core.serving.api.disconnect import unless_disconnected
from core.serving.api.errors import ApiError
from studio.api import vllm as vllm_api
from studio.auth.identity import Role, User, user_of
from studio.auth.middleware import error_response
from studio.auth.published import check_may_use, usable_adapters
from studio.context import Studio
from studio.engine import suspend as parked
from studio.engine.client import LONG
from studio.engine.status import FAILED, SUSPENDED
from studio.web.request_bodies import Refusal
from studio.web.tls import tls_context

log = logging.getLogger(__name__)

PASSED_ON = {"content-type", "accept", "x-request-id"}  # nothing else of a client's headers reaches the engine
RETURNED = {"content-type", "retry-after", "x-request-id", "cache-control"}
PARKED_SECONDS = 30  # a run takes long, and its end is not known to the second
STARTING_SECONDS = 2
STOPPED = "The engine stopped answering. It is started again by itself; send it once more."
ROUTES = (
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/load_lora_adapter"),
    ("POST", "/v1/unload_lora_adapter"),
    ("GET", "/metrics"),
)


def router(studio: Studio) -> APIRouter:
    routes = APIRouter()
    http = httpx.AsyncClient(
        headers=studio.engine.headers, timeout=LONG, trust_env=False, verify=tls_context(trust_env=False)
    )

    async def ask(request: Request, path: str, content: bytes | None = None) -> httpx.Response:
        """The engine's answer, of which only the head has been read. Raises ApiError while it is not there."""
        person, url = user_of(request), studio.engine.url
        if url is None:
            raise unavailable(studio, person)
        headers = {name: value for name, value in request.headers.items() if name in PASSED_ON}
        if person.client is not None:
            headers["x-client-id"] = person.client  # whose turn it is does not depend on what they call themselves
        try:
            asked = http.build_request(request.method, url + path, content=content, headers=headers)
            return await http.send(asked, stream=True)
        except httpx.HTTPError:
            raise not_ready(again(studio)) from None

    async def pass_on(request: Request) -> Response:
        path = request.scope["path"]  # as Access has checked it; request.url is made of the Host header, too
        person, content = user_of(request), await request.body()
        if path.endswith("completions") and person.only_published:
            await asyncio.to_thread(check_asked, studio, person, content)
        renamed: vllm_api.Renamed = None
        if path.endswith("completions") and studio.engine.vllm is not None:
            content, renamed = await asyncio.to_thread(vllm_api.translate_model_name, studio, content)
        answer = await unless_disconnected(request, ask(request, path, content))
        if answer is None:
            return Response(status_code=499)  # nobody is there to read it
        headers = {name: value for name, value in answer.headers.items() if name in RETURNED}
        if headers.get("content-type", "").startswith("text/event-stream"):
            return StreamingResponse(events(answer, renamed), answer.status_code, headers)
        body = await whole(answer)
        if answer.status_code == 404 and person.only_published:  # gone a moment ago; the engine lists all that it has
            raise ApiError(404, "This model is not here any more.", param="model", code="model_not_found")
        return Response(body.replace(*renamed) if renamed else body, answer.status_code, headers)

    async def models(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": await listed(request)})

    async def model(request: Request, name: str) -> Response:
        known = await listed(request)
        for entry in known:
            if entry["id"] == name or (name == "base" and entry["parent"] is None):
                return JSONResponse(entry)
        names = ", ".join(entry["id"] for entry in known)
        raise ApiError(404, f"There is no model {shortened(name)}. Known: {names}.", code="model_not_found")

    async def listed(request: Request) -> list[dict[str, Any]]:
        """The engine's models that this person may use. Where their files lie is nobody's business."""
        person = user_of(request)
        if studio.engine.vllm is not None and studio.engine.ready.is_set():
            return await asyncio.to_thread(vllm_api.models, studio, person)
        answer = await ask(request, "/v1/models")
        content = await whole(answer)
        if answer.is_error:
            raise of_engine(answer, content)
        found = [without_path(entry) for entry in json.loads(content)["data"]]
        if not person.only_published:
            return found
        names = await asyncio.to_thread(usable_adapters, studio, person)
        return [entry for entry in found if entry["parent"] is None or entry["id"] in names]

    for method, path in ROUTES:
        routes.add_api_route(path, pass_on, methods=[method], name=path)
    routes.add_api_route("/v1/models", models, methods=["GET"])
    routes.add_api_route("/v1/models/{name:path}", model, methods=["GET"])
    return routes


def without_path(model: dict[str, Any]) -> dict[str, Any]:
    """An entry of /v1/models; another server than this engine has its folders in it."""
    named = {key: model.get(key) for key in ("id", "root", "parent")}
    return model | {key: to_shareable_id(value) if isinstance(value, str) else value for key, value in named.items()}


def check_asked(studio: Studio, person: User, content: bytes) -> None:
    """Raises ApiError 400 when no model is asked for, 403 when it is one that the person may not use."""
    model = parse_json(content).get("model")
    if not isinstance(model, str):
        raise ApiError(400, f"model must name the base or an adapter, not {shortened(model)}.", param="model")
    try:
        check_may_use(studio, person, model)
    except UserError as error:
        raise ApiError(403, str(error), param="model") from error


async def events(answer: httpx.Response, renamed: vllm_api.Renamed) -> AsyncIterator[bytes]:
    """A stream as it comes. When the client leaves, this is closed, and with it the engine's request."""
    try:
        async for piece in vllm_api.with_names(answer.aiter_raw(), renamed):
            yield piece
    except httpx.HTTPError:
        yield f"\n\ndata: {json.dumps(ApiError(500, STOPPED).body)}\n\n".encode()
    finally:
        await answer.aclose()


async def whole(answer: httpx.Response) -> bytes:
    """The rest of an answer. Raises ApiError when the engine dies over it."""
    try:
        return await answer.aread()
    except httpx.HTTPError:
        raise not_ready("the engine is being started again") from None
    finally:
        await answer.aclose()


def of_engine(answer: httpx.Response, content: bytes) -> ApiError:
    """The engine's own error."""
    try:
        error = json.loads(content)["error"]
        message, code = str(error["message"]), error.get("code")
    except (ValueError, TypeError, KeyError, AttributeError):
        message, code = f"The engine answered {answer.status_code}.", None
    after = answer.headers.get("retry-after", "")
    return ApiError(answer.status_code, message, code=code, retry_after=int(after) if after.isdecimal() else None)


def unavailable(studio: Studio, person: User) -> ApiError:
    """Why there is no engine to ask, as far as it is this person's business."""
    status = studio.engine.status
    if status.state == SUSPENDED:
        asked = suspend.read_request(studio.home) if person.sees_runs else None
        message = parked.suspended_message(asked.name) if asked else status.detail
        return ApiError(503, message, code="chat_parked", retry_after=PARKED_SECONDS)
    if status.state == FAILED and person.role < Role.OWNER:
        return not_ready("it has failed, and the owner of this studio is told why")
    return not_ready(" ".join(filter(None, (status.detail, status.cause))))


def again(studio: Studio) -> str:
    elsewhere = studio.engine.external_url is not None
    return (
        (studio.engine.status.detail or "the server does not answer")
        if elsewhere
        else "the engine is being started again"
    )


def not_ready(detail: str) -> ApiError:
    message = f"The engine is not ready: {detail or 'starting'}. Try again in a few seconds."
    return ApiError(503, message, code="engine_not_ready", retry_after=STARTING_SECONDS)


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return JSONResponse(error.body, error.status, error.headers)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_response(error)


async def _unforeseen(request: Request, error: Exception) -> Response:
    """A bug. It is raised once more when this is sent, so that the log has it with its traceback."""
    return error_response(Refusal(500, "The studio failed to answer this; its log says why."))


ERRORS: dict[int | type[Exception], Any] = {ApiError: _api_error, HTTPException: _refused, Exception: _unforeseen}
