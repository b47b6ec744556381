"""The columns of the chat: each with its adapter, its conversation, who answered, and what to do with the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.answers.badge import badge
from studio.engine.client import BASE

COLUMNS = 4
EMPTY = "### Ask something\nEnter sends, Shift+Enter breaks the line, Esc stops, ↑ changes the last question."
# LaTeX as models write it; single dollars are left alone, because prices have them.
LATEX: list[dict[str, str | bool]] = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "\\[", "right": "\\]", "display": True},
    {"left": "\\(", "right": "\\)", "display": False},
]


@dataclass(frozen=True)
class Column:
    box: gr.Column
    adapter: gr.Dropdown
    bot: gr.Chatbot
    badge: gr.HTML
    go_on: gr.Button
    keep: gr.Button  # shown to those who may
    forget: gr.Button  # pressed by what stands on each turn, which says which one it is: studio/ui/assets/turns.js
    turn: gr.Number


def build(examples: tuple[str, ...]) -> list[Column]:
    """All columns, side by side; the first is shown. `examples` stand in it while it is empty."""
    # Not within the columns: Gradio shows everything in a column that is shown again, hidden things too.
    forget = [gr.Button("Delete a turn", visible="hidden", elem_id=f"forget-{i}") for i in range(COLUMNS)]
    turn = [gr.Number(None, label="Turn", visible="hidden", precision=0) for _ in range(COLUMNS)]
    with gr.Row(elem_id="columns-row"):
        return [column(i, examples if i == 0 else (), forget[i], turn[i]) for i in range(COLUMNS)]


def column(index: int, examples: tuple[str, ...], forget: gr.Button, turn: gr.Number) -> Column:
    cards: Any = [{"text": text} for text in examples]
    with gr.Column(visible=index == 0, min_width=240, elem_classes="chat-column") as box:
        adapter = gr.Dropdown(
            [BASE],
            value=BASE,
            label=f"Column {index + 1} answers with",
            container=False,
            filterable=True,
            elem_id=f"adapter-{index}",
        )
        bot = gr.Chatbot(
            label=f"Column {index + 1}",
            show_label=False,
            height="calc(100vh - 372px)",
            min_height=260,
            placeholder=EMPTY,
            examples=cards or None,
            buttons=["copy", "copy_all"],
            editable="all",
            layout="bubble",
            feedback_options=None,
            autoscroll=False,  # studio/ui/assets/follow.js does
            latex_delimiters=LATEX,
            elem_id=f"bot-{index}",
        )
        with gr.Row(elem_classes="beneath"):
            answered = gr.HTML(badge(None, BASE), elem_id=f"badge-{index}", padding=False)
            go_on = gr.Button("Continue", size="sm", scale=0, min_width=80, visible=False, elem_id=f"continue-{index}")
            keep = gr.Button("Keep answer", size="sm", scale=0, min_width=110, visible=False, elem_id=f"keep-{index}")
    return Column(box, adapter, bot, answered, go_on, keep, forget, turn)
