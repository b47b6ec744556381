"""Where messages are written, and the bar above the columns: how many, who gets the next message, blind or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.chat.columns import COLUMNS
from studio.html.templating import render

ALL = 0  # as the recipient of the next message: every column


@dataclass(frozen=True)
class ChatBar:
    column_count: gr.Radio
    recipient: gr.Radio
    blind: gr.Checkbox
    conversations: gr.Button
    clear: gr.Button


@dataclass(frozen=True)
class Composer:
    text: gr.Textbox
    note: gr.HTML
    is_editing: gr.State  # whether the text replaces the last question
    send: gr.Button
    stop: gr.Button
    edit_last: gr.Button  # pressed by the arrow up, and
    cancel_edit: gr.Button  # by Esc: studio/ui/assets/keys.js

    @property
    def outputs(self) -> list[Any]:
        """What a handler that answers may change."""
        return [self.text, self.note, self.is_editing, self.send, self.stop]

    def editing(self, is_editing: bool) -> dict[Any, Any]:
        return {self.is_editing: is_editing, self.note: render("chat/editing.html") if is_editing else ""}

    def answering(self, is_answering: bool) -> dict[Any, Any]:
        """Stop stands where Send does while something is being answered."""
        return {self.send: gr.Button(visible=not is_answering), self.stop: gr.Button(visible=is_answering)}


def recipients(column_count: int) -> list[tuple[str, int]]:
    return [("Ask all", ALL), *((f"only {i + 1}", i + 1) for i in range(column_count))]


def build_bar() -> ChatBar:
    with gr.Row(elem_id="chat-bar"):
        plain: dict[str, Any] = {"show_label": False, "container": False, "scale": 0}
        column_count = gr.Radio(
            [("1 column" if n == 1 else str(n), n) for n in range(1, COLUMNS + 1)],
            value=1,
            label="Columns",
            elem_id="columns",
            **plain,
        )
        recipient = gr.Radio(
            recipients(1), value=ALL, label="Who gets the next message", visible=False, elem_id="recipients", **plain
        )
        blind = gr.Checkbox(
            False, label="Blind", container=False, visible=False, scale=0, min_width=80, elem_id="blind"
        )
        conversations = gr.Button("Conversations", size="sm", scale=0, min_width=120, elem_id="open-conversations")
        clear = gr.Button("New chat", size="sm", scale=0, min_width=90, elem_id="clear-chat")
    return ChatBar(column_count, recipient, blind, conversations, clear)


def build_composer() -> Composer:
    note = gr.HTML("", elem_id="composer-note", padding=False)
    with gr.Row(equal_height=True, elem_id="composer-row"):
        text = gr.Textbox(
            placeholder="Message …",
            show_label=False,
            container=False,
            lines=1,
            max_lines=8,
            autofocus=True,
            scale=8,
            elem_id="composer",
            label="Message",
        )
        send = gr.Button("Send", variant="primary", scale=0, min_width=90, elem_id="send")
        stop = gr.Button("Stop", scale=0, min_width=90, visible=False, elem_id="stop-answers")
        edit_last = gr.Button("Change the last question", visible="hidden", elem_id="edit-last")
        cancel_edit = gr.Button("Leave it as it was", visible="hidden", elem_id="leave-editing")
    return Composer(text, note, gr.State(False), send, stop, edit_last, cancel_edit)
