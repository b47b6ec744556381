"""What can be done with a dataset that was read: lists to download, pushing it to the Hub, removing it."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from adapters.common.errors import UserError
from adapters.hub.dataset import LICENCES
from core.data import CheckedDataset, store
from studio.auth.identity import Role
from studio.auth.permissions import requires
from studio.context import Studio
from studio.data import push
from studio.data.dataset_settings import DatasetSelection
from studio.ui.events import bind

PRIVATE, PUBLIC = "Private: only you can see it", "Public"


@dataclass(frozen=True)
class DatasetActions:
    list_problems: gr.Button
    export: gr.Button
    remove: gr.Button
    licence: gr.Textbox
    download: gr.File
    push: gr.Accordion
    pushed_licence: gr.Dropdown

    @property
    def outputs(self) -> list[Any]:
        pushing = [self.licence, self.push, self.pushed_licence]
        return [self.list_problems, self.export, self.remove, self.download, *pushing]

    def show(self, studio: Studio, selection: DatasetSelection, dataset: CheckedDataset | None) -> dict[Any, Any]:
        """Updates that show what can be done with this dataset, and hide the rest."""
        is_usable = dataset is not None and bool(dataset.conversations)
        kept = store.find_dataset(studio.home, selection.name) if selection.name else None
        origin = kept.origin if kept else None
        is_own = kept is not None and (origin is None or origin.source != "hub")
        licence = dataset.license or "" if dataset else ""
        return {
            self.list_problems: gr.Button(visible=dataset is not None and bool(dataset.problems or dataset.notes)),
            self.export: gr.Button(visible=is_usable),
            self.remove: gr.Button(visible=kept is not None),
            self.licence: gr.Textbox(licence, visible=is_usable and origin is not None and is_own),
            self.download: gr.File(visible=False),
            self.push: gr.Accordion(visible=is_usable and is_own),
            self.pushed_licence: licence if licence in LICENCES else "",
        }


def build(studio: Studio, selection: gr.State, dataset: gr.State) -> DatasetActions:
    downloads = tempfile.TemporaryDirectory(prefix="guanaco-studio-")  # as long as an event is bound to it
    with gr.Row(elem_classes="actions"):
        list_problems = gr.Button("List of problems", size="sm", visible=False, elem_id="list-problems")
        export = gr.Button("Export as JSONL", size="sm", visible=False, elem_id="export-dataset")
        remove = gr.Button("Remove", size="sm", variant="stop", visible=False, elem_id="remove-dataset")
    licence = gr.Textbox(
        label="Its licence",
        info="Recorded with every run on it and told on the adapter's card.",
        placeholder="cc-by-4.0, or in your own words",
        visible=False,
        elem_id="dataset-licence",
    )
    download = gr.File(label="Download", visible=False, interactive=False, elem_id="dataset-download")
    with gr.Accordion("Push it to the Hub as a dataset", open=False, visible=False, elem_id="push-dataset") as pushing:
        repo_id = gr.Textbox(label="Repository", placeholder="you/name-of-the-dataset", elem_id="dataset-repo")
        visibility = gr.Radio([PRIVATE, PUBLIC], value=PRIVATE, label="Visibility", elem_id="dataset-visibility")
        pushed_licence = gr.Dropdown(
            [("not stated", ""), *LICENCES], value="", label="Licence", elem_id="pushed-licence"
        )
        push_button = gr.Button("Push", elem_id="push-dataset-now")
        pushed = gr.Markdown(elem_id="dataset-pushed")
    private: dict[str, Any] = {"api_visibility": "private"}
    list_problems.click(bind(write_problems, downloads), dataset, download, **private)
    export.click(bind(export_jsonl, downloads), dataset, download, **private)
    pushes = [selection, dataset, repo_id, visibility, pushed_licence]
    push_button.click(bind(push_dataset, studio), pushes, pushed, **private)
    return DatasetActions(list_problems, export, remove, licence, download, pushing, pushed_licence)


@requires(Role.OWNER)
def write_problems(downloads: tempfile.TemporaryDirectory[str], dataset: CheckedDataset | None) -> gr.File:
    """A file of the rows that cannot be used, then of the remarks on rows that are."""
    rows = [asdict(problem) | {"used": False} for problem in dataset.problems] if dataset else []
    rows += [asdict(note) | {"used": True} for note in dataset.notes] if dataset else []
    path = Path(downloads.name) / "problems.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return gr.File(str(path), visible=True)


@requires(Role.OWNER)
def export_jsonl(downloads: tempfile.TemporaryDirectory[str], dataset: CheckedDataset | None) -> Any:
    """A file of the conversations as they were read."""
    if dataset is None:
        return gr.skip()
    path = Path(downloads.name) / "dataset.jsonl"
    push.write_jsonl(path, dataset)
    return gr.File(str(path), visible=True)


@requires(Role.OWNER)
def push_dataset(
    studio: Studio,
    selection: DatasetSelection | None,
    dataset: CheckedDataset | None,
    repo_id: str | None,
    visibility: str,
    licence: str | None,
) -> str:
    """Push the dataset to the Hub, and say in Markdown what was done."""
    if selection is None or dataset is None:
        raise UserError("No dataset is chosen.", "Choose one above.")
    repo_id = (repo_id or "").strip()
    kept = push.find_own_dataset(studio.home, selection.name)
    result = push.push_own_dataset(kept, dataset, repo_id, private=visibility != PUBLIC, license=licence or None)
    what = "Pushed to" if result.changed else "Nothing had changed in"
    return f"{what} [{repo_id}]({result.url}) as commit `{result.revision[:10]}`."
