"""An answer that is stopped on its way, by an engine that says each word when the test wants it said."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from core.common.home import Home
from core.models.builtin import BASE_DIR
from studio.context import Studio
from studio.engine.supervisor import EngineSupervisor
from tests.e2e import steps
from tests.e2e.in_process import opened_in_process
from tests.e2e.steps import MINUTE
from tests.vllm_server import VllmServer

pytestmark = pytest.mark.e2e

BASE = "guanaco-builtin"
WORDS = "and so on " * 200
LONGER = "([log, by]) => log.scrollHeight > log.clientHeight + by"


class PromptedServer(VllmServer):
    """Says what the test says: pieces of an answer, and None for its end. left: an asker is gone before that."""

    def __init__(self) -> None:
        self.pieces: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.left = threading.Event()
        super().__init__(str(BASE_DIR))

    async def chat(self, request: Request) -> Response:
        return StreamingResponse(self.told(), media_type="text/event-stream")

    async def told(self) -> AsyncIterator[str]:
        try:
            while (piece := await self.next_piece()) is not None:
                yield self.chunk([{"index": 0, "delta": {"content": piece}, "finish_reason": None}])
        except asyncio.CancelledError:
            self.left.set()
            raise
        yield self.chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}])
        usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
        yield self.chunk([], usage=usage)
        yield "data: [DONE]\n\n"

    async def next_piece(self) -> str | None:
        while self.pieces.empty():
            await asyncio.sleep(0.01)
        return self.pieces.get()

    def chunk(self, choices: list[object], **others: object) -> str:
        return f"data: {json.dumps({'model': self.name, 'choices': choices} | others)}\n\n"


@pytest.fixture
def server() -> Iterator[PromptedServer]:
    made = PromptedServer()
    yield made
    made.stop()


@pytest.fixture
def page(home: Home, browser: Browser, server: PromptedServer) -> Iterator[Page]:
    """So small that an answer is soon longer than its column."""
    engine = EngineSupervisor(home, "builtin", server.url)
    engine.start()
    studio = Studio.over(home, "builtin", engine)
    with opened_in_process(browser, studio, viewport={"width": 600, "height": 640}) as opened:
        yield opened
    engine.stop()


def test_escape_stops_an_answer_and_the_next_one_comes(page: Page, server: PromptedServer) -> None:
    steps.ask(page, "Say on")
    server.pieces.put(WORDS)
    # Who scrolls up to read stays there while the answer grows; who is at its end follows it.
    log = page.locator("#bot-0 [role=log]")
    page.wait_for_function(LONGER, arg=[log.element_handle(), 150], timeout=MINUTE)
    page.wait_for_function("log => log.scrollTop > 0", arg=log.element_handle())
    log.evaluate("log => log.scrollTo(0, 0)")
    grown = log.evaluate("log => log.scrollHeight - log.clientHeight") + 60
    server.pieces.put(WORDS)
    page.wait_for_function(LONGER, arg=[log.element_handle(), grown], timeout=MINUTE)
    assert log.evaluate("log => log.scrollTop") == 0

    expect(page.locator("#stop-answers")).to_be_visible()
    page.locator("#composer textarea").press("Escape")
    expect(page.locator("#send")).to_be_visible()
    assert server.left.wait(30), "the engine writes on for nobody"
    stopped = steps.answers(page, 0).inner_text()
    steps.ask(page, "What is the capital of Cuba?")
    for piece in ("Havana", None):
        server.pieces.put(piece)
    expect(page.locator("#badge-0")).to_contain_text(BASE, timeout=MINUTE)
    expect(page.locator("#send")).to_be_visible()
    expect(steps.answers(page, 0)).to_have_count(2)
    expect(steps.answers(page, 0).last).to_have_text("Havana")
    assert steps.answers(page, 0).first.inner_text() == stopped, "what came after the stop is not added to the answer"
