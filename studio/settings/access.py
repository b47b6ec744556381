"""Access: who one is here and what that allows; for the owner, what is published and the keys of the API."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from adapters.common import damaged_files
from adapters.common.errors import UserError
from studio.auth.identity import LOCAL_OWNER, Role, User, user_of
from studio.auth.keys import Keys
from studio.auth.published import PublishedAdapters
from studio.backup.backup import Backup
from studio.context import Studio
from studio.ui.events import told
from studio.ui.format import size
from studio.ui.fragments import render_table

MAY = {
    Role.VISITOR: "You can chat with the base and with published adapters.",
    Role.USER: "You can chat, push adapters to your own account on the Hub, and pull adapters from it.",
    Role.OWNER: "You can do everything here.",
}
OTHERS_MAY = {
    Role.VISITOR: "Who signs in can push and pull; training, loading, deleting and publishing is for the owner.",
    Role.USER: "Training, loading, deleting and publishing is for the owner.",
    Role.OWNER: "",
}


def build(studio: Studio, sign_in: bool, greeting: gr.HTML) -> None:
    """`greeting` lies above all tabs and says who one is here."""
    keys, published = Keys(studio.home), PublishedAdapters(studio.home)
    with gr.Column(visible=False) as owners, gr.Row():
        with gr.Column(visible=sign_in):
            gr.Markdown("### Published adapters\nEveryone who comes here may chat with these.")
            adapter = gr.Dropdown([], value=None, label="Adapter", elem_id="publish-adapter")
            with gr.Row():
                publish_button = gr.Button("Publish", elem_id="publish")
                unpublish_button = gr.Button("Unpublish", elem_id="unpublish")
            listed = gr.HTML("", elem_id="published")
        with gr.Column():
            gr.Markdown("### API keys\nFor programs: `/v1` with `Authorization: Bearer …`. A key is shown once.")
            key_name = gr.Textbox(label="Name", placeholder="what it is for", elem_id="key-name")
            with gr.Row():
                create_button = gr.Button("Create", elem_id="create-key")
                revoke_button = gr.Button("Revoke", variant="stop", elem_id="revoke-key")
            new_key = gr.Textbox(label="The new key", buttons=["copy"], interactive=False, elem_id="new-key")
            known = gr.HTML("", elem_id="keys")
            kept = gr.HTML("", elem_id="kept")

    def greet(request: gr.Request) -> list[Any]:
        person = user_of(request)
        if person.role < Role.OWNER:
            return [greeting_for(person, sign_in), *[gr.skip()] * 5]
        shown = [gr.Column(visible=True), choices(), published_table(), keys_table(), keeping(studio.backup)]
        return [greeting_for(person, sign_in), *shown]

    def publish(name: str | None) -> list[Any]:
        return set_published(name, True)

    def unpublish(name: str | None) -> list[Any]:
        return set_published(name, False)

    def create_key(name: str | None) -> list[Any]:
        return [keys.create((name or "").strip()), "", keys_table()]

    def revoke_key(name: str | None) -> list[Any]:
        keys.revoke((name or "").strip())
        return ["", "", keys_table()]

    def set_published(name: str | None, wanted: bool) -> list[Any]:
        if not name:
            raise UserError("No adapter is chosen.", "Choose one in the list first.")
        published.set(studio.store.get(name), wanted)
        return [choices(), published_table()]

    def choices() -> gr.Dropdown:
        return gr.Dropdown(choices=[record.name for record in studio.store.list()])

    def published_table() -> str:
        names = [record.name for record in studio.store.list() if published.has(record)]
        shown = render_table(("Published",), [(name,) for name in names]) if names else "<p>Nothing is published.</p>"
        return f"{damage_of(published.path)}{shown}"

    def keys_table() -> str:
        rows = [(key.name, key.created) for key in keys.list()]
        shown = render_table(("Key", "Created"), rows) if rows else "<p>No keys.</p>"
        return f"{damage_of(keys.path)}{shown}"

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    gr.on(None, greet, None, [greeting, owners, adapter, listed, known, kept], queue=False, **private)
    publish_button.click(told(publish), adapter, [adapter, listed], **private)
    unpublish_button.click(told(unpublish), adapter, [adapter, listed], **private)
    create_button.click(told(create_key), key_name, [new_key, key_name, known], **private)
    revoke_button.click(told(revoke_key), key_name, [new_key, key_name, known], **private)


def damage_of(path: Path) -> str:
    """Why what was there before is not: the file was damaged and is set aside."""
    found = damaged_files.beside(path)
    return f'<p class="error">{escape(found[-1].told)}. What it held does not count.</p>' if found else ""


def keeping(backup: Backup | None) -> str:
    """Whether, where and when the home folder was last kept elsewhere; nothing where it is not."""
    if backup is None:
        return ""
    now = backup.status
    at = datetime.fromtimestamp(now.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if now.at else "not yet"
    rows = [("Where", now.where), ("Last", at), ("Files", f"{now.files}, {size(now.size)}")]
    failed = f'<p class="error">{escape(now.error)}</p>' if now.error else ""
    return f"<h3>Kept elsewhere too</h3>{render_table(('', ''), rows)}{failed}"


def greeting_for(person: User, sign_in: bool) -> str:
    """Who one is, what one may do, and who may do the rest; nothing where nobody has to come in."""
    if person == LOCAL_OWNER:
        return ""
    who = {Role.VISITOR: "a visitor", Role.USER: "a user", Role.OWNER: "the owner"}.get(person.role, "a stranger")
    # Who came with a token has no name but "owner" or "user".
    named = person.role > Role.VISITOR and person.name != person.role.name.lower()
    name = f"<b>{escape(person.name)}</b>, " if named else ""
    door = ""
    if sign_in and person.role is Role.VISITOR:
        # In a tab of its own: Hugging Face's sign-in page does not show inside a frame.
        door = '<a class="door" href="/login/huggingface" target="_blank" rel="noopener">Sign in with Hugging Face</a>'
    elif sign_in:
        door = '<form method="post" action="/logout"><button class="door">Sign out</button></form>'
    return (
        f'<div class="greeting" data-role="{person.role.name.lower()}"><p>You are {name}{who}. '
        f"{MAY.get(person.role, '')} {OTHERS_MAY.get(person.role, '')}</p>{door}</div>"
    )
