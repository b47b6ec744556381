"""The same list of prompts through several models at once, as a table, CSV and JSON Lines."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from adapters.common.errors import UserError
from studio.answers.streams import StreamedAnswer, merge_streams
from studio.engine.client import Delta

MAX_PROMPTS = 200
MAX_CONCURRENT = 6  # requests: enough for the engine's batch, and chat still gets in between
FRAME_SECONDS = 0.5


@dataclass(frozen=True)
class PromptListResults:
    """answers[i][j]: the answer of models[j] to prompts[i]; None while it is still to come."""

    prompts: tuple[str, ...]
    models: tuple[str, ...]
    answers: tuple[tuple[StreamedAnswer | None, ...], ...]

    @property
    def done(self) -> int:
        return sum(answer is not None for row in self.answers for answer in row)

    @property
    def total(self) -> int:
        return len(self.prompts) * len(self.models)

    @property
    def failed(self) -> int:
        return sum(bool(answer and answer.error) for row in self.answers for answer in row)

    def as_csv(self) -> str:
        """One line per prompt, one column per model. A failed answer is an empty cell; the JSON Lines say why."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["prompt", *self.models])
        for prompt, row in zip(self.prompts, self.answers, strict=True):
            writer.writerow([prompt, *(answer.text if answer and not answer.error else "" for answer in row)])
        return text.getvalue()

    def as_jsonl(self, settings: dict[str, Any]) -> str:
        """One line per answer, with the model that really gave it."""
        lines = []
        for prompt, row in zip(self.prompts, self.answers, strict=True):
            for model, answer_or_none in zip(self.models, row, strict=True):
                answer = answer_or_none or StreamedAnswer(error="not answered")
                record = {
                    "prompt": prompt,
                    "asked": model,
                    "model": answer.model or None,
                    "answer": None if answer.error else answer.text,
                    "error": answer.error or None,
                    "finish_reason": answer.finish_reason,
                    "completion_tokens": answer.usage.get("completion_tokens"),
                    **settings,
                }
                lines.append(json.dumps(record, ensure_ascii=False) + "\n")
        return "".join(lines)


def prompts_of(text: str | None) -> tuple[str, ...]:
    """One prompt a line, empty lines left out. Raises UserError for none, or for too many."""
    prompts = tuple(line.strip() for line in (text or "").splitlines() if line.strip())
    if not prompts:
        raise UserError("The list has no prompts.", "Write one prompt a line.")
    if len(prompts) > MAX_PROMPTS:
        raise UserError(f"The list has {len(prompts)} prompts; {MAX_PROMPTS} are the most.", "Shorten it.")
    return prompts


async def ask_prompts(
    prompts: Sequence[str],
    models: Sequence[str],
    ask: Callable[[str, str], AsyncIterator[Delta]],
    frame: float = FRAME_SECONDS,
) -> AsyncGenerator[PromptListResults, None]:
    """Ask every model every prompt, by `ask(model, prompt)`, MAX_CONCURRENT at a time; yield what has come so far.

    Closing this iterator ends all requests. An answer that fails takes no other one with it.
    """
    free = asyncio.Semaphore(MAX_CONCURRENT)

    async def when_free(model: str, prompt: str) -> AsyncIterator[Delta]:
        async with free:
            async for delta in ask(model, prompt):
                yield delta

    streams = [when_free(model, prompt) for prompt in prompts for model in models]
    async with aclosing(merge_streams(streams, frame)) as snapshots:
        async for snapshot in snapshots:
            done = [answer if answer.done else None for answer in snapshot]
            width = len(models)
            rows = tuple(tuple(done[i : i + width]) for i in range(0, len(done), width))
            yield PromptListResults(tuple(prompts), tuple(models), rows)
