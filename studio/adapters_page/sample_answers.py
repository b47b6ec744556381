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
        return [str(each) for each in own]
    sample = SAMPLES.get(record.dataset.name) if record.dataset else None
    return list(sample.prompts if sample else QUESTIONS)


def fill_in(studio: Studio, name: str) -> str:
    """Put sample answers into the adapter's record if it has none; says in a few words what was done."""
    record = studio.store.get(name)
    if record.samples:
        return f"{len(record.samples)} sample answers"
    if not studio.engine.ready.is_set():
        return "no sample answers, as the engine is not ready"
    try:
        samples = asyncio.run(asyncio.wait_for(asked(studio, name, questions_for(record)), SECONDS))
    except (UserError, TimeoutError) as error:
        return f"no sample answers: {error or 'the engine took too long'}"
    studio.store.update(replace(studio.store.get(name), samples=samples))
    return f"{len(samples)} sample answers, asked just now"


async def asked(studio: Studio, name: str, questions: list[str]) -> list[Sample]:
    """All at once: the engine answers them in one batch. Greedy, so that the card says what can be had again."""
    models = ("base", name)
    answers = await asyncio.gather(*(answer(studio, model, each) for model in models for each in questions))
    base, adapter = answers[: len(questions)], answers[len(questions) :]
    return [Sample(*each) for each in zip(questions, base, adapter, strict=True)]


async def answer(studio: Studio, model: str, question: str) -> str:
    messages = [{"role": "user", "content": question}]
    pieces = studio.client.chat(model, messages, temperature=0, max_tokens=LONGEST_ANSWER)
    return "".join([each.text async for each in pieces]).strip()
