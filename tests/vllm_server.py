"""A small server that speaks as much of vLLM 0.32.0 as the studio uses, in the words that were seen of the real one.

`make test-vllm` runs the studio against that; this one is for the order of what the studio asks. As vLLM does when an
adapter has left its memory, it reads an adapter's files anew for every answer; and it answers nobody any more when they
are gone by then.
"""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

MAX_RANK = 16


class VllmServer:
    """base: the folder or id it was started with. With `updating` False it was started without runtime updates.

    key: the API key that it asks for under /v1.
    """

    def __init__(
        self, base: str, *, served_name: str | None = None, updating: bool = True, key: str | None = None
    ) -> None:
        self.base, self.name = base, served_name or base
        self.adapters: dict[str, str] = {}
        self.calls: list[str] = []
        self.dead, self.key = False, key
        routes = [
            Route("/health", self.health),
            Route("/v1/models", self.models),
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
        ]
        if updating:
            routes.append(Route("/v1/load_lora_adapter", self.load, methods=["POST"]))
            routes.append(Route("/v1/unload_lora_adapter", self.unload, methods=["POST"]))
        self._app = Starlette(routes=routes, exception_handlers={404: lambda *_: JSONResponse(NOT_FOUND, 404)})
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, at the same address as before if it did so before, and with no adapters."""
        self.adapters.clear()
        self._socket = socket.create_server(("127.0.0.1", self.port))
        self.port = self._socket.getsockname()[1]
        config = uvicorn.Config(
            self.guarded, interface="asgi3", log_level="critical", lifespan="off", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)
        self._thread.start()

    async def guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope["headers"]).get(b"authorization", b"").decode()
        if self.key and scope["path"].startswith("/v1") and given != f"Bearer {self.key}":
            await JSONResponse({"error": "Unauthorized"}, 401)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    async def health(self, request: Request) -> Response:
        return Response(status_code=503 if self.dead else 200)

    async def models(self, request: Request) -> Response:
        base = {"id": self.name, "object": "model", "owned_by": "vllm", "root": self.base, "parent": None}
        loras = [
            {"id": name, "object": "model", "owned_by": "vllm", "root": path, "parent": self.name}
            for name, path in self.adapters.items()
        ]
        return JSONResponse({"object": "list", "data": [base, *loras]})

    async def load(self, request: Request) -> Response:
        body = await request.json()
        name, path = body["lora_name"], body["lora_path"]
        self.calls.append(f"load {name}" + (" in place" if body.get("load_inplace") else ""))
        if name in self.adapters and not body.get("load_inplace"):
            again = "If you want to load the adapter in place, set 'load_inplace' to True."
            return error(400, "InvalidUserInput", f"The lora adapter '{name}' has already been loaded. {again}")
        try:
            rank = json.loads((Path(path) / "adapter_config.json").read_text())["r"]
        except FileNotFoundError:
            return error(404, "NotFoundError", f"Loading lora {name} failed: No adapter found for <path>")
        if rank > MAX_RANK:
            why = f"LoRA rank {rank} is greater than max_lora_rank {MAX_RANK}."
            around = f"Call to add_lora method failed: Worker failed with error '{why}', please check the stack trace"
            return error(500, "InternalServerError", f"{around} above for the root cause")
        self.adapters[name] = path
        return Response(f"Success: LoRA adapter '{name}' added successfully.")

    async def unload(self, request: Request) -> Response:
        name = (await request.json())["lora_name"]
        self.calls.append(f"unload {name}")
        if name not in self.adapters:
            return error(404, "NotFoundError", f"The lora adapter '{name}' cannot be found.")
        del self.adapters[name]
        return Response(f"Success: LoRA adapter '{name}' removed successfully.")

    async def chat(self, request: Request) -> Response:
        body = await request.json()
        model = body["model"]
        self.calls.append(f"ask {model}")
        if model != self.name and model not in self.adapters:
            return error(404, "NotFoundError", f"The model `{model}` does not exist. Valid aliases: <path>")
        if model in self.adapters and not (Path(self.adapters[model]) / "adapter_model.safetensors").is_file():
            self.dead = True
        if self.dead:
            return error(500, "InternalServerError", "EngineCore encountered an issue. See stack trace (above).")
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        if not body.get("stream"):
            message = {"role": "assistant", "content": "Aye."}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return JSONResponse({"object": "chat.completion", "model": model, "choices": [choice], "usage": usage})
        chunks: list[Any] = [
            {"model": model, "choices": [{"index": 0, "delta": {"content": "Aye."}, "finish_reason": "stop"}]},
            {"model": model, "choices": [], "usage": usage},
        ]
        lines = [f"data: {json.dumps(chunk, separators=(',', ':'))}\n\n" for chunk in chunks]
        return StreamingResponse(iter([*lines, "data: [DONE]\n\n"]), media_type="text/event-stream")


NOT_FOUND = {"detail": "Not Found"}


def error(status: int, kind: str, message: str) -> Response:
    return JSONResponse({"error": {"message": message, "type": kind, "param": None, "code": status}}, status)
