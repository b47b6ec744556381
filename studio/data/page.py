"""Data: choose a sample, upload files or name a Hub dataset; see what was understood, and what is trained of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.context import Studio
from studio.data import actions, dataset_settings, handlers, preview, preview_handlers
from studio.data.components import DataPage
from studio.html.templating import render
from studio.ui.events import bind

# A refused confirmation empties the choice, and without one nothing is removed.
CONFIRM = "(name) => name && confirm('Remove this dataset and its files from the studio?') ? name : null"
FILE_TYPES = [".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".gz", ".zip"]
PRIVATE: dict[str, Any] = {"api_visibility": "private"}
QUIET: dict[str, Any] = {"show_progress": "hidden", **PRIVATE}


@dataclass(frozen=True)
class Sources:
    """Where datasets come in from."""

    upload: gr.File
    folder: gr.UploadButton
    hub_id: gr.Textbox
    fetch: gr.Button
    config: gr.Textbox
    split: gr.Textbox
    revision: gr.Textbox


def build(studio: Studio) -> DataPage:
    with gr.Row():
        with gr.Column(scale=1, min_width=280):
            known = gr.Dropdown(
                [],  # filled in when the page loads, for those who may use it
                value=None,
                label="Bundled samples and your datasets",
                info="The bundled samples are small and train in about a minute on the built-in base.",
                elem_id="known-dataset",
            )
            sources = build_sources()
            settings = dataset_settings.build(studio)
            split = gr.HTML("", elem_id="dataset-division", padding=False)
            use = gr.Button("Train on this dataset →", variant="primary", interactive=False, elem_id="use-dataset")
            selection: gr.State = gr.State()
            dataset: gr.State = gr.State()
            usable_name: gr.State = gr.State()
            dataset_actions = actions.build(studio, selection, dataset)
        with gr.Column(scale=3, min_width=320):
            summary = gr.HTML(render("data/nothing_chosen.html"), elem_id="dataset-summary")
            dataset_preview = preview.build(studio, dataset, settings.max_length)
    page = DataPage(
        known,
        summary,
        split,
        use,
        selection,
        dataset,
        usable_name,
        settings,
        dataset_actions,
        dataset_preview,
    )
    connect(studio, page, sources)
    return page


def build_sources() -> Sources:
    upload = gr.File(
        label="Upload files (JSONL, JSON, CSV, Parquet, zip)",
        file_count="multiple",
        file_types=FILE_TYPES,
        height=150,
        elem_id="upload-dataset",
    )
    folder = gr.UploadButton("Or a whole folder", file_count="directory", size="sm", elem_id="upload-folder")
    with gr.Row(equal_height=True):
        hub_id = gr.Textbox(
            label="Hub dataset", placeholder="owner/name", elem_id="hub-dataset", scale=3, min_width=140
        )
        fetch = gr.Button("Fetch", scale=1, min_width=80, elem_id="fetch-dataset")
    with gr.Accordion("Its config, split and revision", open=False, elem_id="hub-which"):
        config = gr.Textbox(label="config", placeholder="the only one, or default", elem_id="hub-config")
        split = gr.Textbox(label="split", placeholder="train", elem_id="hub-split")
        revision = gr.Textbox(label="revision", placeholder="main", elem_id="hub-revision")
    return Sources(upload, folder, hub_id, fetch, config, split, revision)


def connect(studio: Studio, page: DataPage, sources: Sources) -> None:
    settings, outputs = page.settings, page.outputs
    with_choices = [*outputs, page.known]
    reads = [
        page.known.input(bind(handlers.choose_dataset, studio, page), page.known, outputs, **PRIVATE),
        gr.on(
            [sources.fetch.click, sources.hub_id.submit],
            bind(handlers.fetch_dataset, studio, page),
            [sources.hub_id, sources.config, sources.split, sources.revision],
            with_choices,
            **PRIVATE,
        ),
        sources.upload.upload(bind(handlers.upload_files, studio, page), sources.upload, with_choices, **PRIVATE),
        sources.folder.upload(bind(handlers.upload_folder, studio, page), sources.folder, with_choices, **PRIVATE),
        gr.on(
            [settings.row_format.input, settings.apply_columns.click],
            bind(handlers.read_as, studio, page),
            [page.selection, settings.row_format, *settings.column_choices],
            outputs,
            **PRIVATE,
        ),
    ]
    divides_by = [settings.max_samples, settings.eval_fraction, settings.seed]
    show_split = bind(handlers.show_split)
    count_tokens = bind(preview_handlers.count_tokens, studio.tokenizer)
    for read in reads:
        read.success(show_split, [page.dataset, *divides_by], page.split, **QUIET)
        read.success(count_tokens, [page.dataset, settings.max_length], page.preview.counted_outputs, **QUIET)
    gr.on(
        [field.change for field in divides_by],
        show_split,
        [page.dataset, *divides_by],
        page.split,
        trigger_mode="always_last",
        **QUIET,
    )
    gr.on(
        [page.actions.licence.submit, page.actions.licence.blur],
        bind(handlers.set_licence, studio),
        [page.selection, page.dataset, page.actions.licence],
        [page.dataset, page.summary],
        **QUIET,
    )
    page.actions.remove.click(
        bind(handlers.remove_dataset, studio, page), page.known, with_choices, js=CONFIRM, **PRIVATE
    )
