"""What happens on the Adapters tab with the chosen adapter: it is shown, saved, loaded, unloaded or deleted."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import gradio as gr

from adapters.common.errors import UserError
from studio.adapters_page.failures import AdapterFailures
from studio.auth.identity import LOCAL_OWNER, Role, user_of
from studio.auth.permissions import requires
from studio.auth.published import check_may_use, usable_adapters
from studio.context import Studio

FOR_THE_OWNER = (
    '<p class="said">Training, loading, renaming, merging and deleting adapters is for the owner of this studio.</p>'
)


@requires(Role.VISITOR)
def show_tabs(request: gr.Request) -> list[Any]:
    """The tabs Change and Merge are the owner's; the others read whose they are."""
    is_owner = user_of(request).role is Role.OWNER
    return ["" if is_owner else FOR_THE_OWNER, gr.Tab(visible=is_owner), gr.Tab(visible=is_owner)]


@requires(Role.VISITOR)
def show_adapter(studio: Studio, request: gr.Request, name: str | None) -> list[Any]:
    shown = [gr.HTML(visible=not name), gr.Column(visible=bool(name))]
    if not name:
        return [*shown, "", "", "", ""]
    check_may_use(studio, user_of(request), name)
    record = studio.store.get(name)
    return [*shown, record.name, ", ".join(record.tags), record.note, ""]


@requires(Role.OWNER)
def save_adapter(
    studio: Studio,
    failures: AdapterFailures,
    name: str | None,
    new_name: str | None,
    tags: str | None,
    note: str | None,
) -> gr.Dropdown:
    name = required_name(name)
    if text_of(new_name) != name:
        unload_if_loaded(studio, name)
    record = studio.store.rename(name, text_of(new_name))
    if record.name != name:
        failures.forget(name)
    studio.store.update(replace(record, tags=split_tags(text_of(tags)), note=text_of(note)))
    gr.Info(f"{record.name} is saved.")
    return gr.Dropdown(choices=usable_adapters(studio, LOCAL_OWNER), value=record.name)


@requires(Role.OWNER)
def load_adapter(studio: Studio, failures: AdapterFailures, name: str | None) -> None:
    name = required_name(name)
    with failures.recording(name, "Loading"):
        studio.client.load(name, str(studio.store.path(name)))
    gr.Info(f"{name} is loaded.")


@requires(Role.OWNER)
def unload_adapter(studio: Studio, name: str | None) -> None:
    studio.client.unload(required_name(name))
    gr.Info(f"{name} is unloaded; a chat that asks for it loads it again.")


@requires(Role.OWNER)
def delete_adapter(studio: Studio, failures: AdapterFailures, name: str | None) -> Any:
    if name is None:  # the confirmation was refused
        return gr.skip()
    remove_adapter(studio, failures, required_name(name))
    return gr.Dropdown(choices=usable_adapters(studio, LOCAL_OWNER), value=None)


def remove_adapter(studio: Studio, failures: AdapterFailures, name: str) -> None:
    unload_if_loaded(studio, name)
    studio.store.delete(name)
    failures.forget(name)
    gr.Info(f"{name} is deleted.")


def unload_if_loaded(studio: Studio, name: str) -> None:
    """Before an adapter's files go, or go by another name, the engine unloads it if it has it.

    An engine that does not answer has nothing to unload: it starts with none, and compares what it has with the store.
    """
    if any(adapter["name"] == name for adapter in studio.engine.status.adapters):
        with suppress(UserError):
            studio.client.unload(name)


def text_of(value: str | None) -> str:
    """What is in a text box: Gradio gives None for one that was never touched."""
    return (value or "").strip()


def split_tags(text: str) -> list[str]:
    return list(dict.fromkeys(tag.strip().lstrip("#") for tag in text.split(",") if tag.strip(" #")))


def required_name(name: str | None) -> str:
    if not name:
        raise UserError("No adapter is chosen.", "Choose one in the list above first.")
    return name
