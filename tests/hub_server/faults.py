"""What goes wrong on purpose: a status instead of an answer, or a connection cut after some bytes of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass
class Fault:
    """`match` is searched for in "METHOD /path"; after `times` hits all is well again."""

    match: str
    status: int | None = None
    cut_after: int | None = None  # bytes of the answer's body that still get through
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)


class CutConnection(Exception):
    """Makes the server drop the connection in the middle of an answer."""


class Faults:
    """Middleware that keeps a log of all requests and applies the faults chosen."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.faults: list[Fault] = []
        self.requests: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = f"{scope['method']} {scope['path']}"
        self.requests.append(request)
        fault = self._fault_for(request)
        if fault is None:
            await self.app(scope, receive, send)
        elif fault.status is not None:
            body = {"error": f"Answered with {fault.status} on purpose."}
            await JSONResponse(body, fault.status, fault.headers)(scope, receive, send)
        else:
            await self.app(scope, receive, _cutting(send, fault.cut_after or 0))

    def _fault_for(self, request: str) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and re.search(fault.match, request):
                fault.times -= 1
                return fault
        return None


def _cutting(send: Send, left: int) -> Send:
    async def cut(message: Message) -> None:
        nonlocal left
        if message["type"] == "http.response.body":
            body = message.get("body", b"")
            if len(body) > left or (left == 0 and body):
                if left:
                    await send({"type": "http.response.body", "body": body[:left], "more_body": True})
                raise CutConnection
            left -= len(body)
        await send(message)

    return cut
