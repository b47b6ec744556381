"""Keep this answer: the last exchange of a column, edited where it should be better, becomes a training example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from studio.chat import examples
from studio.context import Studio
from studio.engine.client import Message
from studio.ui.events import told

# The panel opens beneath the composer, perhaps out of sight, and is there only once Gradio has drawn it.
SHOW = """() => { setTimeout(() => {
    own.one('#keeping')?.scrollIntoView({block: 'end'});
    own.one('#kept-answer textarea')?.focus();
}, 150); }"""


def build(studio: Studio, buttons: Sequence[gr.Button], columns: Sequence[Any], conversations: Any) -> Any:
    """The panel that a column's button opens.

    columns: per button, the inputs from which `conversations(*inputs)` makes the column's messages.
    Returns the event of keeping one, for what wants to follow it.
    """
    taken: gr.State = gr.State()
    with gr.Column(visible=False, elem_id="keeping") as panel:
        question = gr.Textbox(label="Question", interactive=False, lines=1, max_lines=4)
        answer = gr.Textbox(
            label="Answer to learn: change it where it should be better", lines=3, max_lines=12, elem_id="kept-answer"
        )
        whole = gr.Checkbox(False, label="With the turns before it (their answers are then learnt too)")
        with gr.Row():
            keep_button = gr.Button("Keep as training example", variant="primary", elem_id="keep-answer")
            cancel = gr.Button("Cancel", elem_id="keep-nothing")

    def take(*inputs: Any) -> list[Any]:
        messages: list[Message] = conversations(*inputs)
        said = messages[-1]["content"] if messages else ""
        examples.last_exchange(messages, said, whole=False)  # raises where there is nothing to keep
        return [gr.Column(visible=True), messages[-2]["content"], said, False, messages]

    def keep(messages: list[Message] | None, text: str, with_turns: bool) -> gr.Column:
        kept = examples.last_exchange(messages or [], text, whole=with_turns)
        count, new = examples.keep(studio.home, kept)
        gr.Info(
            f"{'Kept' if new else 'It was there already'}: the dataset “{examples.NAME}” has {count} "
            f"{'conversation' if count == 1 else 'conversations'}. See it on the Data page."
        )
        return gr.Column(visible=False)

    def put_aside() -> gr.Column:
        return gr.Column(visible=False)

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    for button, inputs in zip(buttons, columns, strict=True):
        opening = button.click(told(take), inputs, [panel, question, answer, whole, taken], **quiet)
        opening.success(None, None, None, js=SHOW, api_visibility="private")
    cancel.click(put_aside, None, panel, queue=False, **quiet)
    return keep_button.click(told(keep), [taken, answer, whole], panel, **quiet)
