"""Comparing at large: what the votes say of each adapter, and a list of prompts put to several of them at once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from adapters.common.errors import UserError
from core.data.samples import SAMPLES
from studio.answers.ask import GenerationSettings, Question, stream_answer
from studio.answers.history import add_question
from studio.chat.settings import NAMES, ChatSettings
from studio.compare import push_page, votes
from studio.compare.prompt_lists import Results, ask_all, prompts_of
from studio.compare.ranking import Standing, standings
from studio.context import Studio
from studio.engine.client import BASE, Delta
from studio.ui.download_button import Downloads
from studio.ui.events import told
from studio.ui.fragments import render_table

NO_VOTES = (
    '<div class="empty">No votes yet. Show two or more columns, ask something, and say which answer is better; '
    "<b>Blind</b> hides the names until then.</div>"
)
ABOUT = (
    "<p class='note'>The rate is of the decided pairs, with its 95 % Wilson interval. The rating is Bradley-Terry's on "
    "Elo's scale (mean 0, 400 points are odds of 10 to 1) ± one standard error; it needs wins and losses that connect "
    "all models.</p>"
)


@dataclass(frozen=True)
class Comparing:
    chosen: gr.Dropdown  # the models of the prompt list
    votes: gr.Accordion  # for those who may vote
    owners: list[Any]  # what is the owner's: taking the votes away, and the prompt list


def build(studio: Studio, settings: ChatSettings, voted: list[Any], downloads: Downloads) -> Comparing:
    """`voted`: the events after which the results are drawn anew."""
    with gr.Accordion("Votes", open=False, visible=False, elem_id="votes") as votes_panel:
        results = gr.HTML(NO_VOTES, elem_id="vote-results")
        with gr.Column(visible=False) as taking:
            with gr.Row(elem_classes="actions"):
                export = gr.Button("Download for DPO (JSONL)", size="sm", elem_id="export-votes")
            push_page.build(studio)
    with gr.Accordion("Ask a list of prompts", open=False, visible=False, elem_id="prompt-list") as lists_panel:
        prompts = gr.Textbox(
            "\n".join(next(iter(SAMPLES.values())).prompts),
            lines=4,
            max_lines=12,
            label="Prompts, one a line",
            elem_id="prompts",
        )
        chosen = gr.Dropdown([BASE], value=[BASE], multiselect=True, label="Models", elem_id="list-models")
        with gr.Row(elem_classes="actions"):
            ask = gr.Button("Ask all", variant="primary", size="sm", elem_id="ask-list")
            stop = gr.Button("Stop", size="sm", elem_id="stop-list")
            as_csv = gr.Button("Download CSV", size="sm", elem_id="list-csv")
            as_jsonl = gr.Button("Download JSONL", size="sm", elem_id="list-jsonl")
        answers = gr.HTML("", elem_id="list-answers")
    held: gr.State = gr.State()

    def count() -> str:
        return votes_view(standings(votes.read(studio.home)))

    def preferences() -> str:
        rows, left_out = votes.preferences(votes.read(studio.home))
        if not rows:
            raise UserError("No vote says yet that one answer beats another to the same prompt.", "Vote first.")
        if left_out:
            gr.Info(f"{left_out} pairs are left out: their answers are equal, or answer different conversations.")
        return json.dumps(["preferences.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)])

    async def put(text: str | None, models: list[str] | None, *given: Any) -> AsyncIterator[list[Any]]:
        """All prompts to all models, with the chat's system prompt and sampling."""
        listed = prompts_of(text)
        if not models:
            raise UserError("No model is chosen.", "Choose the base or some adapters.")
        every = partial(one_prompt, studio, GenerationSettings(*given))
        async with aclosing(ask_all(listed, models, every)) as snapshots:
            async for snapshot in snapshots:
                yield [snapshot.html(), snapshot]

    def csv_file(found: Results | None) -> str:
        return json.dumps(["answers.csv", there(found).as_csv()])

    def jsonl_file(found: Results | None, *given: Any) -> str:
        return json.dumps(["answers.jsonl", there(found).as_jsonl(dict(zip(NAMES, given, strict=True)))])

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    for trigger in (votes_panel.expand, *[event.success for event in voted]):
        trigger(told(count), None, results, queue=False, **quiet)
    asking = ask.click(told(put), [prompts, chosen, *settings.all], [answers, held], concurrency_limit=2, **quiet)
    stop.click(None, None, None, cancels=[asking], api_visibility="private")
    downloads.on(export, preferences)
    downloads.on(as_csv, csv_file, [held])
    downloads.on(as_jsonl, jsonl_file, [held, *settings.all])
    return Comparing(chosen, votes_panel, [taking, lists_panel])


def one_prompt(studio: Studio, settings: GenerationSettings, model: str, prompt: str) -> AsyncIterator[Delta]:
    return stream_answer(studio, Question(add_question([], prompt), model), settings)


def there(found: Results | None) -> Results:
    if found is None:
        raise UserError("There are no answers yet.", "Press “Ask all” first.")
    return found


def votes_view(rows: list[Standing]) -> str:
    if not rows:
        return NO_VOTES
    head = ("Model", "Wins", "Losses", "Ties", "All bad", "Rate", "Rating")
    return f"{render_table(head, [(each.model, *figures(each)) for each in rows])}{ABOUT}"


def figures(each: Standing) -> tuple[Any, ...]:
    rate = rating = "–"
    if each.rate is not None and each.interval is not None:
        rate = f"{each.rate:.0%} ({each.interval[0]:.0%} to {each.interval[1]:.0%})"
    if each.rating is not None and each.error is not None:
        rating = f"{each.rating:+.0f} ± {each.error:.0f}"
    return each.wins, each.losses, each.ties, each.bad, rate, rating
