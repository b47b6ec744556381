"""From questions to streamed answers, whatever asks: the composer, a retry, an edit, a list of prompts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from studio.answers import checkpoints
from studio.answers.badge import badge
from studio.answers.history import History, add_answer, text_of, to_messages
from studio.answers.streams import StreamedAnswer, merge_streams
from studio.auth.identity import User
from studio.auth.published import check_may_use
from studio.context import Studio
from studio.engine.client import Delta
from studio.engine.supervisor import POLL_SECONDS
from studio.html.fragments import render_loading


@dataclass(frozen=True)
class GenerationSettings:
    """System prompt and sampling. The fields are in the order of the page's inputs, and named as records name them."""

    system: str | None
    temperature: float
    top_p: float
    max_tokens: float
    seed: float | None

    def request_body(self) -> dict[str, Any]:
        """The sampling part of a chat completion request."""
        body = {"temperature": self.temperature, "top_p": self.top_p, "max_tokens": int(self.max_tokens)}
        if self.seed is not None and self.seed >= 0:
            body["seed"] = int(self.seed)
        return body


@dataclass(frozen=True)
class Question:
    """What one model is asked. `history` ends with the question, or with the answer that the model continues.

    model: the base, an adapter, or a run of which the newest checkpoint answers (studio/answers/checkpoints.py).
    alias: what the badge shows instead of the model's name in a blind round.
    """

    history: History
    model: str
    alias: str = ""

    @property
    def continues_answer(self) -> bool:
        return bool(self.history) and self.history[-1]["role"] == "assistant"

    def history_with(self, answer: StreamedAnswer) -> History:
        model = "" if self.alias else answer.model
        if not answer.text and not answer.done:
            return self.history  # under a question without an answer Gradio shows that one is coming
        if not self.continues_answer:
            return add_answer(self.history, answer.text, model)
        return add_answer(self.history[:-1], text_of(self.history[-1]["content"]) + answer.text, model)

    def badge(self, answer: StreamedAnswer) -> str:
        if not self.alias:
            return badge(answer, self.model)
        return badge(replace(answer, model=self.alias, timings={}), self.model, "speed is not told in a blind round")


@dataclass(frozen=True)
class ColumnView:
    """What the page shows of one column by now."""

    history: History
    badge: str
    answer: StreamedAnswer


async def ask_columns(
    studio: Studio, person: User, questions: Mapping[int, Question], settings: GenerationSettings
) -> AsyncGenerator[dict[int, ColumnView], None]:
    """Ask all columns at once; yield what each shows, whenever something came. The last views are complete.

    While the engine is loading, the badges say how far it is.
    Raises UserError before anything else for a model that `person` may not use.
    """
    for question in questions.values():
        check_may_use(studio, person, question.model)
    nothing = StreamedAnswer()
    yield {i: ColumnView(question.history, question.badge(nothing), nothing) for i, question in questions.items()}
    async for phase in loading_phases(studio):
        yield {i: ColumnView(question.history, phase, nothing) for i, question in questions.items()}
    streams = [stream_answer(studio, question, settings, person.client) for question in questions.values()]
    async with aclosing(merge_streams(streams)) as snapshots:
        async for answers in snapshots:
            yield {
                i: ColumnView(question.history_with(answer), question.badge(answer), answer)
                for (i, question), answer in zip(questions.items(), answers, strict=True)
            }


async def loading_phases(studio: Studio) -> AsyncIterator[str]:
    """How far the loading engine is, whenever that changes; ends as soon as it can answer or has given up."""
    before = None
    while not studio.engine.ready.is_set() and studio.engine.status.state not in ("failed", "parked"):
        if (now := studio.engine.status) != before:
            yield render_loading(now)
            before = now
        await asyncio.sleep(POLL_SECONDS / 2)


async def stream_answer(
    studio: Studio, question: Question, settings: GenerationSettings, user: str | None = None
) -> AsyncIterator[Delta]:
    """user: who asks, for the engine's fairness; None where that is the owner."""
    messages = to_messages(question.history, settings.system)
    await studio.engine.wait_until_ready()
    model = await asyncio.to_thread(checkpoints.load_model, studio.client, studio.home, question.model)
    body = settings.request_body()
    if user is not None:
        body["user"] = user
    if question.continues_answer:
        body |= {"add_generation_prompt": False, "continue_final_message": True}  # as vLLM names it
    async for delta in studio.client.chat(model, messages, **body):
        yield delta
