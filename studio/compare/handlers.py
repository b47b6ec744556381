"""What the votes and the list of prompts do when somebody uses them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import asdict
from typing import Any

import gradio as gr

from adapters.common.errors import UserError
from studio.answers.ask import GenerationSettings, Question, stream_answer
from studio.answers.history import add_question
from studio.auth.identity import Role
from studio.auth.permissions import requires
from studio.compare import votes
from studio.compare.prompt_lists import PromptListResults, ask_prompts, prompts_of
from studio.compare.ranking import score_models
from studio.compare.view import render_answers, render_scores
from studio.context import Studio
from studio.engine.client import Delta


@requires(Role.USER)
def show_scores(studio: Studio) -> str:
    return render_scores(score_models(votes.read(studio.home)))


@requires(Role.OWNER)
def export_preferences(studio: Studio) -> str:
    rows, left_out = votes.preferences(votes.read(studio.home))
    if not rows:
        raise UserError("No vote says yet that one answer beats another to the same prompt.", "Vote first.")
    if left_out:
        gr.Info(f"{left_out} pairs are left out: their answers are equal, or answer different conversations.")
    return json.dumps(["preferences.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)])


@requires(Role.OWNER)
async def ask_prompt_list(
    studio: Studio, text: str | None, models: list[str] | None, *values: Any
) -> AsyncIterator[list[Any]]:
    """Ask all models all prompts, with the chat's system prompt and sampling (`values`)."""
    prompts = prompts_of(text)
    if not models:
        raise UserError("No model is chosen.", "Choose the base or some adapters.")
    settings = GenerationSettings(*values)

    def ask(model: str, prompt: str) -> AsyncIterator[Delta]:
        return stream_answer(studio, Question(add_question([], prompt), model), settings)

    async with aclosing(ask_prompts(prompts, models, ask)) as snapshots:
        async for results in snapshots:
            yield [render_answers(results), results]


@requires(Role.OWNER)
def export_csv(results: PromptListResults | None) -> str:
    return json.dumps(["answers.csv", existing(results).as_csv()])


@requires(Role.OWNER)
def export_jsonl(results: PromptListResults | None, *values: Any) -> str:
    settings = asdict(GenerationSettings(*values))
    return json.dumps(["answers.jsonl", existing(results).as_jsonl(settings)])


def existing(results: PromptListResults | None) -> PromptListResults:
    """Raises UserError where nothing was asked yet."""
    if results is None:
        raise UserError("There are no answers yet.", "Press “Ask all” first.")
    return results
