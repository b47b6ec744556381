"""What an event may hold: text in chats, plain values elsewhere, of a bounded size; the rest is refused."""

from __future__ import annotations

from typing import Any

import gradio as gr
import orjson
import pytest
from starlette.testclient import TestClient

from core.common.home import Home
from studio.auth import event_shapes
from studio.auth.event_shapes import MAX_MARKS, MAX_MESSAGES, MAX_PARTS, MAX_VALUES, allowed_values
from studio.auth.identity import Role
from studio.auth.keys import Keys
from studio.auth.permissions import EVENT_PATHS, EVENTS, event_name
from studio.web.request_bodies import Refusal
from tests.studio.auth.openid import OpenIDProvider
from tests.studio.conftest import LET_IN, GuardedApp, event, space_settings

WORDS = {"type": "text", "text": "hello"}
QUESTION = {"role": "user", "metadata": None, "content": [WORDS], "options": None}
ANSWER = {"role": "assistant", "metadata": {"log": "base"}, "content": [WORDS], "options": None}
COMPONENT = {"type": "component", "component": "textbox", "value": "hi", "constructor_args": {}, "props": {}}
FILE = {"type": "file", "file": {"path": "x", "meta": {"_type": "other"}}}


@pytest.fixture
def space(page: gr.Blocks, home: Home, provider: OpenIDProvider) -> GuardedApp:
    return GuardedApp(space_settings(provider.url, messages_per_minute=(10_000, 10_000)), page, Keys(home))


def put(client: TestClient, body: dict[str, Any]) -> int:
    (status,) = {client.post(path, json=body).status_code for path in EVENT_PATHS}
    return int(status)


def recall(page: gr.Blocks, *histories: Any) -> dict[str, Any]:
    return event(page, "chat.handlers.edit_last_question", [1, 0, *histories, *[[]] * (4 - len(histories))])


# Chats


@pytest.mark.slow
def test_what_the_page_sends_of_a_chat_is_let_in(space: GuardedApp, page: gr.Blocks) -> None:
    chat = [QUESTION, ANSWER, {"role": "user", "content": [WORDS, WORDS]}, ANSWER | {"metadata": {}, "options": []}]
    for role in (Role.VISITOR, Role.USER, Role.OWNER):
        assert put(space.client(role), recall(page, chat, None, [])) == LET_IN


@pytest.mark.parametrize(
    "message",
    [
        QUESTION | {"content": [COMPONENT]},
        QUESTION | {"content": [WORDS, COMPONENT]},
        QUESTION | {"content": [FILE]},
        QUESTION | {"content": [WORDS | {"type": "component"}]},
        QUESTION | {"content": [WORDS | {"more": "x"}]},
        QUESTION | {"content": [{"type": "text", "text": ["hello"]}]},
        QUESTION | {"content": [{"text": "hello"}]},
        QUESTION | {"content": [WORDS] * (MAX_PARTS + 1)},
        QUESTION | {"content": COMPONENT},
        QUESTION | {"content": "hello"},
        QUESTION | {"content": ["hello"]},
        QUESTION | {"content": None},
        QUESTION | {"role": "system"},
        QUESTION | {"role": ["user"]},
        QUESTION | {"options": [{"value": "x"}]},
        QUESTION | {"component": "textbox"},
        ANSWER | {"metadata": {"log": "x", "title": "Tool"}},
        ANSWER | {"metadata": {"log": {"a": 1}}},
        ANSWER | {"metadata": [1]},
        {"role": "user"},
        ["user", "hello"],
        "hello",
    ],
)
def test_a_chat_of_others_than_the_owner_holds_text_and_nothing_else(
    space: GuardedApp, page: gr.Blocks, message: Any
) -> None:
    """Gradio would build the component that a part names, with the arguments that are given there."""
    for role in (Role.VISITOR, Role.USER):
        assert put(space.client(role), recall(page, [QUESTION, message])) == 422
        assert put(space.client(role), recall(page, [], [], [], [message])) == 422
    assert put(space.client(Role.OWNER), recall(page, [QUESTION, message])) == LET_IN


def test_a_chat_has_so_many_messages_in_all_columns_together(space: GuardedApp, page: gr.Blocks) -> None:
    half = [QUESTION] * (MAX_MESSAGES // 2)
    assert put(space.client(), recall(page, half, half)) == LET_IN
    answer = space.client().post(EVENT_PATHS[0], json=recall(page, half, half, [ANSWER]))
    assert answer.status_code == 413
    assert "begin a new chat" in answer.json()["detail"]
    assert put(space.client(Role.OWNER), recall(page, half, half, half)) == LET_IN


# Every other input


def test_each_input_of_what_others_may_do_is_of_a_kind_whose_values_are_known(page: gr.Blocks) -> None:
    for function in page.fns.values():
        if EVENTS[event_name(function.fn)] < Role.OWNER:
            assert {type(input) for input in function.inputs} <= set(allowed_values()), event_name(function.fn)


@pytest.mark.parametrize(
    ("kind", "taken", "refused"),
    [
        (gr.Textbox, ["", "hello"], [7, True, ["a"], {"a": 1}]),
        (gr.Number, [0, -1, 0.5], [True, "1", [1], {}]),
        (gr.Slider, [0, 0.5], [False, "1", [1], {}]),
        (gr.Checkbox, [True, False], [0, 1, "true", []]),
        (gr.Radio, [1, "all", True], [[1], {"a": 1}]),
        (gr.Dropdown, ["base", ["base", "pirate"], []], [{"a": 1}, [["base"]], [{"path": "x"}], ["x"] * 101]),
        (gr.Chatbot, [[], [QUESTION]], ["hello", {"a": 1}, 7, [[QUESTION]]]),
        (gr.BrowserState, [{}, [], {"a": [{"b": "c"}]}, "x", 7], []),
        (gr.State, [], [{}, [], "x", 7, True]),
        (gr.File, [], [{"path": "x"}, "x", []]),
    ],
)
def test_an_input_holds_what_its_kind_may_hold(kind: type, taken: list[Any], refused: list[Any]) -> None:
    may_be = allowed_values().get(kind, event_shapes.is_nothing)
    assert all(may_be(value) for value in taken)
    assert not any(may_be(value) for value in refused)


@pytest.mark.parametrize("data", [[], [None] * 5, [None] * 7])
def test_an_event_has_as_many_values_as_inputs(space: GuardedApp, page: gr.Blocks, data: list[None]) -> None:
    assert put(space.client(), event(page, "chat.handlers.edit_last_question", data)) == 422


@pytest.mark.slow
@pytest.mark.parametrize("what", ["kept", "event_data"])
def test_what_a_browser_keeps_and_what_was_chosen_is_bounded(space: GuardedApp, page: gr.Blocks, what: str) -> None:
    def body(value: Any) -> dict[str, Any]:
        return event(
            page,
            "chat.conversations_handlers.reopen_conversation",
            ["", value if what == "kept" else None],
            event_data=value,
        )

    nested: Any = "x"
    for _ in range(event_shapes.MAX_DEPTH):
        nested = [nested]
    assert put(space.client(), body(nested)) == LET_IN
    assert put(space.client(), body([nested])) == 422
    assert put(space.client(), body([{"a": "b"}] * (MAX_VALUES // 2 + 1))) == 422


# Bodies


def test_a_body_of_more_pieces_than_are_read_at_once_is_not_read(space: GuardedApp, page: gr.Blocks) -> None:
    body = orjson.dumps(event(page, "chat.conversations_handlers.reopen_conversation", ["", None])).replace(
        b"null", b"[" + b"[]," * MAX_MARKS + b"0]"
    )
    answer = space.client().post(EVENT_PATHS[0], content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 413
    prose = event(page, "chat.conversations_handlers.search_conversations", ["", None, "one, two; " * 100_000])
    assert put(space.client(), prose) == LET_IN, "a megabyte of prose is no such body"


@pytest.mark.parametrize("name", ["x" * 65, "a b", "", "a/b", "\u0430bc", "a\n", 7, ["a"]])
def test_a_page_has_a_short_name(space: GuardedApp, page: gr.Blocks, name: object) -> None:
    for role in (Role.VISITOR, Role.OWNER):
        assert put(space.client(role), event(page, "chat.handlers.cancel_edit", session_hash=name)) == 422


def test_gradio_gets_what_was_read_and_nothing_that_only_it_would_understand(page: gr.Blocks) -> None:
    body = event(
        page, "chat.handlers.cancel_edit", batched=True, simple_format=True, event_id="x", oauth_token="hf_x", other=1
    )
    handed_on = orjson.loads(event_shapes.serialize_event(event_shapes.parse_event(orjson.dumps(body), bounded=True)))
    assert set(handed_on) == {"data", "event_data", "fn_index", "trigger_id", "session_hash"}


@pytest.mark.parametrize("body", [b'{"data": [NaN], "fn_index": 1}', b'{"data": ["\\ud800"], "fn_index": 1}'])
def test_what_is_no_json_is_no_event(body: bytes) -> None:
    with pytest.raises(Refusal):
        event_shapes.parse_event(body, bounded=False)
