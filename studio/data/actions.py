"""What can be done with a dataset that was read: lists to download, pushing it to the Hub, removing it."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from adapters.common.errors import UserError
from adapters.hub.dataset import LICENCES
from core.data import store
from studio.context import Studio
from studio.data import push as dataset_push
from studio.data.reading import Reading
from studio.ui.events import told

if TYPE_CHECKING:
    from core.data import CheckedDataset

PRIVATE, PUBLIC = "Private: only you can see it", "Public"


@dataclass(frozen=True)
class Actions:
    list_problems: gr.Button
    export: gr.Button
    remove: gr.Button
    licence: gr.Textbox
    download: gr.File
    pushing: gr.Accordion
    pushed_licence: gr.Dropdown

    @property
    def shown(self) -> list[Any]:
        own = [self.licence, self.pushing, self.pushed_licence]
        return [self.list_problems, self.export, self.remove, self.download, *own]

    def show(self, studio: Studio, reading: Reading, dataset: CheckedDataset | None) -> dict[Any, Any]:
        """Updates: what can be done with this dataset is there."""
        usable = dataset is not None and bool(dataset.conversations)
        kept = store.find(studio.home, reading.name) if reading.name else None
        origin = kept.origin if kept else None
        ours = kept is not None and (origin is None or origin.source != "hub")
        stated = dataset.license or "" if dataset else ""
        return {
            self.list_problems: gr.Button(visible=dataset is not None and bool(dataset.problems or dataset.notes)),
            self.export: gr.Button(visible=usable),
            self.remove: gr.Button(visible=kept is not None),
            self.licence: gr.Textbox(stated, visible=usable and origin is not None and ours),
            self.download: gr.File(visible=False),
            self.pushing: gr.Accordion(visible=usable and ours),
            self.pushed_licence: stated if stated in LICENCES else "",
        }


def build(studio: Studio, asked: gr.State, checked: gr.State) -> Actions:
    downloads = tempfile.TemporaryDirectory(prefix="guanaco-studio-")
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

    def problems_file(dataset: CheckedDataset | None) -> Any:
        """Rows that cannot be used, then remarks on rows that are."""
        rows = [asdict(each) | {"used": False} for each in dataset.problems] if dataset else []
        rows += [asdict(each) | {"used": True} for each in dataset.notes] if dataset else []
        path = Path(downloads.name) / "problems.jsonl"
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        return gr.File(str(path), visible=True)

    def export_file(dataset: CheckedDataset | None) -> Any:
        if dataset is None:
            return gr.skip()
        path = Path(downloads.name) / "dataset.jsonl"
        dataset_push.write_jsonl(path, dataset)
        return gr.File(str(path), visible=True)

    def push(
        reading: Reading | None, dataset: CheckedDataset | None, repo: str | None, visible: str, chosen: str | None
    ) -> str:
        if reading is None or dataset is None:
            raise UserError("No dataset is chosen.", "Choose one above.")
        kept = dataset_push.own(studio.home, reading.name)
        result = dataset_push.push(
            kept, dataset, (repo or "").strip(), private=visible != PUBLIC, license=chosen or None
        )
        what = "Pushed to" if result.changed else "Nothing had changed in"
        return f"{what} [{(repo or '').strip()}]({result.url}) as commit `{result.revision[:10]}`."

    private: dict[str, Any] = {"api_visibility": "private"}
    list_problems.click(told(problems_file), checked, download, **private)
    export.click(told(export_file), checked, download, **private)
    push_button.click(told(push), [asked, checked, repo_id, visibility, pushed_licence], pushed, **private)
    return Actions(list_problems, export, remove, licence, download, pushing, pushed_licence)
