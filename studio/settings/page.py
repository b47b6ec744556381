"""The Settings tab: its layout, and which handler each of its events has. The engine and access are parts of it."""

from __future__ import annotations

from typing import Any

import gradio as gr

from studio.context import Studio
from studio.html.templating import render
from studio.settings import engine_settings, handlers
from studio.settings.view import FACTS_LATER, STORAGE_LATER, render_base
from studio.ui.events import bind, bind_silently

CONFIRM = "() => confirm('Delete the checkpoints of all runs that have ended? They can then not be continued.')"


def build(studio: Studio, tab: gr.Tab) -> None:
    """`tab`: the one it lies in; what takes a while is looked up when that is first opened."""
    with gr.Row():
        with gr.Column(min_width=320):
            gr.HTML(render_base(studio.base), elem_id="base")
            notify = gr.Checkbox(
                False, label="Tell me when a run ends (a notification of this browser)", elem_id="notify"
            )
            sound = gr.Checkbox(False, label="Play a sound when a run ends", elem_id="sound")
            with gr.Column(visible=False) as owner_part:
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
    gr.HTML(render("settings/for_programs.html"))
    snippets = gr.HTML("", elem_id="snippets")
    confirmed = gr.Checkbox(False, label="Sure", visible="hidden")

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    gr.on(None, bind_silently(handlers.show_to_owner), None, [owner_part, machine], queue=False, **private)
    tab.select(bind(handlers.show_storage, studio), None, storage, **private)
    tab.select(bind(handlers.show_facts_once, studio), facts, facts, **private)
    examine.click(bind(handlers.show_facts, studio), None, facts, api_visibility="private")
    empty_trash.click(bind(handlers.empty_trash, studio), None, storage, **private)
    drop_checkpoints.click(bind(handlers.delete_old_checkpoints, studio), confirmed, storage, js=CONFIRM, **private)
    drop_cache.click(bind(handlers.clean_cache, studio), None, storage, **private)
    notify.input(None, notify, notify, js="(wanted) => studio.wantNotifications(wanted)", **private)
    gr.on(None, bind_silently(handlers.show_snippets), None, snippets, queue=False, **private)
    sound.input(None, sound, sound, js="(wanted) => studio.wantSound(wanted)", **private)
    gr.on(None, None, None, [notify, sound], js="() => studio.wanted()", queue=False, **private)
