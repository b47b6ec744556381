"""Adapters: what there is, where it is resident; load, unload, rename, delete. The Hub's part is in hub.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from core.errors import UserError
from studio.context import Studio
from studio.pages.telling import told
from studio.people import LOCAL_OWNER, NOBODY, Person, Role
from studio.present import adapters_table
from studio.published import names_for


@dataclass(frozen=True)
class AdaptersPage:
    table: gr.HTML
    chosen: gr.Dropdown


def build(studio: Studio) -> AdaptersPage:
    # Nothing but what is published goes into the page that everyone gets; the first tick fills in the rest.
    table = gr.HTML(overview(studio, NOBODY), elem_id="adapters-table")
    with gr.Row(equal_height=True):
        chosen = gr.Dropdown(names_for(studio, NOBODY), value=None, label="Adapter", elem_id="chosen-adapter", scale=2)
        load_button = gr.Button("Load", elem_id="load-adapter", min_width=90)
        unload_button = gr.Button("Unload", elem_id="unload-adapter", min_width=90)
        new_name = gr.Textbox(label="New name", elem_id="new-name", scale=2)
        rename_button = gr.Button("Rename", elem_id="rename-adapter", min_width=90)
        delete_button = gr.Button("Delete", variant="stop", elem_id="delete-adapter", min_width=90)

    def refreshed(select: str | None = None, person: Person = LOCAL_OWNER) -> list[Any]:
        return [overview(studio, person), gr.Dropdown(choices=names_for(studio, person), value=select)]

    def load(name: str | None) -> list[Any]:
        name = required(name)
        studio.client.load(name, str(studio.store.path(name)))
        gr.Info(f"{name} is loaded.")
        return refreshed(name)

    def unload(name: str | None) -> list[Any]:
        studio.client.unload(required(name))
        gr.Info(f"{name} is unloaded; a chat that asks for it loads it again.")
        return refreshed(name)

    def rename(name: str | None, wanted: str | None) -> list[Any]:
        name = required(name)
        record = studio.store.rename(name, text(wanted))
        forget(studio, name)
        return [*refreshed(record.name), ""]

    def delete(name: str | None) -> list[Any]:
        name = required(name)
        studio.store.delete(name)
        forget(studio, name)
        gr.Info(f"{name} is deleted.")
        return refreshed()

    private: dict[str, Any] = {"api_visibility": "private"}
    both = [table, chosen]
    load_button.click(told(load), chosen, both, **private)
    unload_button.click(told(unload), chosen, both, **private)
    rename_button.click(told(rename), [chosen, new_name], [*both, new_name], **private)
    delete_button.click(told(delete), chosen, both, js=CONFIRM, **private)
    return AdaptersPage(table, chosen)


# A refused confirmation empties the choice, and without one nothing is deleted.
CONFIRM = "(name) => name && confirm(`Delete the adapter ${name}? This cannot be undone.`) ? name : null"


def overview(studio: Studio, person: Person = LOCAL_OWNER) -> str:
    """The table of adapters, with those that `person` may use."""
    resident = {each["name"]: each.get("where", "slot") for each in studio.engine.status.adapters}
    may_use = set(names_for(studio, person))
    records = [record for record in studio.store.list() if record.name in may_use]
    return adapters_table(records, studio.store.broken() if person.role is Role.OWNER else [], resident)


def text(given: str | None) -> str:
    """What is in a text box: Gradio says None for one that was never touched."""
    return (given or "").strip()


def required(name: str | None) -> str:
    if not name:
        raise UserError("No adapter is chosen.", "Choose one in the list above first.")
    return name


def forget(studio: Studio, name: str) -> None:
    """Unload an adapter that no longer goes by `name`, if the engine has it."""
    if any(each["name"] == name for each in studio.engine.status.adapters):
        studio.client.unload(name)
