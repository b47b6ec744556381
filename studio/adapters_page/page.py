"""The Adapters tab: all adapters as cards; beneath, what can be done with the chosen one, and how to get another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.adapters_page import handlers, hub, import_files, merge
from studio.adapters_page.failures import AdapterFailures
from studio.adapters_page.overview import render_adapters
from studio.adapters_page.updates import Updates
from studio.auth.identity import UNAUTHENTICATED
from studio.auth.published import usable_adapters
from studio.context import Studio
from studio.ui.events import bind, bind_silently
from studio.ui.failures import bind_in_place, failure_slot
from studio.ui.html_events import clickable_html

# A refused confirmation empties the choice, and without one nothing is deleted.
CONFIRM = "(name) => name && confirm(`Delete the adapter ${name}? This cannot be undone.`) ? name : null"
NOT_CHOSEN = (
    '<div class="empty">Choose one here or press a button on its card: what can be done with it shows here.</div>'
)


@dataclass(frozen=True)
class AdaptersPage:
    """cards: drawn by the tick from render_adapters. chosen: the adapter that the tabs of `work` are about."""

    cards: gr.HTML
    chosen: gr.Dropdown
    work: gr.Tabs
    changes: list[Any]  # events after which the cards are not what they were
    updates: Updates
    failures: AdapterFailures


def build(studio: Studio) -> AdaptersPage:
    updates, failures = Updates(studio.store), AdapterFailures()
    # Nothing but what is published goes into the page that everyone gets; the first tick fills in the rest.
    cards = clickable_html(render_adapters(studio, UNAUTHENTICATED), "adapters-table")
    whose = gr.HTML(handlers.FOR_THE_OWNER, elem_id="adapters-who")
    access = hub.build_access()
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            gr.HTML("<h2>The chosen adapter</h2>")
            chosen = gr.Dropdown(
                usable_adapters(studio, UNAUTHENTICATED),
                value=None,
                label="Adapter",
                container=False,
                elem_id="chosen-adapter",
            )
            not_chosen = gr.HTML(NOT_CHOSEN)
            with gr.Column(visible=False) as panel, gr.Tabs(elem_id="adapter-work") as work:
                with gr.Tab("Push to the Hub", id="push"):
                    push = hub.build_push()
                with gr.Tab("Change", id="change", visible=False, elem_id="change-adapter") as change:
                    new_name = gr.Textbox(label="Name", elem_id="new-name", max_lines=1)
                    tags = gr.Textbox(label="Tags", placeholder="pirate, english", elem_id="adapter-tags", max_lines=1)
                    note = gr.Textbox(label="Note", placeholder="what it is good for", elem_id="adapter-note")
                    with gr.Row(elem_classes="actions"):
                        save_button = gr.Button("Save", size="sm", variant="primary", elem_id="save-adapter")
                        load_button = gr.Button("Load", size="sm", elem_id="load-adapter")
                        unload_button = gr.Button("Unload", size="sm", elem_id="unload-adapter")
                        delete_button = gr.Button("Delete", size="sm", variant="stop", elem_id="delete-adapter")
                    failed = failure_slot("change-failed")
                with gr.Tab("Merge", id="merge", visible=False) as merge_tab:
                    merged = merge.build(studio, chosen, failures)
        with gr.Column(scale=2, min_width=320):
            gr.HTML("<h2>Get another</h2>")
            with gr.Tabs(elem_id="other-adapters"):
                with gr.Tab("Pull from the Hub"):
                    pull = hub.build_pull()
                with gr.Tab("Import files", visible=False) as import_tab:
                    imported = import_files.build(studio)
                with gr.Tab("Newer upstream", visible=False) as updates_tab:
                    update_list = hub.build_updates()

    private: dict[str, Any] = {"api_visibility": "private"}
    quiet = private | {"show_progress": "hidden", "queue": False}
    gr.on(None, bind_silently(handlers.show_tabs), None, [whose, change, merge_tab], **quiet)
    shown = [not_chosen, panel, new_name, tags, note, failed]
    chosen.change(bind(handlers.show_adapter, studio), chosen, shown, **quiet)
    save = bind_in_place(handlers.save_adapter, studio, failures, failed=failed)
    load = bind_in_place(handlers.load_adapter, studio, failures, failed=failed)
    unload = bind_in_place(handlers.unload_adapter, studio, failed=failed)
    delete = bind_in_place(handlers.delete_adapter, studio, failures, failed=failed)
    changes = [
        save_button.click(save, [chosen, new_name, tags, note], [chosen, failed], **private),
        load_button.click(load, chosen, failed, **private),
        unload_button.click(unload, chosen, failed, **private),
        delete_button.click(delete, chosen, [chosen, failed], js=CONFIRM, **private),
        *merged,
        *hub.connect(studio, chosen, access, push, pull, update_list, (import_tab, updates_tab), updates, failures),
        *imported,
    ]
    return AdaptersPage(cards, chosen, work, changes, updates, failures)
