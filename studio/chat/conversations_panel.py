"""The panel of saved conversations, over the columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.chat.settings import BROWSER_KEY
from studio.ui.html_events import clickable_html

MAX_QUERY = 200  # characters: each word is looked for in all that was said


@dataclass(frozen=True)
class ConversationsPanel:
    current: gr.Textbox  # the id of the conversation in the columns; "" for one that is not saved yet
    is_open: gr.State
    box: gr.Column
    name: gr.Textbox
    rename: gr.Button
    as_markdown: gr.Button
    as_json: gr.Button
    as_example: gr.Button  # shown to the owner
    query: gr.Textbox
    list: gr.HTML
    in_browser: gr.BrowserState  # the conversations that this browser keeps, as records

    @property
    def inputs(self) -> list[Any]:
        """What handlers that draw the list need."""
        return [self.current, self.in_browser, self.query]

    def unsaved(self) -> dict[Any, Any]:
        """What is in the columns is a conversation of its own, and not saved yet."""
        return {self.current: "", self.name: ""}


def build() -> ConversationsPanel:
    current = gr.Textbox("", visible="hidden", label="Conversation", elem_id="conversation")
    with gr.Column(visible=False, elem_id="conversations") as box:
        with gr.Row(elem_classes="actions", equal_height=True):
            name = gr.Textbox(
                show_label=False,
                container=False,
                placeholder="Name of this conversation",
                label="Name of this conversation",
                elem_id="conversation-name",
                min_width=220,
            )
            rename = gr.Button("Rename", size="sm", elem_id="rename-conversation")
            as_markdown = gr.Button("Markdown", size="sm", elem_id="conversation-markdown")
            as_json = gr.Button("JSON", size="sm", elem_id="conversation-json")
            as_example = gr.Button("To training examples", size="sm", visible=False, elem_id="teach-conversation")
        query = gr.Textbox(
            show_label=False,
            container=False,
            placeholder="Search all conversations",
            label="Search all conversations",
            elem_id="search-conversations",
            max_length=MAX_QUERY,
        )
        listed = clickable_html("", "conversation-list")
    in_browser = gr.BrowserState(None, storage_key="guanaco-conversations", secret=BROWSER_KEY)
    return ConversationsPanel(
        current, gr.State(False), box, name, rename, as_markdown, as_json, as_example, query, listed, in_browser
    )
