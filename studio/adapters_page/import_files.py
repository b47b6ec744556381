"""Adapters that come as files: uploaded, from a folder of this machine, or put into the store by hand. The owner's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from adapters.bases import to_shareable_id
from adapters.common.errors import UserError
from adapters.common.files import expanded
from adapters.record import RECORD_FILE
from adapters.store import AdapterStore
from studio.adapters_page.same_base import declare_for_new_adapter
from studio.adapters_page.upload import import_upload
from studio.auth.identity import LOCAL_OWNER, Role, user_of
from studio.auth.permissions import requires
from studio.context import Studio
from studio.ui.failures import bind_in_place, failure_slot

TYPES = [".zip", ".safetensors", ".json", ".jinja", ".model", ".txt", ".md"]


def build(studio: Studio) -> list[Any]:
    """Returns the events after which there are other adapters."""
    files = gr.File(
        label="A zip of a PEFT folder, or its files",
        file_count="multiple",
        file_types=TYPES,
        elem_id="import-upload",
    )
    folder = gr.Textbox(label="Or a folder of this machine", placeholder="/path/to/adapter", elem_id="import-folder")
    name = gr.Textbox(label="Name here", placeholder="the zip's or folder's name", elem_id="import-name")
    same_base = same_base_box("import-same-base")
    import_button = gr.Button("Import", elem_id="import")
    adopt_button = gr.Button("Adopt what was put into the store by hand", elem_id="adopt")
    failed = failure_slot("import-failed")
    done = gr.Markdown("", elem_id="imported")

    private: dict[str, Any] = {"api_visibility": "private"}
    return [
        import_button.click(
            bind_in_place(import_adapter, studio, failed=failed, done=done),
            [files, folder, name, same_base],
            [done, files, folder, name, failed],
            **private,
        ),
        adopt_button.click(
            bind_in_place(adopt_adapters, studio, failed=failed, done=done), None, [done, failed], **private
        ),
    ]


def same_base_box(elem_id: str, *, visible: bool = True) -> gr.Checkbox:
    """The owner's statement on the adapter that is about to come in."""
    return gr.Checkbox(
        False,
        label="Its base is a copy of the base here",
        info="Where its name does not tell. Kept in its record; shapes that differ are refused all the same.",
        visible=visible,
        elem_id=elem_id,
    )


@requires(Role.OWNER)
def import_adapter(
    studio: Studio,
    request: gr.Request,
    uploads: list[str] | None,
    path: str | None,
    name: str | None,
    is_same_base: bool = False,
) -> list[Any]:
    name, path = (name or "").strip(), (path or "").strip()
    if path and uploads:
        raise UserError("There are both an upload and a folder.", "Leave one of them out.")
    if path:
        if user_of(request) != LOCAL_OWNER:
            raise UserError("A folder of the machine can only be named at the machine itself.", "Upload a zip.")
        folder = expanded(path)
        record = studio.store.import_folder(folder, name or studio.store.free_name(folder.name))
    else:
        record = import_upload(studio.store, [Path(upload) for upload in uploads or []], name)
    if is_same_base:
        record = declare_for_new_adapter(studio, record.name)
    copy = f", said to be a copy of {to_shareable_id(record.same_base.base)}" if record.same_base else ""
    return [f"**{record.name}** is here, for the base {to_shareable_id(record.base_model)}{copy}.", None, "", ""]


@requires(Role.OWNER)
def adopt_adapters(studio: Studio) -> str:
    found = folders_without_record(studio.store)
    if not found:
        raise UserError("No folder was put into the store by hand.", f"Put one into {studio.store.root} first.")
    adopted = [studio.store.adopt(name).name for name in found]
    return f"Adopted: {', '.join(adopted)}."


def folders_without_record(store: AdapterStore) -> list[str]:
    """Folders that lack the studio's record; whether they lack more, adopting them says."""
    found = []
    for name, _ in store.broken():
        folder = store.root / name
        if folder.is_dir() and not folder.is_symlink() and not (folder / RECORD_FILE).exists():
            found.append(name)
    return found
