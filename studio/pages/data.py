"""Data: choose a sample, upload a file or name a Hub dataset; see what was understood, and what was not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from core.base import HUB_ID
from core.errors import UserError
from studio import imports
from studio.context import Studio
from studio.pages.telling import told
from studio.present import dataset_summary

if TYPE_CHECKING:
    from core.data import CheckedDataset

NOTHING = '<div class="empty">Choose a dataset: what was understood, and a preview, will show here.</div>'


@dataclass(frozen=True)
class DataPage:
    known: gr.Dropdown
    use: gr.Button
    chosen: gr.State  # what a recipe's dataset_name takes, or None


def build(studio: Studio) -> DataPage:
    with gr.Row():
        with gr.Column(scale=1, min_width=280):
            known = gr.Dropdown(
                [],  # filled in when the page loads, for those who may use it
                value=None,
                label="Bundled samples and your files",
                info="The bundled samples are small and train in about a minute on the built-in base.",
                elem_id="known-dataset",
            )
            upload = gr.File(
                label="Upload a file (JSONL, JSON, CSV, Parquet)",
                file_types=[".jsonl", ".json", ".csv", ".parquet"],
                height=140,
                elem_id="upload-dataset",
            )
            with gr.Row(equal_height=True):
                hub_id = gr.Textbox(
                    label="Hub dataset", placeholder="owner/name", elem_id="hub-dataset", scale=3, min_width=140
                )
                hub_button = gr.Button("Check", scale=1, min_width=80)
            use = gr.Button("Train on this dataset →", variant="primary", interactive=False, elem_id="use-dataset")
        with gr.Column(scale=2, min_width=320):
            summary = gr.HTML(NOTHING, elem_id="dataset-summary")
            preview = gr.Chatbot(
                label="Preview", height="46vh", visible=False, feedback_options=None, buttons=[], elem_id="preview"
            )
            position = gr.Slider(1, 2, 1, step=1, label="Conversation", visible=False, elem_id="preview-position")
    checked: gr.State = gr.State()
    chosen: gr.State = gr.State()
    outputs = [summary, preview, position, checked, chosen, use]

    def check(name: str | None) -> list[Any]:
        if not name:
            return [NOTHING, *[gr.skip()] * 5]
        # Only what the studio offers, and ids on the Hub: a path would show any file of this machine.
        if name not in {value for _, value in imports.choices(studio.home)} and not HUB_ID.match(name):
            raise UserError(f"{name!r} is neither a dataset of this studio nor a Hub id.", "Upload the file above.")
        from core.data import read_dataset

        try:
            dataset = read_dataset(name)
        except UserError as error:
            return [failed(error), gr.Chatbot(visible=False), gr.Slider(visible=False), None, None, unusable()]
        return present(dataset, name)

    def check_upload(path: str | None) -> list[Any]:
        if not path:
            return [gr.skip()] * 7
        kept = imports.import_file(studio.home, Path(path))
        return [*check(str(kept)), gr.Dropdown(choices=imports.choices(studio.home))]

    def turn_to(number: float, dataset: CheckedDataset | None) -> Any:
        return bubbles(dataset, int(number)) if dataset else gr.skip()

    private: dict[str, Any] = {"api_visibility": "private"}
    known.input(told(check), known, outputs, **private)
    gr.on([hub_button.click, hub_id.submit], told(check), hub_id, outputs, **private)
    upload.upload(told(check_upload), upload, [*outputs, known], **private)
    position.input(turn_to, [position, checked], preview, queue=False, show_progress="hidden", **private)
    return DataPage(known, use, chosen)


def present(dataset: CheckedDataset, name: str) -> list[Any]:
    """A checked dataset for the page: summary, preview of the first conversation, slider, and what Train takes."""
    count = len(dataset.conversations)
    usable = count > 0
    return [
        dataset_summary(dataset),
        gr.Chatbot(bubbles(dataset, 1), visible=usable),
        gr.Slider(minimum=1, maximum=max(count, 2), value=1, visible=count > 1, label=f"Conversation (1 to {count})"),
        dataset,
        name if usable else None,
        gr.Button(interactive=usable),
    ]


def bubbles(dataset: CheckedDataset, number: int) -> list[dict[str, Any]]:
    """Conversation `number` (from 1) as chat bubbles; a system prompt shows as a titled one."""
    if not 1 <= number <= len(dataset.conversations):
        return []
    shown: list[dict[str, Any]] = []
    for message in dataset.conversations[number - 1].messages:
        if message["role"] == "system":
            shown.append({"role": "assistant", "content": message["content"], "metadata": {"title": "System prompt"}})
        else:
            shown.append({"role": message["role"], "content": message["content"]})
    return shown


def failed(error: UserError) -> str:
    from html import escape

    return f'<div class="empty"><p class="error">{escape(error.message)}</p><p>{escape(error.remedy)}</p></div>'


def unusable() -> gr.Button:
    return gr.Button(interactive=False)
