"""Bodies of requests: bounded while they are read, and read twice where the gate must look first."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message, Receive


class Refusal(HTTPException):
    """An HTTPException, so that it is understood too where it is raised inside an app that reads its body."""


def bounded(request: Request, most: int) -> Receive:
    """The request's body, refused as soon as it is known to be larger than `most` bytes."""
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or int(length) > most:
        raise Refusal(413, f"This is more than the {most >> 20 or 1} MiB that are taken here.")
    read = 0

    async def receive() -> Message:
        nonlocal read
        message = await request.receive()
        read += len(message.get("body", b""))
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
