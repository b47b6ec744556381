"""Outputs of the engine's thread on their way to clients: as server-sent events, or collected into one response."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from core.serving.api.errors import FAILED_HERE, ApiError

if TYPE_CHECKING:  # imports torch; the process listens before that
    from core.serving.api.response_builder import ResponseBuilder
    from core.serving.engine.sequence import RequestOutput, Sequence

log = logging.getLogger(__name__)


class EventStream(StreamingResponse):
    """Server-sent events; `on_end` is called when they end, for whatever reason."""

    def __init__(self, events: AsyncIterator[str], on_end: Callable[[], None]) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._on_end()


async def events(response: ResponseBuilder, inbox: asyncio.Queue[tuple[int, RequestOutput]]) -> AsyncIterator[str]:
    """The outputs as server-sent events. What fails ends the stream with an event in OpenAI's error shape."""
    try:
        async for event in _chunks(response, inbox):
            yield event
    except ApiError as error:
        yield _event(json.dumps(error.body))
    except Exception:
        log.exception("a stream has failed")
        yield _event(json.dumps(ApiError(500, FAILED_HERE).body))


async def _chunks(response: ResponseBuilder, inbox: asyncio.Queue[tuple[int, RequestOutput]]) -> AsyncIterator[str]:
    open_count = len(response.sequences)
    sent = [0] * open_count
    if response.is_chat:
        for index in range(open_count):
            yield _event(response.first_chunk(index))
    while open_count:
        index, output = await inbox.get()
        if output.error is not None:
            raise ApiError(500, output.error)
        yield _event(response.chunk(index, output, offset=sent[index]))
        sent[index] += len(output.text)
        open_count -= output.is_last
    if response.request.stream_options.include_usage:
        yield _event(response.usage_chunk())
    yield "data: [DONE]\n\n"


async def collect(
    response: ResponseBuilder, inbox: asyncio.Queue[tuple[int, RequestOutput]]
) -> list[list[RequestOutput]]:
    """All outputs of each sequence. Raises ApiError 500 as soon as one sequence fails."""
    collected: list[list[RequestOutput]] = [[] for _ in response.sequences]
    open_count = len(collected)
    while open_count:
        index, output = await inbox.get()
        if output.error is not None:
            raise ApiError(500, output.error)
        collected[index].append(output)
        open_count -= output.is_last
    return collected


def send_to_loop(loop: asyncio.AbstractEventLoop) -> Callable[[list[tuple[Sequence, RequestOutput]]], None]:
    """A function with which the engine's thread passes on a step's outputs: it wakes the loop once per step."""

    def dispatch(outputs: list[tuple[Sequence, RequestOutput]]) -> None:
        for sequence, output in outputs:
            sequence.on_output(output)

    def send(outputs: list[tuple[Sequence, RequestOutput]]) -> None:
        loop.call_soon_threadsafe(dispatch, outputs)

    return send


def _event(data: str) -> str:
    return f"data: {data}\n\n"
