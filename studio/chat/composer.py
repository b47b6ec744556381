"""Where messages are written, and the bar above the columns: how many there are, who gets the next message, blind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.chat.columns import COLUMNS

ALL = 0  # the next message goes to every column
EDITING = '<p class="note" role="status">You are changing the last question: Enter asks it anew, Esc leaves it.</p>'


@dataclass(frozen=True)
class Bar:
    count: gr.Radio
    to: gr.Radio
    blind: gr.Checkbox
    archive: gr.Button
    clear: gr.Button

    def choices(self, n: int) -> list[Any]:
        """Updates of `to` and `blind` for n columns."""
        return [gr.Radio(choices=recipients(n), value=ALL, visible=n > 1), gr.Checkbox(visible=n > 1)]


@dataclass(frozen=True)
class Composer:
    text: gr.Textbox
    note: gr.HTML
    changing: gr.State  # whether the text replaces the last question
    send: gr.Button
    stop: gr.Button
    recall: gr.Button  # the keyboard's: the arrow up, and Esc
    leave: gr.Button

    @property
    def all(self) -> list[Any]:
        """What a handler that answers may change."""
        return [self.text, self.note, self.changing, self.send, self.stop]

    def editing(self, now: bool) -> dict[Any, Any]:
        return {self.changing: now, self.note: EDITING if now else ""}


def recipients(n: int) -> list[tuple[str, int]]:
    return [("Ask all", ALL), *[(f"only {i + 1}", i + 1) for i in range(n)]]


def build_bar() -> Bar:
    with gr.Row(elem_id="chat-bar"):
        plain: dict[str, Any] = {"show_label": False, "container": False, "scale": 0}
        count = gr.Radio(
            [("1 column" if n == 1 else str(n), n) for n in range(1, COLUMNS + 1)],
            value=1,
            label="Columns",
            elem_id="columns",
            **plain,
        )
        to = gr.Radio(
            recipients(1), value=ALL, label="Who gets the next message", visible=False, elem_id="recipients", **plain
        )
        blind = gr.Checkbox(
            False, label="Blind", container=False, visible=False, scale=0, min_width=80, elem_id="blind"
        )
        archive = gr.Button("Conversations", size="sm", scale=0, min_width=120, elem_id="open-conversations")
        clear = gr.Button("New chat", size="sm", scale=0, min_width=90, elem_id="clear-chat")
    return Bar(count, to, blind, archive, clear)


def build() -> Composer:
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
        recall = gr.Button("Change the last question", visible="hidden", elem_id="edit-last")
        leave = gr.Button("Leave it as it was", visible="hidden", elem_id="leave-editing")
    return Composer(text, note, gr.State(False), send, stop, recall, leave)
