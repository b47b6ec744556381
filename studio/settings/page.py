"""The Settings tab: its layout, and which handler each of its events has. The engine and access are parts of it."""

from __future__ import annotations

from typing import Any

import gradio as gr

from studio.context import Studio
from studio.html.templating import render
from studio.settings import engine_settings, handlers
from studio.settings.view import FACTS_LATER, STORAGE_LATER, render_base
from studio.ui.events import bind, bind_silently

PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
CONFIRM = "() => confirm('Delete the checkpoints of all runs that have ended? They can then not be continued.')"


def build_own(studio: Studio) -> None:
    """What each visitor sets for their own browser, and which base they chat with."""
    with gr.Row():
        with gr.Column(min_width=320):
            gr.HTML(render_base(studio.base), elem_id="base")
        with gr.Column(min_width=320):
            notify = gr.Checkbox(
                False, label="Tell me when a run ends (a notification of this browser)", elem_id="notify"
            )
            sound = gr.Checkbox(False, label="Play a sound when a run ends", elem_id="sound")
    notify.input(None, notify, notify, js="(wanted) => studio.wantNotifications(wanted)", **PRIVATE)
    sound.input(None, sound, sound, js="(wanted) => studio.wantSound(wanted)", **PRIVATE)
    gr.on(None, None, None, [notify, sound], js="() => studio.wanted()", queue=False, **PRIVATE)


def build_machine(studio: Studio, tab: gr.Tab) -> None:
    """Storage, engine and machine. They come last, because their tables arrive late and push away what is below.

    `tab`: the one they lie in; what takes a while is looked up when that is first opened.
    """
    with gr.Row():
        with gr.Column(min_width=320, visible=False) as owner_part:
            gr.HTML("<h2>Storage</h2>")
            storage = gr.HTML(STORAGE_LATER, elem_id="storage")
            with gr.Row(elem_classes="actions"):
                empty_trash = gr.Button("Empty the trash", size="sm", elem_id="empty-trash")
                drop_checkpoints = gr.Button("Delete old checkpoints", size="sm", elem_id="drop-checkpoints")
                drop_cache = gr.Button("Clean the cache", size="sm", elem_id="drop-cache")
            engine_settings.build(studio, tab)
        with gr.Column(min_width=320, visible=False) as machine:
            gr.HTML("<h2>This machine</h2>")
            facts = gr.HTML(FACTS_LATER, elem_id="facts")
            with gr.Row(elem_classes="actions"):
                examine = gr.Button("Look again", size="sm", elem_id="examine")
    confirmed = gr.Checkbox(False, label="Sure", visible="hidden")

    gr.on(None, bind_silently(handlers.show_to_owner), None, [owner_part, machine], queue=False, **PRIVATE)
    tab.select(bind(handlers.show_storage, studio), None, storage, **PRIVATE)
    tab.select(bind(handlers.show_facts_once, studio), facts, facts, **PRIVATE)
    examine.click(bind(handlers.show_facts, studio), None, facts, api_visibility="private")
    empty_trash.click(bind(handlers.empty_trash, studio), None, storage, **PRIVATE)
    drop_checkpoints.click(bind(handlers.delete_old_checkpoints, studio), confirmed, storage, js=CONFIRM, **PRIVATE)
    drop_cache.click(bind(handlers.clean_cache, studio), None, storage, **PRIVATE)


def build_snippets() -> None:
    """How programs ask this studio."""
    gr.HTML(render("settings/for_programs.html"))
    snippets = gr.HTML("", elem_id="snippets")
    gr.on(None, bind_silently(handlers.show_snippets), None, snippets, queue=False, **PRIVATE)
