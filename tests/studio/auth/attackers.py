"""Who attacks, what they try, and how they trigger an event."""

from __future__ import annotations

from typing import Any

import gradio as gr
from starlette.testclient import TestClient

from studio.auth.identity import Role, User
from studio.auth.permissions import EVENT_PATHS, event_name

HERE = "http://127.0.0.1:7860"
SECRET_LINE = "root:x:0:0"
OUTSIDE = ("/etc/passwd", "../../../../../../etc/passwd", "..", "", ".", "a/../../b", "a\0b", "~/x", "..%2f..%2fetc")
ODD = (".hidden", "x" * 65, "\u0430dapter", "\uff0fa", "a\nb", "a b", "base", "BASE", "-rf", "run:x", "a\u202eb")
VISITOR = User(Role.VISITOR, "visitor", "from:1.1.1.1", sees_runs=False, only_published=True)
USER = User(Role.USER, "bob", "hub:bob", "hf_oauth_bobs", sees_runs=False, only_published=True)


def index_of(page: gr.Blocks, name: str) -> int:
    index: int = next(index for index, function in page.fns.items() if event_name(function.fn) == name)
    return index


def play(client: TestClient, index: int, data: list[Any]) -> str:
    """Everything that Gradio says of one event that went through its queue."""
    joined = client.post(EVENT_PATHS[0], json={"data": data, "fn_index": index, "session_hash": "mallory"})
    assert joined.status_code == 200, joined.text
    said = ""
    with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": "mallory"}) as events:
        for line in events.iter_lines():
            said += line
            if "process_completed" in line or "close_stream" in line:
                break
    return said
