"""Parts of the page that not everybody may use: the others read there who may, and how to have it themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr

from studio.auth.identity import Role, User, user_of
from studio.auth.permissions import requires
from studio.html.templating import render
from studio.ui.events import bind_silently

YOURSELF = (
    "To have it yourself, duplicate this Space, or run Guanaco Studio on a machine of yours: a first try needs no GPU."
)


def is_owner(person: User) -> bool:
    return person.role is Role.OWNER


@contextmanager
def restricted_to(is_allowed: Callable[[User], bool], explanation: str, elem_id: str) -> Iterator[None]:
    """What is built within shows to people who are allowed; the others see `explanation` in its place."""
    text = render("shared/restricted.html", explanation=explanation, yourself=YOURSELF)
    closed = gr.HTML(text, visible=False, elem_id=elem_id)
    with gr.Column() as part:
        yield
    show = bind_silently(show_if_allowed, is_allowed)
    gr.on(None, show, None, [closed, part], queue=False, show_progress="hidden", api_visibility="private")


@requires(Role.VISITOR)
def show_if_allowed(is_allowed: Callable[[User], bool], request: gr.Request) -> list[Any]:
    if is_allowed(user_of(request)):
        return [gr.skip(), gr.skip()]
    return [gr.HTML(visible=True), gr.Column(visible=False)]
