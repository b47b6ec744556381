"""Outputs of the engine's thread on their way to clients: as server-sent events, or collected into one response."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from core.serving.api.errors import FAILED_HERE, ApiError

if TYPE_CHECKING:  # imports torch; the process listens before that
    from core.serving.api.responses import Answer
    from core.serving.engine.sequence import Piece, Row

log = logging.getLogger(__name__)


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


async def events(answer: Answer, inbox: asyncio.Queue[tuple[int, Piece]]) -> AsyncIterator[str]:
    """The pieces as server-sent events. What fails ends the stream with an event in OpenAI's error shape."""
    try:
        async for event in _answering(answer, inbox):
            yield event
    except ApiError as error:
        yield _event(error.body)
    except Exception:
        log.exception("a stream has failed")
        yield _event(ApiError(500, FAILED_HERE).body)


async def _answering(answer: Answer, inbox: asyncio.Queue[tuple[int, Piece]]) -> AsyncIterator[str]:
    open_rows = len(answer.rows)
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
        yield _event(answer.closing())
    yield "data: [DONE]\n\n"


async def collect(answer: Answer, inbox: asyncio.Queue[tuple[int, Piece]]) -> list[list[Piece]]:
    """All pieces of each row. Raises ApiError 500 as soon as one row fails."""
    said: list[list[Piece]] = [[] for _ in answer.rows]
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


def _event(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False, separators=(',', ':'))}\n\n"
