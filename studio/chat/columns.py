"""The columns of the chat: each with its model, its conversation, a badge that says who answered, and its buttons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.answers.badge import badge
from studio.engine.client import BASE

COLUMNS = 4
PLACEHOLDER = "### Ask something\nEnter sends, Shift+Enter breaks the line, Esc stops, ↑ changes the last question."
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
    chatbot: gr.Chatbot
    badge: gr.HTML
    continue_button: gr.Button
    keep_button: gr.Button  # shown to the owner
    delete_button: gr.Button  # pressed by the button on each turn, which sets `turn` first: studio/ui/assets/turns.js
    turn: gr.Number


def build(examples: tuple[str, ...]) -> list[Column]:
    """All columns, side by side; the first is shown. `examples` stand in it while it is empty."""
    # Not within the columns: Gradio shows everything in a column that is shown again, hidden things too.
    delete = [gr.Button("Delete a turn", visible="hidden", elem_id=f"forget-{i}") for i in range(COLUMNS)]
    turn = [gr.Number(None, label="Turn", visible="hidden", precision=0) for _ in range(COLUMNS)]
    with gr.Row(elem_id="columns-row"):
        return [build_column(i, examples if i == 0 else (), delete[i], turn[i]) for i in range(COLUMNS)]


def build_column(index: int, examples: tuple[str, ...], delete_button: gr.Button, turn: gr.Number) -> Column:
    example_cards: Any = [{"text": text} for text in examples]
    with gr.Column(visible=index == 0, min_width=240, elem_classes="chat-column") as box:
        adapter = gr.Dropdown(
            [BASE],
            value=BASE,
            label=f"Column {index + 1} answers with",
            container=False,
            filterable=True,
            elem_id=f"adapter-{index}",
        )
        chatbot = gr.Chatbot(
            label=f"Column {index + 1}",
            show_label=False,
            height="calc(100vh - 372px)",
            min_height=260,
            placeholder=PLACEHOLDER,
            examples=example_cards or None,
            buttons=["copy", "copy_all"],
            editable="all",
            layout="bubble",
            feedback_options=None,
            autoscroll=False,  # studio/ui/assets/follow.js does
            latex_delimiters=LATEX,
            elem_id=f"bot-{index}",
        )
        with gr.Row(elem_classes="beneath"):
            badge_html = gr.HTML(badge(None), elem_id=f"badge-{index}", padding=False)
            continue_button = gr.Button(
                "Continue", size="sm", scale=0, min_width=80, visible=False, elem_id=f"continue-{index}"
            )
            keep_button = gr.Button(
                "Keep answer", size="sm", scale=0, min_width=110, visible=False, elem_id=f"keep-{index}"
            )
    return Column(box, adapter, chatbot, badge_html, continue_button, keep_button, delete_button, turn)
