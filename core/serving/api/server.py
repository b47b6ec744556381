"""HTTP: OpenAI's endpoints, vLLM's endpoints for adapters, health and metrics. No model work happens on this loop."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from adapters.common.errors import without_paths
from core.serving.api.body import ApiError, parse, too_large
from core.serving.api.disconnect import unless_gone
from core.serving.api.metrics import CONTENT_TYPE, render
from core.serving.api.requests import Ask, parse_chat, parse_completion
from core.serving.api.startup_phases import Phases

if TYPE_CHECKING:
    from core.serving.engine.sequence import Piece, Row
    from core.serving.service import Job, Service

Result = TypeVar("Result")
LOADING, READY, FAILED = "loading", "ready", "failed"
RETRY_WHILE_LOADING = 2  # seconds
MAX_PATH = 4096  # characters
LONG = 64 << 10  # bytes: requests as long as this one wait for each other, and nobody waits for them
FAILED_HERE = "The engine failed to answer this; its log says why."

log = logging.getLogger(__name__)


@dataclass
class State:
    """What /health tells; written by the engine's thread, read by the loop."""

    base: str
    pid: int
    started: float
    instance: str
    status: str = LOADING
    phase: str = "starting"
    detail: str = ""
    service: Service | None = None
    since: float = field(default_factory=time.monotonic)

    @cached_property
    def phases(self) -> Phases:
        return Phases(self.started)

    def say(self, phase: str) -> None:
        self.phase = phase
        self.phases.begin(phase)

    def ready(self, service: Service) -> None:
        self.service, self.status, self.phase = service, READY, "serving"
        self.phases.ready()

    def fail(self, detail: str) -> None:
        self.status, self.phase, self.detail = FAILED, "stopped", without_paths(detail)

    def require(self) -> Service:
        """The service. Raises ApiError 503 while it is loading or when loading has failed."""
        if self.status == READY and self.service is not None:
            return self.service
        if self.status == FAILED:
            raise ApiError(503, f"The engine cannot serve: {self.detail}", code="engine_failed")
        raise ApiError(
            503, f"The engine is still loading ({self.phase}).", code="loading", retry_after=RETRY_WHILE_LOADING
        )

    def health(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "status": self.status,
            "phase": self.phase,
            "detail": self.detail,
            "base": self.base,
            "pid": self.pid,
            "started": self.started,
            "instance": self.instance,
            "adapters": [],
            "start": self.phases.taken,
        }
        if self.service is not None:
            engine = self.service.engine
            body |= {
                "adapters": self.service.resident(),
                "rows": len(engine.rows),
                "waiting": len(engine.waiting),
                "max_model_len": engine.max_length,
                "kv_tokens": {"budget": engine.cache.budget, "reserved": engine.reserved_tokens},
                "choices": {name: vars(choice) for name, choice in self.service.choices.items()},
            }
        return body


class Server:
    """The endpoints over a State."""

    def __init__(self, state: State) -> None:
        self.state = state
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
                ClientDisconnect: _gone,
                404: _no_route,
                405: _no_route,
                Exception: _unforeseen,
            },
        )

    async def health(self, request: Request) -> Response:
        return JSONResponse(self.state.health())

    async def metrics(self, request: Request) -> Response:
        return PlainTextResponse(render(self.state.service), media_type=CONTENT_TYPE)

    async def models(self, request: Request) -> Response:
        return JSONResponse(await self._off_loop(self.state.require().models))

    async def model(self, request: Request) -> Response:
        service, name = self.state.require(), request.path_params["name"]
        return JSONResponse(await self._off_loop(lambda: service.model(name)))

    async def load(self, request: Request) -> Response:
        service = self.state.require()
        body = parse(await _body(request))
        name, path = body.get("lora_name"), body.get("lora_path")
        if not isinstance(name, str) or not isinstance(path, str):
            raise ApiError(400, "lora_name and lora_path must both be given, as strings.", param="lora_name")
        if "\0" in path or len(path) > MAX_PATH:
            raise ApiError(400, "lora_path is no path that a file can have.", param="lora_path")
        where = await self._off_loop(lambda: service.load(name, Path(path), bool(body.get("load_inplace"))))
        return JSONResponse({"lora_name": name, "where": where})

    async def unload(self, request: Request) -> Response:
        service = self.state.require()
        name = parse(await _body(request)).get("lora_name")
        if not isinstance(name, str):
            raise ApiError(400, "lora_name must be given, as a string.", param="lora_name")
        await self._off_loop(lambda: service.unload(name))
        return JSONResponse({"lora_name": name, "where": "disk"})

    async def chat(self, request: Request) -> Response:
        return await self._answer(request, parse_chat)

    async def complete(self, request: Request) -> Response:
        return await self._answer(request, parse_completion)

    async def _answer(self, request: Request, check: Callable[[Any, dict[str, float]], Ask]) -> Response:
        service = self.state.require()
        body = await _body(request)
        inbox: asyncio.Queue[tuple[int, Piece]] = asyncio.Queue()

        def prepare() -> tuple[Ask, Job]:
            ask = check(parse(body), service.defaults)
            client = request.headers.get("x-client-id") or ask.user or (request.client.host if request.client else "")
            return ask, service.prepare(ask, client, lambda *said: inbox.put_nowait(said))

        ask, job = await self._off_loop(prepare, self._long if len(body) >= LONG else None)
        service.submit(job)

        def leave() -> None:
            if under_way := [row for row in job.rows if not row.done]:
                service.engine.cancel(under_way)

        if ask.stream:
            return EventStream(_events(job, inbox), leave)
        try:
            pieces = await unless_gone(request, _collect(job, inbox))
        finally:
            leave()
        if pieces is None:
            return Response(status_code=499)  # nobody is there to read it
        return JSONResponse(job.answer.whole(job.rows, pieces))

    async def _off_loop(self, function: Callable[[], Result], workers: ThreadPoolExecutor | None = None) -> Result:
        return await asyncio.get_running_loop().run_in_executor(workers or self._workers, function)


class EventStream(StreamingResponse):
    """Server-sent events; `leave` is called when they end, for whatever reason."""

    def __init__(self, events: AsyncIterator[str], leave: Callable[[], None]) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()


async def _events(job: Job, inbox: asyncio.Queue[tuple[int, Piece]]) -> AsyncIterator[str]:
    """The pieces as server-sent events. What fails ends the stream with an event in OpenAI's error shape."""
    try:
        async for event in _answering(job, inbox):
            yield event
    except ApiError as error:
        yield _event(error.body)
    except Exception:
        log.exception("a stream has failed")
        yield _event(ApiError(500, FAILED_HERE).body)


async def _answering(job: Job, inbox: asyncio.Queue[tuple[int, Piece]]) -> AsyncIterator[str]:
    answer, open_rows = job.answer, len(job.rows)
    sent = [0] * open_rows
    if answer.chat:
        for index in range(open_rows):
            yield _event(answer.opening(index))
    while open_rows:
        index, piece = await inbox.get()
        if piece.error is not None:
            raise ApiError(500, piece.error)
        yield _event(answer.chunk(index, piece, offset=sent[index]))
        sent[index] += len(piece.text)
        open_rows -= piece.last
    if answer.ask.include_usage:
        yield _event(answer.closing(job.rows))
    yield "data: [DONE]\n\n"


async def _collect(job: Job, inbox: asyncio.Queue[tuple[int, Piece]]) -> list[list[Piece]]:
    """All pieces of each row. Raises ApiError 500 as soon as one row fails."""
    said: list[list[Piece]] = [[] for _ in job.rows]
    open_rows = len(said)
    while open_rows:
        index, piece = await inbox.get()
        if piece.error is not None:
            raise ApiError(500, piece.error)
        said[index].append(piece)
        open_rows -= piece.last
    return said


def deliver_on(loop: asyncio.AbstractEventLoop) -> Callable[[list[tuple[Row, Piece]]], None]:
    """A way for the engine's thread to hand over a step's pieces: one wake-up of the loop per step."""

    def dispatch(pieces: list[tuple[Row, Piece]]) -> None:
        for row, piece in pieces:
            row.sink(piece)

    def deliver(pieces: list[tuple[Row, Piece]]) -> None:
        loop.call_soon_threadsafe(dispatch, pieces)

    return deliver


async def _body(request: Request) -> bytes:
    """The whole body. Raises ApiError when it is too large, or not sent as JSON."""
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise ApiError(400, "The request must be sent as application/json.")
    body = bytearray()
    async for piece in request.stream():
        too_large(len(body) + len(piece))
        body += piece
    return bytes(body)


def _event(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False, separators=(',', ':'))}\n\n"


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return JSONResponse(error.body, status_code=error.status, headers=error.headers)


async def _no_route(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    return JSONResponse(ApiError(status, f"There is no {request.method} {request.url.path} here.").body, status)


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=499)  # nobody is there to read it


async def _unforeseen(request: Request, error: Exception) -> Response:
    """A bug. Starlette raises it once more when this is sent, so that the log has it with its traceback."""
    return JSONResponse(ApiError(500, FAILED_HERE).body, 500)
