"""Event handlers as Gradio is given them: bound to their page, with errors that a person can read."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import gradio as gr
import pytest
from gradio.helpers import special_args

from adapters.common.errors import UserError
from studio.auth import permissions
from studio.auth.identity import LOCAL_OWNER, Role
from studio.auth.permissions import event_name, requires
from studio.ui.events import bind, bind_silently
from studio.ui.failures import bind_in_place
from tests.studio.conftest import request_of

if TYPE_CHECKING:
    from somewhere import Context  # type: ignore[import-not-found]


def greet(context: Context, request: gr.Request, name: str, *rest: Any) -> str:
    if not name:
        raise UserError("No name is given.", "Write one.")
    return f"{context} {name} {len(rest)}"


async def stream(context: str, name: str) -> AsyncIterator[str]:
    yield name
    raise UserError(f"{context} broke off.", "Try again.")


async def wait(context: str) -> str:
    raise UserError(f"{context} did not come.", "Wait longer.")


def test_what_is_bound_comes_first_and_gradio_sees_the_rest() -> None:
    handler = bind(greet, "hello")
    assert list(inspect.signature(handler).parameters) == ["request", "name", "rest"]
    given, *_ = special_args(handler, ["you", 1, 2], request=request_of(LOCAL_OWNER))
    assert handler(*given) == "hello you 2", "the request is recognised by its type"
    assert event_name(handler) == event_name(greet)


def test_errors_are_shown_whatever_kind_of_function_raises_them() -> None:
    with pytest.raises(gr.Error, match="No name is given"):
        bind(greet, "hello")(None, "")

    async def streamed() -> list[str]:
        seen = []
        with pytest.raises(gr.Error, match="It broke off"):
            async for update in bind(stream, "It")("x"):
                seen.append(update)
        return seen

    assert asyncio.run(streamed()) == ["x"]
    with pytest.raises(gr.Error, match="It did not come"):
        asyncio.run(bind(wait, "It")())


def test_what_nobody_has_asked_for_fails_as_it_is() -> None:
    handler = bind_silently(greet, "hello")
    assert list(inspect.signature(handler).parameters) == ["request", "name", "rest"]
    assert handler(None, "you") == "hello you 0"
    with pytest.raises(UserError, match="No name is given"):
        handler(None, "")


def test_in_place_a_failure_is_an_output_and_success_empties_it() -> None:
    with gr.Blocks():
        failed = gr.HTML()
    handler = bind_in_place(greet, "hello", failed=failed)
    assert list(inspect.signature(handler).parameters) == ["request", "name", "rest"]
    assert handler(None, "you") == ["hello you 0", ""]
    assert "No name is given" in handler(None, "")[failed]
    with pytest.raises(gr.Error, match="No name is given"):
        handler.raising(None, "")  # type: ignore[attr-defined]


def test_a_handler_says_who_may_and_a_name_stands_for_one_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permissions, "EVENTS", {})
    monkeypatch.setattr(permissions, "COUNTED", set())
    assert requires(Role.USER, counted=True)(greet) is greet
    assert {event_name(greet): Role.USER} == permissions.EVENTS
    assert event_name(greet) in permissions.COUNTED
    with pytest.raises(ValueError, match="Two event handlers"):
        requires(Role.VISITOR)(greet)
