"""What only the owner can use: everybody else finds in its place who may, and where they can have it themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr

from studio.people import Role, person_of

CLOSED = (
    '<div class="empty"><p>{what} is for the owner of this studio.</p><p>To do so yourself, duplicate this Space, or '
    "run Guanaco Studio on a machine of yours: a first try needs no GPU.</p></div>"
)


@contextmanager
def owners_only(what: str, elem_id: str) -> Iterator[None]:
    """Whatever is built within. `what` begins the sentence that stands there for others."""
    closed = gr.HTML(CLOSED.format(what=what), visible=False, elem_id=elem_id)
    with gr.Column() as part:
        yield

    def arrive(request: gr.Request) -> list[Any]:
        if person_of(request).role is Role.OWNER:
            return [gr.skip(), gr.skip()]
        return [gr.HTML(visible=True), gr.Column(visible=False)]

    gr.on(None, arrive, None, [closed, part], queue=False, show_progress="hidden", api_visibility="private")
