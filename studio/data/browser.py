"""The right side of Data: tokens counted and drawn, and one conversation at a time as bubbles and token by token."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from adapters.common.errors import UserError
from core.data import CheckedDataset, Conversation
from studio.answers.history import content_parts
from studio.context import Studio
from studio.data.token_view import Measured, drawn, figures, found, measured, neighbour, token_view
from studio.engine.tokenizer_process import TokenizerProcess
from studio.ui.events import told
from studio.ui.fragments import render_error
from studio.ui.html_events import clickable_html, clicked_action

CHUNK = 100  # conversations counted between two signs of progress
PRIVATE: dict[str, Any] = {"api_visibility": "private"}
QUIET: dict[str, Any] = {"show_progress": "hidden", **PRIVATE}


@dataclass(frozen=True)
class Browser:
    statistics: gr.HTML
    row: gr.Row
    position: gr.Slider
    search: gr.Textbox
    matches: gr.HTML
    preview: gr.Chatbot
    tokens: gr.HTML
    counted: gr.State
    measure: Any
    measured: list[Any]

    @property
    def shown(self) -> list[Any]:
        where = [self.row, self.position, self.search, self.matches, self.preview]
        return [self.statistics, *where, self.tokens, self.counted]

    def show(self, dataset: CheckedDataset | None) -> dict[Any, Any]:
        """Updates that show the first conversation of `dataset`, or nothing; tokens follow when they are counted."""
        count = len(dataset.conversations) if dataset else 0
        return {
            self.statistics: "",
            self.row: gr.Row(visible=count > 1),
            self.position: gr.Slider(
                minimum=1, maximum=max(count, 2), value=1, label=f"Conversation (1 to {max(count, 1)})"
            ),
            self.search: "",
            self.matches: "",
            self.preview: gr.Chatbot(bubbles(dataset, 1) if dataset else [], visible=count > 0),
            self.tokens: "",
            self.counted: None,
        }


def build(studio: Studio, checked: gr.State, max_length: gr.Number) -> Browser:
    tokenizer = studio.tokenizer
    statistics = clickable_html("", "token-statistics")
    with gr.Row(visible=False, elem_id="browsing") as row:
        position = gr.Slider(1, 2, 1, step=1, label="Conversation", scale=3, min_width=240, elem_id="preview-position")
        search = gr.Textbox(
            label="Search", placeholder="words, then Enter", scale=2, min_width=160, elem_id="search-dataset"
        )
        previous = gr.Button("← Previous", size="sm", scale=0, min_width=95, elem_id="previous-conversation")
        following = gr.Button("Next →", size="sm", scale=0, min_width=80, elem_id="next-conversation")
        random_one = gr.Button("Random", size="sm", scale=0, min_width=80, elem_id="random-conversation")
    matches = gr.HTML("", elem_id="matches")
    with gr.Row():
        with gr.Column(min_width=300):
            preview = gr.Chatbot(
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
    counted: gr.State = gr.State()

    async def counted_of(conversations: list[Conversation]) -> list[Any]:
        return await asyncio.to_thread(tokenizer.count, conversations)

    async def measure(dataset: CheckedDataset | None, limit: float | None) -> AsyncIterator[list[Any]]:
        """Tokens of the first conversation, then of all; the tokenizer's process takes seconds to start."""
        if not dataset or not dataset.conversations:
            return
        yield [waiting(tokenizer), "", None]
        yield [await asyncio.to_thread(shown_tokens, tokenizer, dataset, 1, limit), gr.skip(), None]
        numbers = drawn(len(dataset.conversations))
        counts: list[Any] = []
        try:
            for start in range(0, len(numbers), CHUNK):
                yield [gr.skip(), f'<p class="said">Counting tokens: {start} of {len(numbers)} …</p>', None]
                chunk = [dataset.conversations[number - 1] for number in numbers[start : start + CHUNK]]
                counts.extend(await counted_of(chunk))
        except UserError as error:
            yield [gr.skip(), render_error(error), None]
            return
        result = measured(len(dataset.conversations), numbers, counts)
        yield [gr.skip(), figures(result, length_limit(limit)), result]

    def limit_to(
        limit: float | None, result: Measured | None, number: float, dataset: CheckedDataset | None
    ) -> list[Any]:
        if not dataset or not dataset.conversations or not limit or limit < 1:  # being typed
            return [gr.skip(), gr.skip()]
        drawn_again = figures(result, length_limit(limit)) if result else gr.skip()
        return [drawn_again, shown_tokens(tokenizer, dataset, int(number), limit)]

    def show_tokens(number: float, dataset: CheckedDataset | None, limit: float | None) -> Any:
        return shown_tokens(tokenizer, dataset, int(number), limit) if dataset else gr.skip()

    def turn_to(number: float, dataset: CheckedDataset | None) -> Any:
        return bubbles(dataset, int(number)) if dataset else gr.skip()

    def go_to(dataset: CheckedDataset | None, event: gr.EventData) -> list[Any]:
        """The conversation whose number was clicked."""
        number = clicked_action(event)[1]
        if not dataset or not number.isdecimal() or not 1 <= int(number) <= len(dataset.conversations):
            return [gr.skip(), gr.skip()]
        return [int(number), bubbles(dataset, int(number))]

    def go(dataset: CheckedDataset | None, words: str | None, at: float, step: int) -> list[Any]:
        """`step` 1 or -1: the next or previous match of the search; 0: any."""
        if not dataset or not dataset.conversations:
            return [gr.skip()] * 3
        numbers = found(dataset, words)
        said = ""
        if words and words.strip():
            said = f'<p class="said">{len(numbers)} of {len(dataset.conversations)} conversations match.</p>'
        if not numbers:
            return [gr.skip(), gr.skip(), said]
        number = neighbour(numbers, int(at), step) if step else random.choice(numbers)
        return [number, bubbles(dataset, number), said]

    def back(dataset: CheckedDataset | None, words: str | None, at: float) -> list[Any]:
        return go(dataset, words, at, -1)

    def forward(dataset: CheckedDataset | None, words: str | None, at: float) -> list[Any]:
        return go(dataset, words, at, 1)

    def anywhere(dataset: CheckedDataset | None, words: str | None, at: float) -> list[Any]:
        return go(dataset, words, at, 0)

    def find(dataset: CheckedDataset | None, words: str | None, at: float) -> list[Any]:
        return go(dataset, words, 0, 1)

    where = [position, checked, max_length]
    later: dict[str, Any] = {"trigger_mode": "always_last", **QUIET}
    max_length.change(told(limit_to), [max_length, counted, position, checked], [statistics, tokens], **later)
    position.input(turn_to, [position, checked], preview, queue=False, **QUIET)
    position.release(told(show_tokens), where, tokens, **later)
    for trigger, step in (
        (previous.click, back),
        (following.click, forward),
        (random_one.click, anywhere),
        (search.submit, find),
    ):
        moving = trigger(told(step), [checked, search, position], [position, preview, matches], **QUIET)
        moving.then(told(show_tokens), where, tokens, **later)
    clicked = statistics.select(told(go_to), checked, [position, preview], **QUIET)
    clicked.then(told(show_tokens), where, tokens, **later)
    return Browser(
        statistics,
        row,
        position,
        search,
        matches,
        preview,
        tokens,
        counted,
        measure,
        [tokens, statistics, counted],
    )


def length_limit(limit: float | None) -> int:
    """max_length as typed. Raises UserError for none."""
    if not limit or limit < 1:
        raise UserError("max_length is not a number of tokens.", "Write a whole number, such as 512.")
    return int(limit)


def waiting(tokenizer: TokenizerProcess) -> str:
    started = "" if tokenizer.running else ", which takes some seconds to start"
    return f'<p class="said">Asking the tokenizer of {tokenizer.name}{started} …</p>'


def shown_tokens(tokenizer: TokenizerProcess, dataset: CheckedDataset, number: int, limit: float | None) -> str:
    """Conversation `number` (from 1) token by token, or why not."""
    try:
        conversation = dataset.conversations[number - 1]
        return token_view(tokenizer.view(conversation), length_limit(limit))
    except UserError as error:
        return render_error(error)


def bubbles(dataset: CheckedDataset, number: int) -> list[dict[str, Any]]:
    """Conversation `number` (from 1) as chat bubbles; what is neither asked nor answered shows as a titled one."""
    if not 1 <= number <= len(dataset.conversations):
        return []
    conversation = dataset.conversations[number - 1]
    titles = {"system": "System prompt", "text": "Plain text", "tool": "Tool's answer"}
    shown: list[dict[str, Any]] = []

    def titled(title: str, content: str) -> None:
        shown.append({"role": "assistant", "content": content_parts(content), "metadata": {"title": title}})

    if conversation.tools:
        titled("Tools", as_code(conversation.tools))
    for message in conversation.messages:
        if thought := message.get("reasoning_content"):
            titled("Reasoning", thought)
        if title := titles.get(message["role"]):
            titled(title, message["content"])
        elif message.get("weight") == 0:
            titled("Not trained (weight 0)", message["content"])
        elif message["content"] or not message.get("tool_calls"):
            shown.append({"role": message["role"], "content": content_parts(message["content"])})
        for call in message.get("tool_calls", []):
            titled(f"Calls {call['function']['name']}", as_code(call["function"]["arguments"]))
    return shown


def as_code(value: Any) -> str:
    return f"```json\n{json.dumps(value, ensure_ascii=False, indent=1)}\n```"
