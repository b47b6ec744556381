"""Bodies of requests: bounded while they are read, and read twice where the access middleware must read them first."""

from __future__ import annotations

import asyncio

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message, Receive

PATIENCE_SECONDS = 30.0  # for a body, and
SLOWEST_BYTES = 64 << 10  # so many a second are waited for beside that


class Refusal(HTTPException):
    """An HTTPException, so that it is understood too where it is raised inside an app that reads its body."""


def bounded(request: Request, most: int, patience: float = PATIENCE_SECONDS) -> Receive:
    """The request's body, refused as soon as it is known to be larger than `most` bytes, or to take too long."""
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > most:
        raise Refusal(413, f"This is more than the {most >> 20 or 1} MiB that are taken here.")
    read, whole = 0, False
    deadline = asyncio.get_running_loop().time() + patience + most / SLOWEST_BYTES

    async def receive() -> Message:
        nonlocal read, whole
        if whole:  # what comes now is that the client leaves, whenever that is
            return await request.receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await request.receive()
        except TimeoutError:
            raise Refusal(408, "The rest of this did not arrive in time.") from None
        read += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        if read > most:
            raise Refusal(413, f"This is more than the {most >> 20 or 1} MiB that are taken here.")
        return message

    return receive


def replayed(body: bytes, request: Request) -> Receive:
    """A body to be read once more; after it, what the client does next, so that a disconnect is still seen."""
    headers = [(name, value) for name, value in request.scope["headers"] if name.lower() != b"content-length"]
    request.scope["headers"] = [*headers, (b"content-length", str(len(body)).encode())]
    done = False

    async def receive() -> Message:
        nonlocal done
        if done:
            return await request.receive()
        done = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
