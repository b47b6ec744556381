"""A completion as its client sees it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx


async def stream_completion(client: httpx.AsyncClient, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
    """The events of a chat completion as they arrive. Raises httpx.HTTPStatusError with the server's words."""
    async with client.stream("POST", "/v1/chat/completions", json=body | {"stream": True}) as answer:
        if answer.is_error:
            said = (await answer.aread()).decode()
            raise httpx.HTTPStatusError(f"{answer.status_code}: {said}", request=answer.request, response=answer)
        async for line in answer.aiter_lines():
            if line.startswith("data: {"):
                yield json.loads(line[6:])


def text_of(event: dict[str, Any]) -> str:
    """The piece of the answer that an event brings; most often empty in the first one and in the last."""
    return (event["choices"][0]["delta"].get("content") or "") if event.get("choices") else ""
