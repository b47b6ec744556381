"""Attacks on the page's events: each test fails when one gets round the table of who may trigger what."""

from __future__ import annotations

import gradio as gr
import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from studio.auth.permissions import EVENT_PATHS
from tests.studio.auth.attackers import index_of
from tests.studio.conftest import SPACE_HOST


@pytest.mark.parametrize(
    "asked",
    ['"fn_index": "{forbidden}"', '"fn_index": {forbidden}.0', '"fn_index": {allowed}, "fn_index": {forbidden}',
     '"fn_index": {allowed}, "\\u0066n_index": {forbidden}'],
)  # fmt: skip
def test_an_event_cannot_be_passed_off_as_another(visitor: TestClient, page: gr.Blocks, asked: str) -> None:
    numbers = {
        "forbidden": index_of(page, "train.handlers.start_run"),
        "allowed": index_of(page, "chat.handlers.show_columns"),
    }
    body = '{"data": [], "session_hash": "m", ' + asked.format(**numbers) + "}"
    for path in EVENT_PATHS:
        answer = visitor.post(path, content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 403, answer.text


def test_what_passes_the_table_is_what_gradio_does(visitor: TestClient, page: gr.Blocks) -> None:
    forbidden, allowed = index_of(page, "train.handlers.start_run"), index_of(page, "chat.handlers.show_columns")
    body = f'{{"data": [2], "session_hash": "m", "fn_index": {forbidden}, "fn_index": {allowed}}}'
    answer = visitor.post(EVENT_PATHS[1], content=body, headers={"content-type": "application/json"})
    shown, begun = (len(page.fns[index].outputs) for index in (allowed, forbidden))
    assert len(answer.json()["data"]) == shown != begun, "it was chat.show that ran"


@pytest.mark.parametrize("index", [None, -1, 9999, [14], {"a": 1}, "begin"])
def test_an_event_that_is_none_is_refused(local: TestClient, index: object) -> None:
    for path in (*EVENT_PATHS, "/gradio_api/run/predict"):
        answer = local.post(path, json={"data": [], "session_hash": "m", "fn_index": index})
        assert answer.status_code in (403, 422)


@pytest.mark.parametrize(
    "path",
    ["/gradio_api/run/begin", "/gradio_api/api/begin", "/gradio_api/call/begin", "/gradio_api/call/v2/begin",
     "/gradio_api/component_server", "/gradio_api/run/predict/", "/gradio_api//queue/join", "//gradio_api/queue/join",
     "/gradio_api/queue/join/", "/gradio_api/vibe-code", "/gradio_api/process_recording", "/GRADIO_API/queue/join"],
)  # fmt: skip
def test_there_is_no_other_way_to_an_event(visitor: TestClient, page: gr.Blocks, path: str) -> None:
    body = {"data": [], "session_hash": "m", "fn_index": index_of(page, "train.handlers.start_run")}
    assert visitor.post(f"https://{SPACE_HOST}{path}", json=body).status_code in (403, 404)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"data": 1}', b"\xff\xfe", b"[" * 20_000])
def test_a_body_that_is_no_event_is_refused(local: TestClient, body: bytes) -> None:
    for path in EVENT_PATHS:
        assert local.post(path, content=body, headers={"content-type": "application/json"}).status_code == 422


def test_websockets_are_closed(local: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect), local.websocket_connect("/gradio_api/queue/join"):
        pass
