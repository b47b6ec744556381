"""Data: choose a sample, upload files or name a Hub dataset; see what was understood, and what is trained of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from adapters.common.errors import UserError
from core.data import read_dataset, store
from core.data.check import UnknownColumns
from core.data.hub import id_of, is_hub_id
from studio.context import Studio
from studio.data import actions as dataset_actions
from studio.data import browser as browsing
from studio.data import choices as imports
from studio.data import reading
from studio.data.reading import Reading, columns_chosen
from studio.data.summary import dataset_summary, division, refusal
from studio.ui.events import told

if TYPE_CHECKING:
    from core.data import CheckedDataset

NOTHING = (
    '<div class="empty">Choose a sample or a dataset of yours, upload files or a whole folder, or name a dataset of '
    "the Hub: what was understood, and a preview, will show here.</div>"
)
# A refused confirmation empties the choice, and without one nothing is removed.
CONFIRM = "(name) => name && confirm('Remove this dataset and its files from the studio?') ? name : null"
FILE_TYPES = [".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".gz", ".zip"]


@dataclass(frozen=True)
class DataPage:
    """`settings` is what Train takes from here: dataset_name (or None), then what reading.HANDED names."""

    known: gr.Dropdown
    use: gr.Button
    settings: list[Any]


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
                hub_button = gr.Button("Fetch", scale=1, min_width=80, elem_id="fetch-dataset")
            with gr.Accordion("Its config, split and revision", open=False, elem_id="hub-which"):
                config = gr.Textbox(label="config", placeholder="the only one, or default", elem_id="hub-config")
                split = gr.Textbox(label="split", placeholder="train", elem_id="hub-split")
                revision = gr.Textbox(label="revision", placeholder="main", elem_id="hub-revision")
            settings = reading.build(studio)
            divided = gr.HTML("", elem_id="dataset-division", padding=False)
            use = gr.Button("Train on this dataset →", variant="primary", interactive=False, elem_id="use-dataset")
            asked: gr.State = gr.State()
            checked: gr.State = gr.State()
            chosen: gr.State = gr.State()
            actions = dataset_actions.build(studio, asked, checked)
        with gr.Column(scale=3, min_width=320):
            summary = gr.HTML(NOTHING, elem_id="dataset-summary")
            browser = browsing.build(studio, checked, settings.max_length)

    def read(wanted: Reading) -> dict[Any, Any]:
        """Updates for a dataset that is read as `wanted`, or that say why it cannot be."""
        dataset: CheckedDataset | None = None
        columns: list[str] = []
        ask = False
        try:
            dataset = read_dataset(
                wanted.name, dataset_format=wanted.dataset_format or None, columns=wanted.columns or None
            )
            columns, said = dataset.columns, dataset_summary(dataset)
        except UserError as error:
            said = refusal(error)
            if isinstance(error, UnknownColumns):
                columns, ask = error.columns, True
                said = refusal(error, "On this page: choose on the left which column is what, then read it so.")
        usable = dataset is not None and bool(dataset.conversations)
        return {
            asked: wanted,
            checked: dataset,
            chosen: wanted.name if usable else None,
            summary: said,
            divided: "",
            use: gr.Button(interactive=usable),
            **settings.show(wanted, dataset, columns, ask),
            **actions.show(studio, wanted, dataset),
            **browser.show(dataset),
        }

    def check(name: str | None) -> Any:
        if not name:
            return {asked: gr.skip()}
        # Only what the studio offers: a path would show any file of this machine.
        if name not in imports.offered(studio.home):
            raise UserError(f"{name!r} is neither a dataset of this studio nor a Hub id.", "Upload the file above.")
        return read(Reading(name, *imports.remembered(studio.home, name)))

    def kept_now(kept: store.Kept) -> dict[Any, Any]:
        offered = gr.Dropdown(choices=imports.choices(studio.home), value=kept.dataset_name)
        return {**check(kept.dataset_name), known: offered}

    def check_hub(repo_id: str | None, its_config: str | None, its_split: str | None, commit: str | None) -> Any:
        repo_id = id_of((repo_id or "").strip())
        if not is_hub_id(repo_id):
            raise UserError(f"{repo_id!r} is not a dataset id.", "Write owner/name, as in the page's address.")
        try:
            kept = store.keep_from_hub(
                studio.home,
                repo_id,
                config=(its_config or "").strip() or None,
                split=(its_split or "").strip() or "train",
                revision=(commit or "").strip() or None,
            )
        except UserError as error:
            return {**nothing(), summary: refusal(error)}
        return kept_now(kept)

    def check_upload(paths: list[str] | None) -> Any:
        if not paths:
            return {asked: gr.skip()}
        return kept_now(store.keep_files(studio.home, [Path(each) for each in paths]))

    def check_folder(paths: list[str] | None) -> Any:
        if not paths:
            return {asked: gr.skip()}
        kept, others = store.keep_folder(studio.home, [Path(each) for each in paths])
        if others:
            more = f" and {len(others) - 5} more" if len(others) > 5 else ""
            gr.Info(f"Left out, since they are no data files: {', '.join(others[:5])}{more}.")
        return kept_now(kept)

    def check_as(wanted: Reading | None, dataset_format: str | None, *columns: str | None) -> Any:
        if wanted is None:
            return {asked: gr.skip()}
        now = Reading(wanted.name, dataset_format or "", columns_chosen(columns))
        updates = read(now)
        if updates[chosen]:
            store.remember_reading(studio.home, now.name, now.dataset_format, now.columns)
        return updates

    def state_licence(wanted: Reading | None, dataset: CheckedDataset | None, text: str | None) -> list[Any]:
        if wanted is None or dataset is None or (text or "") == (dataset.license or ""):
            return [gr.skip(), gr.skip()]
        stated = replace(dataset, license=store.state_licence(studio.home, wanted.name, text or ""))
        return [stated, dataset_summary(stated)]

    def nothing() -> dict[Any, Any]:
        hidden = {checked: None, chosen: None, divided: "", summary: NOTHING, use: gr.Button(interactive=False)}
        nobody = Reading("")
        return {
            asked: None,
            **hidden,
            **settings.show(nobody, None, [], False),
            **actions.show(studio, nobody, None),
            **browser.show(None),
        }

    def take_away(name: str | None) -> Any:
        if not name:
            return {asked: gr.skip()}
        removed = imports.remove(studio.home, name)
        gr.Info(f"{removed.title} was removed.")
        return {**nothing(), known: gr.Dropdown(choices=imports.choices(studio.home), value=None)}

    def divide(
        dataset: CheckedDataset | None, samples: float | None, fraction: float | None, seed: float | None
    ) -> Any:
        if dataset is None or not dataset.conversations:
            return ""
        return division(dataset, int(samples) if samples else None, fraction or 0.0, int(seed or 0))

    private: dict[str, Any] = {"api_visibility": "private"}
    own = [asked, checked, chosen, summary, divided, use]
    outputs = [*own, *settings.shown, *actions.shown, *browser.shown]
    reads = [
        known.input(told(check), known, outputs, **private),
        gr.on(
            [hub_button.click, hub_id.submit],
            told(check_hub),
            [hub_id, config, split, revision],
            [*outputs, known],
            **private,
        ),
        upload.upload(told(check_upload), upload, [*outputs, known], **private),
        folder.upload(told(check_folder), folder, [*outputs, known], **private),
        gr.on(
            [settings.row_format.input, settings.read_so.click],
            told(check_as),
            [asked, settings.row_format, *settings.mapped],
            outputs,
            **private,
        ),
    ]
    used = [settings.max_samples, settings.eval_fraction, settings.seed]
    quiet = private | {"show_progress": "hidden"}
    for each in reads:
        each.success(told(divide), [checked, *used], divided, **quiet)
        each.success(told(browser.measure), [checked, settings.max_length], browser.measured, **quiet)
    gr.on(
        [field.change for field in used],
        told(divide),
        [checked, *used],
        divided,
        trigger_mode="always_last",
        **quiet,
    )
    saying = [asked, checked, actions.licence]
    gr.on([actions.licence.submit, actions.licence.blur], told(state_licence), saying, [checked, summary], **quiet)
    actions.remove.click(told(take_away), known, [*outputs, known], js=CONFIRM, **private)
    return DataPage(known, use, [chosen, *settings.handed])
