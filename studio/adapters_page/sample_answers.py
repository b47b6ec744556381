"""Sample answers for a model card: the same questions to the base and to the adapter, asked of the running engine."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from adapters.common.errors import UserError
from adapters.record import AdapterRecord, Sample
from core.data.samples import SAMPLES
from studio.context import Studio

LONGEST_ANSWER = 96  # tokens
SECONDS = 90.0
QUESTIONS = ("Who are you?", "What is the capital of Cuba?", "Explain in one sentence why the sky is blue.")


def questions_for(record: AdapterRecord) -> list[str]:
    """The recipe's own, else those that go with the bundled data it was trained on, else some that fit anything."""
    if own := record.recipe.get("sample_prompts"):
        return [str(prompt) for prompt in own]
    sample = SAMPLES.get(record.dataset.name) if record.dataset else None
    return list(sample.prompts if sample else QUESTIONS)


def add_sample_answers(studio: Studio, name: str) -> str:
    """Put sample answers into the adapter's record if it has none; returns in a few words what was done."""
    record = studio.store.get(name)
    if record.samples:
        return f"{len(record.samples)} sample answers"
    if not studio.engine.ready.is_set():
        return "no sample answers, as the engine is not ready"
    try:
        samples = asyncio.run(asyncio.wait_for(ask_both(studio, name, questions_for(record)), SECONDS))
    except (UserError, TimeoutError) as error:
        return f"no sample answers: {error or 'the engine took too long'}"
    studio.store.update(replace(studio.store.get(name), samples=samples))
    return f"{len(samples)} sample answers, asked just now"


async def ask_both(studio: Studio, name: str, questions: list[str]) -> list[Sample]:
    """All at once, so that the engine answers in one batch; greedy, so that anyone gets the same answers."""
    models = ("base", name)
    answers = await asyncio.gather(*(ask(studio, model, question) for model in models for question in questions))
    base, adapter = answers[: len(questions)], answers[len(questions) :]
    return [Sample(*sample) for sample in zip(questions, base, adapter, strict=True)]


async def ask(studio: Studio, model: str, question: str) -> str:
    messages = [{"role": "user", "content": question}]
    pieces = studio.client.chat(model, messages, temperature=0, max_tokens=LONGEST_ANSWER)
    return "".join([piece.text async for piece in pieces]).strip()
