"""What nobody foresaw is a 500 in OpenAI's shape, also in the middle of a stream. The log alone has the details."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest
from starlette.testclient import TestClient

from core.serving.api.errors import FAILED_HERE
from core.serving.api.event_stream import events
from core.serving.api.requests import CompletionRequest, parse_request
from core.serving.api.response_builder import ResponseBuilder
from core.serving.api.server import Server
from core.serving.api.state import READY, ServerState, Service
from core.serving.engine.sampling_params import SampledToken
from core.serving.engine.sequence import RequestOutput, Sequence

SECRET = "/somebody/home"


class Broken:
    """A service with a bug."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(SECRET)


@pytest.fixture
def client() -> TestClient:
    state = ServerState("base", 1, 0.0, "x", status=READY, service=cast(Service, Broken()))
    app = Server(state).app(["127.0.0.1"])
    return TestClient(app, "http://127.0.0.1", raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("models", None),
        ("models/base", None),
        ("chat/completions", {"model": "base", "messages": [{"role": "user", "content": "x"}]}),
        ("completions", {"model": "base", "prompt": "x"}),
        ("unload_lora_adapter", {"lora_name": "x"}),
    ],
)
def test_a_bug_is_told_in_openais_shape_and_without_its_details(
    client: TestClient, path: str, body: dict[str, Any] | None
) -> None:
    answer = client.request("POST" if body else "GET", f"/v1/{path}", json=body)
    assert answer.status_code == 500
    wanted = {"message": FAILED_HERE, "type": "server_error", "param": None, "code": None}
    assert answer.json() == {"error": wanted}


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/completions"), ("DELETE", "/v1/models"), ("POST", "/v2")])
def test_what_there_is_not_is_a_clients_error(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code in (404, 405)
    assert answer.json()["error"]["type"] == "invalid_request_error"


def streamed(output: RequestOutput) -> list[str]:
    """The events of a stream that hands over one output, and would go on after it."""
    body = {"model": "base", "prompt": "x", "max_tokens": 4, "stream": True, "logprobs": 1}
    request = parse_request(CompletionRequest, body)
    sequences = [Sequence([1], request.sampling_params({}, 4), lambda output: None)]
    answer = ResponseBuilder(request, "base", sequences, 1, cast(Any, None))  # whose tokens have no text

    async def all_events() -> list[str]:
        inbox: asyncio.Queue[tuple[int, RequestOutput]] = asyncio.Queue()
        inbox.put_nowait((0, output))
        return [event async for event in events(answer, inbox)]

    return asyncio.run(all_events())


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (RequestOutput("x", SampledToken(5, -0.1)), FAILED_HERE),
        (RequestOutput(error="The engine is shutting down."), "The engine is shutting"),
    ],
)
def test_a_stream_that_fails_ends_with_an_error_in_openais_shape(
    output: RequestOutput, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    *_, last = streamed(output)
    error = json.loads(last.removeprefix("data: "))["error"]
    assert error["message"].startswith(told)
    assert (error["type"], set(error)) == ("server_error", {"message", "type", "param", "code"})
    assert any(record.exc_info for record in caplog.records) == (told == FAILED_HERE)
