"""What happens in the preview of a dataset: its tokens are counted, and one goes from conversation to conversation."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr
from markupsafe import Markup

from adapters.common.errors import UserError
from core.data import CheckedDataset
from studio.auth.identity import Role
from studio.auth.permissions import requires
from studio.data.preview_view import chat_messages, render_starting
from studio.data.search import find_conversations, neighbour
from studio.data.statistics_view import render_statistics
from studio.data.token_counts import TokenCounts, sampled_numbers
from studio.data.token_view import render_tokens
from studio.engine.tokenizer_process import TokenizerProcess
from studio.html.fragments import render_error
from studio.html.templating import render
from studio.ui.html_events import clicked_action

CHUNK = 100  # conversations counted between two signs of progress


@requires(Role.OWNER)
async def count_tokens(
    tokenizer: TokenizerProcess, dataset: CheckedDataset | None, max_length: float | None
) -> AsyncIterator[list[Any]]:
    """Tokens of the first conversation, then of all; the tokenizer's process takes seconds to start."""
    if not dataset or not dataset.conversations:
        return
    yield [render_starting(tokenizer), "", None]
    yield [await asyncio.to_thread(tokens_or_error, tokenizer, dataset, 1, max_length), gr.skip(), None]
    numbers = sampled_numbers(len(dataset.conversations))
    rows: list[Any] = []
    try:
        for start in range(0, len(numbers), CHUNK):
            yield [gr.skip(), render("data/note.html", text=f"Counting tokens: {start} of {len(numbers)} …"), None]
            chunk = [dataset.conversations[number - 1] for number in numbers[start : start + CHUNK]]
            rows.extend(await asyncio.to_thread(tokenizer.count, chunk))
    except UserError as error:
        yield [gr.skip(), render_error(error), None]
        return
    counts = TokenCounts.from_rows(len(dataset.conversations), numbers, rows)
    yield [gr.skip(), render_statistics(counts, checked_max_length(max_length)), counts]


@requires(Role.OWNER)
def change_max_length(
    tokenizer: TokenizerProcess,
    max_length: float | None,
    counts: TokenCounts | None,
    number: float,
    dataset: CheckedDataset | None,
) -> list[Any]:
    """The statistics and the tokens of the conversation, cut elsewhere."""
    if not dataset or not dataset.conversations or not max_length or max_length < 1:  # being typed
        return [gr.skip(), gr.skip()]
    statistics = render_statistics(counts, checked_max_length(max_length)) if counts else gr.skip()
    return [statistics, tokens_or_error(tokenizer, dataset, int(number), max_length)]


@requires(Role.OWNER)
def show_tokens(
    tokenizer: TokenizerProcess, number: float, dataset: CheckedDataset | None, max_length: float | None
) -> Any:
    return tokens_or_error(tokenizer, dataset, int(number), max_length) if dataset else gr.skip()


@requires(Role.OWNER)
def show_messages(number: float, dataset: CheckedDataset | None) -> Any:
    return chat_messages(dataset, int(number)) if dataset else gr.skip()


@requires(Role.OWNER)
def show_clicked(dataset: CheckedDataset | None, event: gr.EventData) -> list[Any]:
    """The conversation whose number was clicked in the statistics."""
    number = clicked_action(event)[1]
    if not dataset or not number.isdecimal() or not 1 <= int(number) <= len(dataset.conversations):
        return [gr.skip(), gr.skip()]
    return [int(number), chat_messages(dataset, int(number))]


@requires(Role.OWNER)
def show_previous(dataset: CheckedDataset | None, query: str | None, number: float) -> list[Any]:
    return show_match(dataset, query, number, -1)


@requires(Role.OWNER)
def show_next(dataset: CheckedDataset | None, query: str | None, number: float) -> list[Any]:
    return show_match(dataset, query, number, 1)


@requires(Role.OWNER)
def show_random(dataset: CheckedDataset | None, query: str | None, number: float) -> list[Any]:
    return show_match(dataset, query, number, 0)


@requires(Role.OWNER)
def search_conversations(dataset: CheckedDataset | None, query: str | None, number: float) -> list[Any]:
    return show_match(dataset, query, 0, 1)


def show_match(dataset: CheckedDataset | None, query: str | None, number: float, step: int) -> list[Any]:
    """The next (step 1) or previous (-1) conversation that matches the query, or (0) any that does."""
    if not dataset or not dataset.conversations:
        return [gr.skip()] * 3
    numbers = find_conversations(dataset, query)
    matches = ""
    if query and query.strip():
        matches = render("data/note.html", text=f"{len(numbers)} of {len(dataset.conversations)} conversations match.")
    if not numbers:
        return [gr.skip(), gr.skip(), matches]
    found = neighbour(numbers, int(number), step) if step else random.choice(numbers)
    return [found, chat_messages(dataset, found), matches]


def tokens_or_error(
    tokenizer: TokenizerProcess, dataset: CheckedDataset, number: int, max_length: float | None
) -> Markup:
    """Conversation `number` (from 1) token by token, or why not."""
    try:
        conversation = dataset.conversations[number - 1]
        return render_tokens(tokenizer.view(conversation), checked_max_length(max_length))
    except UserError as error:
        return render_error(error)


def checked_max_length(max_length: float | None) -> int:
    """max_length as typed. Raises UserError for none."""
    if not max_length or max_length < 1:
        raise UserError("max_length is not a number of tokens.", "Write a whole number, such as 512.")
    return int(max_length)
