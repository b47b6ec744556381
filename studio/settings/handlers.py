"""What the Settings tab shows when it is opened, and what its buttons do."""

from __future__ import annotations

from typing import Any

import gradio as gr
from markupsafe import Markup

from core.training import trash
from studio.auth.identity import Role, user_of
from studio.auth.permissions import requires
from studio.context import Studio
from studio.html.format import size
from studio.settings import storage
from studio.settings.machine_facts import read_facts
from studio.settings.snippets import snippets
from studio.settings.view import FACTS_LATER, render_facts, render_snippets, render_storage


@requires(Role.VISITOR)
def show_to_owner(request: gr.Request) -> list[Any]:
    """The parts of the tab that are the owner's."""
    return [gr.Column(visible=user_of(request).role is Role.OWNER)] * 2


@requires(Role.VISITOR)  # and so is the next; they show something to the owner alone
def show_storage(studio: Studio, request: gr.Request) -> Any:
    return render_storage(studio.home) if user_of(request).role is Role.OWNER else gr.skip()


@requires(Role.VISITOR)
def show_facts_once(studio: Studio, request: gr.Request, shown: str) -> Any:
    """They take seconds, so they are looked up once for each page."""
    is_wanted = shown == FACTS_LATER and user_of(request).role is Role.OWNER
    return show_facts(studio) if is_wanted else gr.skip()


@requires(Role.OWNER)
def show_facts(studio: Studio) -> Markup:
    return render_facts(read_facts(studio.home), studio.client.choices())


@requires(Role.OWNER)
def empty_trash(studio: Studio) -> Markup:
    gr.Info(f"{size(trash.empty_trash(studio.home))} are free again.")
    return render_storage(studio.home)


@requires(Role.OWNER)
def delete_old_checkpoints(studio: Studio, is_confirmed: bool) -> Markup:
    if is_confirmed:
        gr.Info(f"{size(storage.drop_checkpoints(studio.home))} are free again.")
    return render_storage(studio.home)


@requires(Role.OWNER)
def clean_cache(studio: Studio) -> Markup:
    gr.Info(f"{size(storage.drop_cache(studio.home))} are free again; what is needed is made anew.")
    return render_storage(studio.home)


@requires(Role.VISITOR)
def show_snippets(request: gr.Request) -> Markup:
    return render_snippets(snippets(origin_of(request), "base"))


def origin_of(request: gr.Request) -> str:
    """The address under which the browser reaches the studio; a visitor's proxy says whether it is https."""
    headers = request.headers
    scheme = headers.get("x-forwarded-proto", "http").split(",")[0].strip()
    return f"{scheme if scheme in ('http', 'https') else 'http'}://{headers.get('host', '127.0.0.1:7860')}"
