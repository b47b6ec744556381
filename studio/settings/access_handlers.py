"""What the owner does about access: publish adapters, make and revoke keys; and the greeting of everybody."""

from __future__ import annotations

from typing import Any

import gradio as gr

from adapters.common.errors import UserError
from studio.auth.identity import Role, user_of
from studio.auth.keys import Keys
from studio.auth.permissions import requires
from studio.auth.published import PublishedAdapters
from studio.context import Studio
from studio.settings.access_view import render_backup, render_greeting, render_keys, render_published


@requires(Role.VISITOR)
def greet(studio: Studio, sign_in: bool, request: gr.Request) -> list[Any]:
    """The greeting; and for the owner the part that is only the owner's, filled."""
    user = user_of(request)
    greeting = render_greeting(user, sign_in)
    if user.role < Role.OWNER:
        return [greeting, *[gr.skip()] * 5]
    published = render_published(studio.store.list(), PublishedAdapters(studio.home))
    keys = render_keys(Keys(studio.home))
    return [greeting, gr.Column(visible=True), adapter_choices(studio), published, keys, render_backup(studio.backup)]


@requires(Role.OWNER)
def publish_adapter(studio: Studio, name: str | None) -> list[Any]:
    return set_published(studio, name, True)


@requires(Role.OWNER)
def unpublish_adapter(studio: Studio, name: str | None) -> list[Any]:
    return set_published(studio, name, False)


@requires(Role.OWNER)
def create_key(studio: Studio, name: str | None) -> list[Any]:
    keys = Keys(studio.home)
    return [keys.create((name or "").strip()), "", render_keys(keys)]


@requires(Role.OWNER)
def revoke_key(studio: Studio, name: str | None) -> list[Any]:
    keys = Keys(studio.home)
    keys.revoke((name or "").strip())
    return ["", "", render_keys(keys)]


def set_published(studio: Studio, name: str | None, is_published: bool) -> list[Any]:
    if not name:
        raise UserError("No adapter is chosen.", "Choose one in the list first.")
    published = PublishedAdapters(studio.home)
    published.set(studio.store.get(name), is_published)
    return [adapter_choices(studio), render_published(studio.store.list(), published)]


def adapter_choices(studio: Studio) -> gr.Dropdown:
    return gr.Dropdown(choices=[record.name for record in studio.store.list()])
