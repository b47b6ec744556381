"""/v1 where a vLLM server answers: it calls the base otherwise than the studio, and is brought adapters first."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from adapters.common.errors import UserError
from core.serving.api.body import parse_json
from core.serving.api.errors import ApiError
from studio.auth.identity import User
from studio.auth.published import usable_adapters
from studio.context import Studio

Renamed = tuple[bytes, bytes] | None  # what the server says, what is said here


def models(studio: Studio, person: User) -> list[dict[str, Any]]:
    """The entries of /v1/models: the server itself knows of the home's adapters only those that were asked for."""
    base = studio.engine.status.base
    known = {"object": "model", "created": 0, "owned_by": "guanaco-studio"}
    adapters = [known | {"id": name, "root": name, "parent": base} for name in sorted(usable_adapters(studio, person))]
    return [known | {"id": base, "root": base, "parent": None}, *adapters]


def translate_model_name(studio: Studio, content: bytes) -> tuple[bytes, Renamed]:
    """A request's body as the server is to get it. Blocks while an adapter is brought to it.

    Raises ApiError when the body is no JSON object, or the server does not take the adapter.
    """
    asked = parse_json(content)
    model = asked.get("model")
    if not isinstance(model, str):
        return content, None  # the server says so
    try:
        name = studio.client.served_name(model)
    except UserError as error:
        raise ApiError(400, str(error), param="model", code="adapter_unusable") from error
    shown = studio.client.studio_name(name)
    renamed = None if shown == name else (b'"model":' + _dumped(name), b'"model":' + _dumped(shown))
    return (content if name == model else _dumped(asked | {"model": name})), renamed


async def with_names(pieces: AsyncIterator[bytes], renamed: Renamed) -> AsyncIterator[bytes]:
    """The pieces of a stream, whole lines at a time where something in them is renamed."""
    rest = b""
    async for piece in pieces:
        if renamed is None:
            yield piece
            continue
        *lines, rest = (rest + piece).split(b"\n")
        if lines:
            yield b"".join(line + b"\n" for line in lines).replace(*renamed)
    if rest and renamed:
        yield rest.replace(*renamed)


def _dumped(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
