"""HTTP: OpenAI's endpoints, vLLM's endpoints for adapters, health and metrics. Its event loop runs no model."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from core.serving.api.body import check_size, parse_json
from core.serving.api.disconnect import unless_disconnected
from core.serving.api.errors import FAILED_HERE, ApiError
from core.serving.api.event_stream import EventStream, collect, events
from core.serving.api.metrics import CONTENT_TYPE, metrics_text, registry_of
from core.serving.api.requests import ChatCompletionRequest, CompletionRequest, GenerationRequest, parse_request
from core.serving.api.state import ServerState

if TYPE_CHECKING:  # imports torch; the process listens before that
    from core.serving.api.response_builder import ResponseBuilder
    from core.serving.engine.sequence import RequestOutput

Result = TypeVar("Result")
MAX_PATH = 4096  # characters
LONG = 64 << 10  # bytes: requests of this length and more have a thread of their own, so that no other waits for them

log = logging.getLogger(__name__)


class Server:
    """The endpoints over a State."""

    def __init__(self, state: ServerState) -> None:
        self.state = state
        self._registry = registry_of(state)
        self._workers = ThreadPoolExecutor(4, thread_name_prefix="files")  # reading adapters, encoding prompts
        self._long = ThreadPoolExecutor(1, thread_name_prefix="long")

    def app(self, hosts: list[str]) -> Starlette:
        """`hosts`: the Host headers that are answered; others are a web page's attempt to reach a local server."""
        routes = [
            Route("/health", self.health),
            Route("/metrics", self.metrics),
            Route("/v1/models", self.models),
            Route("/v1/models/{name:path}", self.model),
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
            Route("/v1/completions", self.complete, methods=["POST"]),
            Route("/v1/load_lora_adapter", self.load, methods=["POST"]),
            Route("/v1/unload_lora_adapter", self.unload, methods=["POST"]),
        ]
        return Starlette(
            routes=routes,
            middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts)],
            exception_handlers={
                ApiError: _api_error,
                ClientDisconnect: _client_disconnected,
                404: _no_route,
                405: _no_route,
                Exception: _internal_error,
            },
        )

    async def health(self, request: Request) -> Response:
        return JSONResponse(self.state.health())

    async def metrics(self, request: Request) -> Response:
        return Response(metrics_text(self._registry), media_type=CONTENT_TYPE)

    async def models(self, request: Request) -> Response:
        return JSONResponse(await self._off_loop(self.state.require().models))

    async def model(self, request: Request) -> Response:
        service, name = self.state.require(), request.path_params["name"]
        return JSONResponse(await self._off_loop(lambda: service.model(name)))

    async def load(self, request: Request) -> Response:
        service = self.state.require()
        body = parse_json(await _body(request))
        name, path = body.get("lora_name"), body.get("lora_path")
        if not isinstance(name, str) or not isinstance(path, str):
            raise ApiError(400, "lora_name and lora_path must both be given, as strings.", param="lora_name")
        if "\0" in path or len(path) > MAX_PATH:
            raise ApiError(400, "lora_path is no path that a file can have.", param="lora_path")
        where = await self._off_loop(lambda: service.load(name, Path(path), bool(body.get("load_inplace"))))
        return JSONResponse({"lora_name": name, "where": where})

    async def unload(self, request: Request) -> Response:
        service = self.state.require()
        name = parse_json(await _body(request)).get("lora_name")
        if not isinstance(name, str):
            raise ApiError(400, "lora_name must be given, as a string.", param="lora_name")
        await self._off_loop(lambda: service.unload(name))
        return JSONResponse({"lora_name": name, "where": "disk"})

    async def chat(self, request: Request) -> Response:
        return await self._generate(request, ChatCompletionRequest)

    async def complete(self, request: Request) -> Response:
        return await self._generate(request, CompletionRequest)

    async def _generate(self, request: Request, kind: type[GenerationRequest]) -> Response:
        service = self.state.require()
        body = await _body(request)
        inbox: asyncio.Queue[tuple[int, RequestOutput]] = asyncio.Queue()

        def prepare() -> ResponseBuilder:
            asked = parse_request(kind, parse_json(body))
            user = asked.user if isinstance(asked.user, str) else ""
            client = request.headers.get("x-client-id") or user or (request.client.host if request.client else "")
            return service.prepare(asked, client, lambda *output: inbox.put_nowait(output))

        response = await self._off_loop(prepare, self._long if len(body) >= LONG else None)
        service.submit(response.sequences)

        def cancel_unfinished() -> None:
            if unfinished := [sequence for sequence in response.sequences if not sequence.finished]:
                service.cancel(unfinished)

        if response.request.stream:
            return EventStream(events(response, inbox), cancel_unfinished)
        try:
            outputs = await unless_disconnected(request, collect(response, inbox))
        finally:
            cancel_unfinished()
        if outputs is None:
            return Response(status_code=499)  # nobody is there to read it
        return Response(response.whole(outputs), media_type="application/json")

    async def _off_loop(self, function: Callable[[], Result], workers: ThreadPoolExecutor | None = None) -> Result:
        return await asyncio.get_running_loop().run_in_executor(workers or self._workers, function)


async def _body(request: Request) -> bytes:
    """The whole body. Raises ApiError when it is too large, or not sent as JSON."""
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise ApiError(400, "The request must be sent as application/json.")
    body = bytearray()
    async for output in request.stream():
        check_size(len(body) + len(output))
        body += output
    return bytes(body)


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return JSONResponse(error.body, status_code=error.status, headers=error.headers)


async def _no_route(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    return JSONResponse(ApiError(status, f"There is no {request.method} {request.url.path} here.").body, status)


async def _client_disconnected(request: Request, error: Exception) -> Response:
    return Response(status_code=499)  # nobody is there to read it


async def _internal_error(request: Request, error: Exception) -> Response:
    """A bug. Starlette raises it once more when this is sent, so that the log has it with its traceback."""
    return JSONResponse(ApiError(500, FAILED_HERE).body, 500)
