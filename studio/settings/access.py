"""Access: what is published and the keys of the API, for the owner; and the greeting above all tabs. Its layout."""

from __future__ import annotations

from typing import Any

import gradio as gr

from studio.context import Studio
from studio.settings import access_handlers as handlers
from studio.ui.events import bind, bind_silently


def build(studio: Studio, sign_in: bool, greeting: gr.HTML) -> None:
    """`greeting` lies above all tabs and says who one is here."""
    with gr.Column(visible=False) as owner_part, gr.Row():
        with gr.Column(visible=sign_in):
            gr.Markdown("### Published adapters\nEveryone who comes here may chat with these.")
            adapter = gr.Dropdown([], value=None, label="Adapter", elem_id="publish-adapter")
            with gr.Row():
                publish = gr.Button("Publish", elem_id="publish")
                unpublish = gr.Button("Unpublish", elem_id="unpublish")
            published = gr.HTML("", elem_id="published")
        with gr.Column():
            gr.Markdown("### API keys\nFor programs: `/v1` with `Authorization: Bearer …`. A key is shown once.")
            key_name = gr.Textbox(label="Name", placeholder="what it is for", elem_id="key-name")
            with gr.Row():
                create = gr.Button("Create", elem_id="create-key")
                revoke = gr.Button("Revoke", variant="stop", elem_id="revoke-key")
            new_key = gr.Textbox(label="The new key", buttons=["copy"], interactive=False, elem_id="new-key")
            keys = gr.HTML("", elem_id="keys")
            backup = gr.HTML("", elem_id="kept")

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    greet = bind_silently(handlers.greet, studio, sign_in)
    gr.on(None, greet, None, [greeting, owner_part, adapter, published, keys, backup], queue=False, **private)
    publish.click(bind(handlers.publish_adapter, studio), adapter, [adapter, published], **private)
    unpublish.click(bind(handlers.unpublish_adapter, studio), adapter, [adapter, published], **private)
    create.click(bind(handlers.create_key, studio), key_name, [new_key, key_name, keys], **private)
    revoke.click(bind(handlers.revoke_key, studio), key_name, [new_key, key_name, keys], **private)
