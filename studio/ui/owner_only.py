"""What not everybody may use: the others find in its place who may, and where they can have it themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr

from studio.auth.identity import Role, User, user_of

YOURSELF = (
    "To have it yourself, duplicate this Space, or run Guanaco Studio on a machine of yours: a first try needs no GPU."
)


def is_owner(person: User) -> bool:
    return person.role is Role.OWNER


@contextmanager
def only_for(may: Callable[[User], bool], words: str, elem_id: str) -> Iterator[None]:
    """Whatever is built within is for those who `may`; `words` say so to all others."""
    text = f'<div class="empty"><p>{words}</p><p>{YOURSELF}</p></div>'
    closed = gr.HTML(text, visible=False, elem_id=elem_id)
    with gr.Column() as part:
        yield

    def arrive(request: gr.Request) -> list[Any]:
        if may(user_of(request)):
            return [gr.skip(), gr.skip()]
        return [gr.HTML(visible=True), gr.Column(visible=False)]

    gr.on(None, arrive, None, [closed, part], queue=False, show_progress="hidden", api_visibility="private")
