"""Keep this answer: the last exchange of a column, edited where it should be better, becomes a training example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from core.data.store import COLLECTED
from studio.answers.history import History, to_messages
from studio.auth.identity import Role
from studio.auth.permissions import requires
from studio.chat import training_examples
from studio.chat.columns import Column
from studio.context import Studio
from studio.engine.client import Message
from studio.ui.events import bind

# The panel opens beneath the composer, perhaps out of sight, and is there only once Gradio has drawn it.
SHOW = """() => { setTimeout(() => {
    own.one('#keeping')?.scrollIntoView({block: 'end'});
    own.one('#kept-answer textarea')?.focus();
}, 150); }"""


@dataclass(frozen=True)
class ExamplePanel:
    box: gr.Column
    question: gr.Textbox
    answer: gr.Textbox
    whole: gr.Checkbox
    messages: gr.State  # the conversation that the answer ends
    add: gr.Button
    cancel: gr.Button


def build() -> ExamplePanel:
    messages = gr.State()
    with gr.Column(visible=False, elem_id="keeping") as box:
        question = gr.Textbox(label="Question", interactive=False, lines=1, max_lines=4)
        answer = gr.Textbox(
            label="Answer to learn: change it where it should be better", lines=3, max_lines=12, elem_id="kept-answer"
        )
        whole = gr.Checkbox(False, label="With the turns before it (their answers are then learnt too)")
        with gr.Row():
            add = gr.Button("Keep as training example", variant="primary", elem_id="keep-answer")
            cancel = gr.Button("Cancel", elem_id="keep-nothing")
    return ExamplePanel(box, question, answer, whole, messages, add, cancel)


def wire(studio: Studio, panel: ExamplePanel, columns: Sequence[Column], system: gr.Textbox) -> Any:
    """The keep button of each column opens the panel. Returns the event after which there is another example."""
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    opened = [panel.box, panel.question, panel.answer, panel.whole, panel.messages]
    for column in columns:
        opening = column.keep_button.click(bind(open_panel), [column.chatbot, system], opened, **quiet)
        opening.success(None, None, None, js=SHOW, api_visibility="private")
    panel.cancel.click(bind(close_panel), None, panel.box, queue=False, **quiet)
    return panel.add.click(bind(keep_answer, studio), [panel.messages, panel.answer, panel.whole], panel.box, **quiet)


@requires(Role.OWNER)
def open_panel(history: History | None, system: str | None) -> list[Any]:
    messages = to_messages(history, system)
    answer = messages[-1]["content"] if messages else ""
    training_examples.last_exchange(messages, answer, whole=False)  # raises where there is nothing to keep
    return [gr.Column(visible=True), messages[-2]["content"], answer, False, messages]


@requires(Role.OWNER)
def close_panel() -> gr.Column:
    return gr.Column(visible=False)


@requires(Role.OWNER)
def keep_answer(studio: Studio, messages: list[Message] | None, answer: str, whole: bool) -> gr.Column:
    add_example(studio, training_examples.last_exchange(messages or [], answer, whole=whole))
    return gr.Column(visible=False)


def add_example(studio: Studio, messages: list[Message]) -> None:
    """Add one conversation to the training examples, and say how many there are."""
    count, is_new = training_examples.add(studio.home, messages)
    gr.Info(
        f"{'Kept' if is_new else 'It was there already'}: the dataset “{COLLECTED}” has {count} "
        f"{'conversation' if count == 1 else 'conversations'}. See it on the Data page."
    )
