"""Adapters: all of them as cards; beneath, what can be done with the chosen one. The Hub's part is in hub.py."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr

from adapters.bases import why_not_base
from adapters.common.errors import UserError
from adapters.compat import BaseFacts, inspect, why_not_config, why_not_shapes
from adapters.folder_layout import CONFIG_FILE
from adapters.record import RECORD_FILE, AdapterRecord
from core.models.base_facts import with_shapes
from studio.adapters_page import cards as adapter_cards
from studio.adapters_page import merge as merging
from studio.adapters_page import merged_models
from studio.adapters_page.cards import Standing
from studio.adapters_page.failures import Troubles
from studio.adapters_page.same_base import base_here
from studio.adapters_page.updates import Updates
from studio.auth.identity import LOCAL_OWNER, UNAUTHENTICATED, Role, User, user_of
from studio.auth.published import check_may_use, usable_adapters
from studio.context import Studio
from studio.ui.events import told
from studio.ui.failures import failure_slot, in_place
from studio.ui.html_events import clickable_html

# A refused confirmation empties the choice, and without one nothing is deleted.
CONFIRM = "(name) => name && confirm(`Delete the adapter ${name}? This cannot be undone.`) ? name : null"
WHO = '<p class="said">Training, loading, renaming, merging and deleting adapters is for the owner of this studio.</p>'
NOT_CHOSEN = (
    '<div class="empty">Choose one here or press a button on its card: what can be done with it shows here.</div>'
)


@dataclass(frozen=True)
class AdaptersPage:
    """cards: drawn by the tick from `overview`. chosen: what the tabs of `work` are about.

    push, others, credentials: where hub.py builds its parts.
    """

    cards: gr.HTML
    credentials: gr.Column
    chosen: gr.Dropdown
    work: gr.Tabs
    push: gr.Tab
    others: gr.Column
    changes: list[Any]  # events after which the cards are not what they were
    updates: Updates
    delete: Callable[[str], None]
    troubles: Troubles


def build(studio: Studio) -> AdaptersPage:
    updates = Updates(studio.store)
    troubles = Troubles()
    # Nothing but what is published goes into the page that everyone gets; the first tick fills in the rest.
    cards = clickable_html(overview(studio, UNAUTHENTICATED), "adapters-table")
    who = gr.HTML(WHO, elem_id="adapters-who")
    credentials = gr.Column()
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
            none = gr.HTML(NOT_CHOSEN)
            with gr.Column(visible=False) as panel, gr.Tabs(elem_id="adapter-work") as work:
                push = gr.Tab("Push to the Hub", id="push")
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
                with gr.Tab("Merge", id="merge", visible=False) as merge:
                    merged = merging.build(studio, chosen, troubles)
        others = gr.Column(scale=2, min_width=320)

    def arrive(request: gr.Request) -> list[Any]:
        owner = user_of(request).role is Role.OWNER
        return ["" if owner else WHO, gr.Tab(visible=owner), gr.Tab(visible=owner)]

    def details(request: gr.Request, name: str | None) -> list[Any]:
        shown = [gr.HTML(visible=not name), gr.Column(visible=bool(name))]
        if not name:
            return [*shown, "", "", "", ""]
        check_may_use(studio, user_of(request), name)
        record = studio.store.get(name)
        return [*shown, record.name, ", ".join(record.tags), record.note, ""]

    def save(name: str | None, wanted: str | None, words: str | None, about: str | None) -> gr.Dropdown:
        name = required(name)
        if text(wanted) != name:
            forget(studio, name)
        record = studio.store.rename(name, text(wanted))
        if record.name != name:
            troubles.forget(name)
        studio.store.update(replace(record, tags=split(text(words)), note=text(about)))
        gr.Info(f"{record.name} is saved.")
        return gr.Dropdown(choices=usable_adapters(studio, LOCAL_OWNER), value=record.name)

    def load(name: str | None) -> None:
        name = required(name)
        with troubles.noting(name, "Loading"):
            studio.client.load(name, str(studio.store.path(name)))
        gr.Info(f"{name} is loaded.")

    def unload(name: str | None) -> None:
        studio.client.unload(required(name))
        gr.Info(f"{name} is unloaded; a chat that asks for it loads it again.")

    def delete(name: str | None) -> Any:
        if name is None:  # the confirmation was refused
            return gr.skip()
        remove(required(name))
        return gr.Dropdown(choices=usable_adapters(studio, LOCAL_OWNER), value=None)

    def remove(name: str) -> None:
        forget(studio, name)
        studio.store.delete(name)
        troubles.forget(name)
        gr.Info(f"{name} is deleted.")

    private: dict[str, Any] = {"api_visibility": "private"}
    quiet = private | {"show_progress": "hidden", "queue": False}
    gr.on(None, arrive, None, [who, change, merge], **quiet)
    chosen.change(told(details), chosen, [none, panel, new_name, tags, note, failed], **quiet)
    changes = [
        save_button.click(in_place(save, failed), [chosen, new_name, tags, note], [chosen, failed], **private),
        load_button.click(in_place(load, failed), chosen, failed, **private),
        unload_button.click(in_place(unload, failed), chosen, failed, **private),
        delete_button.click(in_place(delete, failed), chosen, [chosen, failed], js=CONFIRM, **private),
        *merged,
    ]
    return AdaptersPage(cards, credentials, chosen, work, push, others, changes, updates, remove, troubles)


def overview(studio: Studio, person: User = LOCAL_OWNER, page: AdaptersPage | None = None) -> str:
    """The cards of the adapters that `person` may use; what is broken or has failed is the owner's to know."""
    resident = {each["name"]: each.get("where", "slot") for each in studio.engine.status.adapters}
    may_use = set(usable_adapters(studio, person))
    owner = person.role is Role.OWNER
    newer = page.updates.newer() if page and owner else {}
    shown = [
        Standing(
            record,
            resident.get(record.name, "disk"),
            *unusable(studio, record),
            page.troubles.of(record.name) if page and owner else "",
            newer.get(record.name, ""),
            "in the cache" if owner and merged_models.is_there(studio.home, record) else "",
        )
        for record in studio.store.list()
        if record.name in may_use
    ]
    return adapter_cards.cards(shown, studio.store.broken() if owner else [], person.role)


def unusable(studio: Studio, record: AdapterRecord) -> tuple[str, str]:
    """Why the engine cannot serve it, as far as its files tell, and of which base it is not, when that is all.

    Both are "" when nothing speaks against it.
    """
    folder, base = studio.store.root / record.name, base_here(studio)
    try:
        changed = tuple((folder / each).stat().st_mtime_ns for each in (CONFIG_FILE, RECORD_FILE))
        return _unusable(folder, changed, *((base.id, base.fingerprint) if base else ("", None)))
    except (UserError, OSError):
        return "", ""  # it is being replaced or deleted: the next look tells


@lru_cache(maxsize=512)
def _unusable(folder: Path, changed: tuple[int, ...], base: str, fingerprint: str | None) -> tuple[str, str]:
    """`changed` is there so that new files are looked at anew."""
    facts = inspect(folder)
    if reason := why_not_config(facts.config):
        return f"Cannot be used here. {reason}", ""
    if not base:
        return "", ""
    named = why_not_base(facts.origin, base, fingerprint)
    shaped = why_not_shapes(facts, with_shapes(BaseFacts(base, fingerprint), facts))
    said = f"Cannot be used here. {named or shaped}" if named or shaped else ""
    return said, base if named and not shaped else ""


def text(given: str | None) -> str:
    """What is in a text box: Gradio says None for one that was never touched."""
    return (given or "").strip()


def split(words: str) -> list[str]:
    return list(dict.fromkeys(each.strip().lstrip("#") for each in words.split(",") if each.strip(" #")))


def required(name: str | None) -> str:
    if not name:
        raise UserError("No adapter is chosen.", "Choose one in the list above first.")
    return name


def forget(studio: Studio, name: str) -> None:
    """Unload an adapter that is about to go by `name` no longer, if the engine has it: before its files go.

    One that does not answer has nothing to unload: it starts with none, and compares what it has with what is here.
    """
    if any(each["name"] == name for each in studio.engine.status.adapters):
        with suppress(UserError):
            studio.client.unload(name)
