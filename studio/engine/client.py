"""The engine as the rest of the studio sees it: OpenAI's protocol and vLLM's adapter endpoints, over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from adapters.common.errors import UserError
from adapters.store import NAME
from studio.engine.supervisor import EngineSupervisor
from studio.web.tls import tls_context

Message = dict[str, str]
BASE = "base"  # as a model's name: the base, whatever it is
LONG = httpx.Timeout(10.0, read=300.0)  # a queued request may wait long for its first token


@dataclass(frozen=True)
class Delta:
    """One piece of a streamed answer. `model` is who really answers, as the engine reports it."""

    text: str
    model: str
    finish_reason: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, Any] = field(default_factory=dict)


class EngineClient:
    def __init__(self, engine: EngineSupervisor) -> None:
        self.engine = engine

    def models(self) -> list[dict[str, Any]]:
        """The engine's list of models (base and adapters); [] while it is not there."""
        if not self.engine.ready.is_set():
            return []
        return list(self._request("GET", "/v1/models").get("data", []))

    def choices(self) -> dict[str, dict[str, str]]:
        """What the engine chose by itself: {name: {"value", "reason"}}; {} while it is not there, or does not say."""
        if not self.engine.ready.is_set():
            return {}
        return dict(self._request("GET", "/health").get("choices", {}))

    def load(self, name: str, path: str) -> None:
        """Make an adapter folder resident under `name`, replacing what had that name."""
        if self.engine.vllm is not None:
            self.engine.vllm.load_adapter(name, Path(path))
            return
        body = {"lora_name": name, "lora_path": path, "load_inplace": True}
        self._request("POST", "/v1/load_lora_adapter", body)

    def resident_adapters(self) -> list[str]:
        """Names of the adapters that the engine has in memory, checkpoints of runs included."""
        if self.engine.vllm is not None:
            return list(self.engine.vllm.list_models().adapters)
        return [str(adapter["name"]) for adapter in self._request("GET", "/health").get("adapters", [])]

    def unload(self, name: str) -> None:
        if self.engine.vllm is not None:
            self.engine.vllm.unload_adapter(name)
            return
        self._request("POST", "/v1/unload_lora_adapter", {"lora_name": name})

    def served_name(self, model: str) -> str:
        """What the engine calls `model`; an adapter of the home is brought to a server that does not know it. Blocks.

        Raises UserError when that server does not take it.
        """
        server = self.engine.vllm
        if server is None:
            return model
        base = server.models.base if server.models else model
        if model in (BASE, self.engine.base, self.engine.status.base, base):
            return base
        folder = self.engine.home.adapters / model
        if NAME.fullmatch(model) and folder.is_dir():
            server.load_adapter(model, folder)
        return model

    def studio_name(self, model: str) -> str:
        """The other way round: who has answered, in the studio's words."""
        server = self.engine.vllm
        at_base = server is not None and server.models is not None and model == server.models.base
        return self.engine.status.base if at_base else model

    async def chat(self, model: str, messages: list[Message], **settings: Any) -> AsyncIterator[Delta]:
        """Stream one answer. Closing the iterator ends the request, and the engine frees its row."""
        body = {
            "model": await asyncio.to_thread(self.served_name, model),
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
            **settings,
        }
        try:
            async with (
                httpx.AsyncClient(
                    headers=self.engine.headers, timeout=LONG, trust_env=False, verify=tls_context(trust_env=False)
                ) as http,
                http.stream("POST", f"{self._url()}/v1/chat/completions", json=body) as answer,
            ):
                if answer.is_error:
                    await answer.aread()
                    raise _error(answer)
                async for line in answer.aiter_lines():
                    if not line.startswith("data:"):
                        continue
                    data = line.removeprefix("data:").strip()
                    if data == "[DONE]":
                        return
                    delta = _delta(json.loads(data))
                    yield replace(delta, model=self.studio_name(delta.model))
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            answer = httpx.request(
                method,
                self._url() + path,
                json=body,
                headers=self.engine.headers,
                timeout=60.0,
                trust_env=False,
                verify=tls_context(trust_env=False),
            )
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if answer.is_error:
            raise _error(answer)
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        return answer.json() if is_json else {}

    def _unreachable(self, error: httpx.HTTPError) -> UserError:
        if self.engine.external_url is not None:
            return UserError(
                f"The server of --engine-url stopped answering ({type(error).__name__}).",
                "Send it once more when it is there again.",
            )
        return UserError(
            f"The engine stopped answering ({type(error).__name__}).",
            "It is started again by itself; send it once more.",
        )

    def _url(self) -> str:
        if self.engine.url is None:
            raise UserError("The engine is not there yet.", self.engine.status.detail or "Wait until it has started.")
        return self.engine.url


def _delta(chunk: dict[str, Any]) -> Delta:
    if "error" in chunk:
        raise UserError(str(chunk["error"].get("message", chunk["error"])))
    choice = chunk["choices"][0] if chunk.get("choices") else {}
    return Delta(
        text=(choice.get("delta") or {}).get("content") or "",
        model=chunk.get("model", ""),
        finish_reason=choice.get("finish_reason"),
        usage=chunk.get("usage") or {},
        timings=chunk.get("timings") or {},
    )


def _error(answer: httpx.Response) -> UserError:
    """The engine's own words, which are meant for people."""
    try:
        error = answer.json()["error"]
        message = str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError):
        message = ""
    return UserError(message or f"The engine answered {answer.status_code}: {answer.text[:300]}")
