"""From questions in columns to answers streaming into them, whatever asked: the composer, a retry, an edit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from studio.auth.identity import User
from studio.auth.published import check_may_use
from studio.chat import checkpoints
from studio.chat.columns import Column
from studio.chat.side_by_side import Answer, stream_columns
from studio.chat.turns import History, conversation, text_of, with_answer
from studio.context import Studio
from studio.engine.client import Delta, Message
from studio.engine.supervisor import POLL_SECONDS
from studio.ui.format import badge
from studio.ui.fragments import render_loading


@dataclass(frozen=True)
class Question:
    """What one column is asked. `history` ends with the question, or with the answer that is to go on.

    hidden: what the badge shows instead of the model's name in a blind round.
    """

    history: History
    chosen: str
    hidden: str = ""

    @property
    def continues(self) -> bool:
        return bool(self.history) and self.history[-1]["role"] == "assistant"

    def answered(self, answer: Answer) -> History:
        model = "" if self.hidden else answer.model
        if not answer.text and not answer.done:
            return self.history  # under a question without an answer Gradio shows that one is coming
        if not self.continues:
            return with_answer(self.history, answer.text, model)
        return with_answer(self.history[:-1], text_of(self.history[-1]["content"]) + answer.text, model)

    def badge(self, answer: Answer) -> str:
        if not self.hidden:
            return badge(answer, self.chosen)
        return badge(replace(answer, model=self.hidden, timings={}), self.chosen, "speed is not told in a blind round")


@dataclass(frozen=True)
class Shown:
    """What the page shows of one column by now."""

    history: History
    badge: str
    answer: Answer


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
        settings: Sequence[Any],
        first: dict[Any, Any],
        last: Callable[[dict[int, Shown]], dict[Any, Any]],
    ) -> AsyncIterator[dict[Any, Any]]:
        """Updates of the page. `first` goes with the first of them, what `last` makes of the whole with the last.

        What is on the page already is not sent again: a browser draws each column that it gets.
        """
        shown: dict[int, Shown] = {}
        news = {**first, **self.busy(True)}
        try:
            async with aclosing(answers(self.studio, person, questions, settings)) as snapshots:
                async for now in snapshots:
                    if update := {**news, **self.changes(shown, now)}:
                        yield update
                    shown, news = now, {}
        except Exception:
            if not news:
                yield self.busy(False)
            raise
        cut = {self.cells[i].go_on: gr.Button(visible=each.answer.unfinished) for i, each in shown.items()}
        yield {**self.busy(False), **cut, **last(shown)}

    def changes(self, before: Mapping[int, Shown], now: Mapping[int, Shown]) -> dict[Any, Any]:
        drawn: dict[Any, Any] = {}
        for i, each in now.items():
            if i not in before or each.history != before[i].history:
                drawn[self.cells[i].bot] = each.history
            if i not in before or each.badge != before[i].badge:
                drawn[self.cells[i].badge] = each.badge
        return drawn


async def answers(
    studio: Studio, person: User, questions: Mapping[int, Question], settings: Sequence[Any]
) -> AsyncGenerator[dict[int, Shown], None]:
    """Ask all columns at once; yield what each shows, whenever something came, the last time complete.

    settings: system prompt, temperature, top_p, max_tokens, seed. While the engine is loading, the badges say how far
    it is. Raises UserError before anything else for a model that `person` may not use.
    """
    for question in questions.values():
        check_may_use(studio, person, question.chosen)
    yield {i: Shown(each.history, each.badge(Answer()), Answer()) for i, each in questions.items()}
    async for phase in phases(studio):
        yield {i: Shown(each.history, phase, Answer()) for i, each in questions.items()}
    system, *rest = settings
    streams = [
        one_answer(studio, each, conversation(each.history, system), rest, person.client) for each in questions.values()
    ]
    async with aclosing(stream_columns(streams)) as snapshots:
        async for snapshot in snapshots:
            yield {
                i: Shown(each.answered(answer), each.badge(answer), answer)
                for (i, each), answer in zip(questions.items(), snapshot, strict=True)
            }


async def phases(studio: Studio) -> AsyncIterator[str]:
    """How far the loading engine is, whenever that changes; ends as soon as it can answer or has given up."""
    before = None
    while not studio.engine.ready.is_set() and studio.engine.status.state not in ("failed", "parked"):
        if (now := studio.engine.status) != before:
            yield render_loading(now)
            before = now
        await asyncio.sleep(POLL_SECONDS / 2)


async def one_answer(
    studio: Studio, question: Question, messages: list[Message], settings: Sequence[Any], client: str | None = None
) -> AsyncIterator[Delta]:
    """client: who asks, for the engine's fairness; None where that is the owner."""
    temperature, top_p, max_tokens, seed = settings
    await studio.engine.wait_until_ready()
    model = await asyncio.to_thread(checkpoints.resident, studio.client, studio.home, question.chosen)
    body: dict[str, Any] = {"temperature": temperature, "top_p": top_p, "max_tokens": int(max_tokens)}
    if client is not None:
        body["user"] = client
    if seed is not None and seed >= 0:
        body["seed"] = int(seed)
    if question.continues:
        body |= {"add_generation_prompt": False, "continue_final_message": True}  # as vLLM names it
    async for delta in studio.client.chat(model, messages, **body):
        yield delta
