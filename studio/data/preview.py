"""The right side of Data: tokens counted and drawn, and one conversation at a time as messages and token by token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from core.data import CheckedDataset
from studio.context import Studio
from studio.data import preview_handlers as handlers
from studio.data.preview_view import chat_messages
from studio.ui.events import bind, bind_silently
from studio.ui.html_events import clickable_html

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True)
class DatasetPreview:
    """`counts` is a state: the TokenCounts of the dataset that is shown, or None until they are there."""

    statistics: gr.HTML
    navigation: gr.Row
    position: gr.Slider
    search: gr.Textbox
    matches: gr.HTML
    messages: gr.Chatbot
    tokens: gr.HTML
    counts: gr.State

    @property
    def outputs(self) -> list[Any]:
        """What changes with the dataset."""
        conversation = [self.navigation, self.position, self.search, self.matches, self.messages]
        return [self.statistics, *conversation, self.tokens, self.counts]

    @property
    def counted_outputs(self) -> list[Any]:
        """What preview_handlers.count_tokens updates."""
        return [self.tokens, self.statistics, self.counts]

    def show(self, dataset: CheckedDataset | None) -> dict[Any, Any]:
        """Updates that show the first conversation of `dataset`, or nothing; tokens follow when they are counted."""
        count = len(dataset.conversations) if dataset else 0
        return {
            self.statistics: "",
            self.navigation: gr.Row(visible=count > 1),
            self.position: gr.Slider(
                minimum=1, maximum=max(count, 2), value=1, label=f"Conversation (1 to {max(count, 1)})"
            ),
            self.search: "",
            self.matches: "",
            self.messages: gr.Chatbot(chat_messages(dataset, 1) if dataset else [], visible=count > 0),
            self.tokens: "",
            self.counts: None,
        }


def build(studio: Studio, dataset: gr.State, max_length: gr.Number) -> DatasetPreview:
    tokenizer = studio.tokenizer
    statistics = clickable_html("", "token-statistics")
    with gr.Row(visible=False, elem_id="browsing") as navigation:
        position = gr.Slider(1, 2, 1, step=1, label="Conversation", scale=3, min_width=240, elem_id="preview-position")
        search = gr.Textbox(
            label="Search", placeholder="words, then Enter", scale=2, min_width=160, elem_id="search-dataset"
        )
        previous = gr.Button("← Previous", size="sm", scale=0, min_width=95, elem_id="previous-conversation")
        following = gr.Button("Next →", size="sm", scale=0, min_width=80, elem_id="next-conversation")
        random = gr.Button("Random", size="sm", scale=0, min_width=80, elem_id="random-conversation")
    matches = gr.HTML("", elem_id="matches")
    with gr.Row():
        with gr.Column(min_width=300):
            messages = gr.Chatbot(
                label="Preview",
                height="46vh",
                visible=False,
                feedback_options=None,
                buttons=[],
                autoscroll=False,  # one reads it from its beginning
                elem_id="preview",
            )
        with gr.Column(min_width=300):
            tokens = gr.HTML("", elem_id="token-view")
    counts: gr.State = gr.State()

    latest: dict[str, Any] = {"trigger_mode": "always_last", **QUIET}
    shown_conversation = [position, dataset, max_length]
    show_tokens = bind(handlers.show_tokens, tokenizer)
    max_length.change(
        bind(handlers.change_max_length, tokenizer),
        [max_length, counts, position, dataset],
        [statistics, tokens],
        **latest,
    )
    position.input(bind_silently(handlers.show_messages), [position, dataset], messages, queue=False, **QUIET)
    position.release(show_tokens, shown_conversation, tokens, **latest)
    for trigger, move in (
        (previous.click, handlers.show_previous),
        (following.click, handlers.show_next),
        (random.click, handlers.show_random),
        (search.submit, handlers.search_conversations),
    ):
        moved = trigger(bind(move), [dataset, search, position], [position, messages, matches], **QUIET)
        moved.then(show_tokens, shown_conversation, tokens, **latest)
    clicked = statistics.select(bind(handlers.show_clicked), dataset, [position, messages], **QUIET)
    clicked.then(show_tokens, shown_conversation, tokens, **latest)
    return DatasetPreview(statistics, navigation, position, search, matches, messages, tokens, counts)
