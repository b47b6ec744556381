"""Answers on their way into the columns of the page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.answers.ask import ColumnView, GenerationSettings, Question, ask_columns
from studio.auth.identity import User
from studio.chat.columns import Column
from studio.context import Studio


@dataclass(frozen=True)
class Asking:
    """What streams answers into the page's columns."""

    studio: Studio
    cells: Sequence[Column]
    send: gr.Button
    stop: gr.Button

    def busy(self, now: bool) -> dict[Any, Any]:
        """Stop stands where Send does while something is being answered."""
        return {self.send: gr.Button(visible=not now), self.stop: gr.Button(visible=now)}

    async def stream(
        self,
        person: User,
        questions: Mapping[int, Question],
        settings: GenerationSettings,
        first: dict[Any, Any],
        last: Callable[[dict[int, ColumnView]], dict[Any, Any]],
    ) -> AsyncIterator[dict[Any, Any]]:
        """Updates of the page. `first` goes with the first of them, what `last` makes of the whole with the last.

        What is on the page already is not sent again: a browser draws each column that it gets.
        """
        shown: dict[int, ColumnView] = {}
        news = {**first, **self.busy(True)}
        try:
            async with aclosing(ask_columns(self.studio, person, questions, settings)) as snapshots:
                async for now in snapshots:
                    if update := {**news, **self.changes(shown, now)}:
                        yield update
                    shown, news = now, {}
        except Exception:
            if not news:
                yield self.busy(False)
            raise
        cut = {self.cells[i].go_on: gr.Button(visible=each.answer.is_cut_off) for i, each in shown.items()}
        yield {**self.busy(False), **cut, **last(shown)}

    def changes(self, before: Mapping[int, ColumnView], now: Mapping[int, ColumnView]) -> dict[Any, Any]:
        drawn: dict[Any, Any] = {}
        for i, each in now.items():
            if i not in before or each.history != before[i].history:
                drawn[self.cells[i].bot] = each.history
            if i not in before or each.badge != before[i].badge:
                drawn[self.cells[i].badge] = each.badge
        return drawn
