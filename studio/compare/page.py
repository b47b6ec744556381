"""Comparing at large: what the votes say of each adapter, and a list of prompts put to several of them at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from core.data.samples import SAMPLES
from studio.compare import handlers, push_page
from studio.compare.view import render_scores
from studio.context import Studio
from studio.engine.client import BASE
from studio.ui.download_button import Downloads
from studio.ui.events import bind

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True)
class ComparePanels:
    models: gr.Dropdown  # of the list of prompts
    votes: gr.Accordion  # shown to those who may vote
    for_owner: list[Any]  # shown to the owner: what takes the votes away, and the list of prompts


def build(studio: Studio, settings: list[Any], vote_events: list[Any], downloads: Downloads) -> ComparePanels:
    """settings: the inputs of GenerationSettings. vote_events: the events after which the scores are drawn anew."""
    votes_panel, votes_export = build_votes(studio, vote_events, downloads)
    list_panel, models = build_prompt_list(studio, settings, downloads)
    return ComparePanels(models, votes_panel, [votes_export, list_panel])


def build_votes(studio: Studio, vote_events: list[Any], downloads: Downloads) -> tuple[gr.Accordion, gr.Column]:
    """Returns the panel, and the part of it that takes the votes away."""
    with gr.Accordion("Votes", open=False, visible=False, elem_id="votes") as panel:
        scores = gr.HTML(render_scores([]), elem_id="vote-results")
        with gr.Column(visible=False) as export_part:
            with gr.Row(elem_classes="actions"):
                export = gr.Button("Download for DPO (JSONL)", size="sm", elem_id="export-votes")
            push_page.build(studio)
    for trigger in (panel.expand, *(event.success for event in vote_events)):
        trigger(bind(handlers.show_scores, studio), None, scores, queue=False, **QUIET)
    downloads.on(export, bind(handlers.export_preferences, studio))
    return panel, export_part


def build_prompt_list(studio: Studio, settings: list[Any], downloads: Downloads) -> tuple[gr.Accordion, gr.Dropdown]:
    """Returns the panel, and the choice of models in it."""
    with gr.Accordion("Ask a list of prompts", open=False, visible=False, elem_id="prompt-list") as panel:
        prompts = gr.Textbox(
            "\n".join(next(iter(SAMPLES.values())).prompts),
            lines=4,
            max_lines=12,
            label="Prompts, one a line",
            elem_id="prompts",
        )
        models = gr.Dropdown([BASE], value=[BASE], multiselect=True, label="Models", elem_id="list-models")
        with gr.Row(elem_classes="actions"):
            ask = gr.Button("Ask all", variant="primary", size="sm", elem_id="ask-list")
            stop = gr.Button("Stop", size="sm", elem_id="stop-list")
            as_csv = gr.Button("Download CSV", size="sm", elem_id="list-csv")
            as_jsonl = gr.Button("Download JSONL", size="sm", elem_id="list-jsonl")
        answers = gr.HTML("", elem_id="list-answers")
    results = gr.State()
    inputs = [prompts, models, *settings]
    asking = ask.click(bind(handlers.ask_prompt_list, studio), inputs, [answers, results], concurrency_limit=2, **QUIET)
    stop.click(None, None, None, cancels=[asking], api_visibility="private")
    downloads.on(as_csv, bind(handlers.export_csv), [results])
    downloads.on(as_jsonl, bind(handlers.export_jsonl), [results, *settings])
    return panel, models
