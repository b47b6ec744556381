"""Who waits for whom before a request has become rows."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, NoReturn, cast

import httpx

from core.serving.api.errors import ApiError
from core.serving.api.requests import CompletionRequest
from core.serving.api.server import LONG, Server
from core.serving.api.state import READY, ServerState, Service


class Slow:
    """A service that prepares long prompts for as long as it is told, and answers with an error then."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.long = threading.Semaphore(0)

    def prepare(self, request: CompletionRequest, *_: Any) -> NoReturn:
        if len(str(request.prompt)) > LONG:
            self.long.release()
            self.go_on.wait(60)
        raise ApiError(400, "prepared")


def test_any_number_of_long_requests_keep_no_short_one_waiting() -> None:
    service = Slow()
    state = ServerState("base", 1, 0.0, "x", status=READY, service=cast(Service, service))
    transport = httpx.ASGITransport(Server(state).app(["127.0.0.1"]))

    async def ask(http: httpx.AsyncClient, prompt: str) -> int:
        return (await http.post("/v1/completions", json={"model": "base", "prompt": prompt})).status_code

    async def crowd() -> None:
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            long = [asyncio.create_task(ask(http, "x" * (LONG + 1))) for _ in range(8)]
            try:
                assert await asyncio.to_thread(service.long.acquire, timeout=60)
                assert [await ask(http, "hi") for _ in range(3)] == [400] * 3
                assert not any(each.done() for each in long)
            finally:
                service.go_on.set()
            assert await asyncio.gather(*long) == [400] * 8

    asyncio.run(crowd())
