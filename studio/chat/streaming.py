"""Answers on their way into the columns of the page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import gradio as gr

from studio.answers.ask import ColumnView, GenerationSettings, Question, ask_columns
from studio.auth.identity import User
from studio.chat.columns import Column
from studio.chat.components import ChatComponents
from studio.context import Studio

Updates = AsyncIterator[dict[Any, Any]]
Views = dict[int, ColumnView]


async def stream_into_columns(
    studio: Studio,
    chat: ChatComponents,
    user: User,
    questions: Mapping[int, Question],
    settings: GenerationSettings,
    first: dict[Any, Any],
    last: Callable[[Views], dict[Any, Any]],
) -> Updates:
    """Ask the columns; yield updates of the page. `first` goes with the first one, `last(views)` with the last one.

    What is on the page already is not sent again: a browser draws each column that it gets.
    """
    shown: Views = {}
    pending = {**first, **chat.composer.answering(True)}
    try:
        async with aclosing(ask_columns(studio, user, questions, settings)) as snapshots:
            async for views in snapshots:
                if update := {**pending, **changes(chat.columns, shown, views)}:
                    yield update
                shown, pending = views, {}
    except Exception:
        if not pending:
            yield chat.composer.answering(False)
        raise
    can_continue = {
        chat.columns[i].continue_button: gr.Button(visible=view.answer.is_cut_off) for i, view in shown.items()
    }
    yield {**chat.composer.answering(False), **can_continue, **last(shown)}


def changes(columns: Sequence[Column], before: Views, now: Views) -> dict[Any, Any]:
    updates: dict[Any, Any] = {}
    for i, view in now.items():
        if i not in before or view.history != before[i].history:
            updates[columns[i].chatbot] = view.history
        if i not in before or view.badge != before[i].badge:
            updates[columns[i].badge] = view.badge
    return updates
