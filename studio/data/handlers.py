"""What happens on the Data page: a dataset is chosen, uploaded, fetched from the Hub, read otherwise or removed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from adapters.common.errors import UserError
from core.data import CheckedDataset, read_dataset, store
from core.data.check import UnknownColumns
from core.data.hub import is_hub_id, parse_hub_id
from studio.auth.identity import Role
from studio.auth.permissions import requires
from studio.context import Studio
from studio.data import offered_datasets
from studio.data.components import DataPage
from studio.data.dataset_settings import DatasetSelection, columns_chosen
from studio.data.summary_view import render_split, render_summary, render_unreadable
from studio.html.templating import render


@requires(Role.OWNER)
def choose_dataset(studio: Studio, page: DataPage, name: str | None) -> dict[Any, Any]:
    """Show a dataset that the page offers, read as it was the last time."""
    if not name:
        return {page.selection: gr.skip()}
    # Only what the studio offers: a path would show any file of this machine.
    if name not in offered_datasets.dataset_names(studio.home):
        raise UserError(f"{name!r} is neither a dataset of this studio nor a Hub id.", "Upload the file above.")
    return show_dataset(studio, page, DatasetSelection(name, *offered_datasets.remembered_format(studio.home, name)))


@requires(Role.OWNER)
def fetch_dataset(
    studio: Studio, page: DataPage, repo_id: str | None, config: str | None, split: str | None, revision: str | None
) -> dict[Any, Any]:
    """Download a dataset of the Hub, and show it."""
    repo_id = parse_hub_id((repo_id or "").strip())
    if not is_hub_id(repo_id):
        raise UserError(f"{repo_id!r} is not a dataset id.", "Write owner/name, as in the page's address.")
    try:
        kept = store.store_from_hub(
            studio.home,
            repo_id,
            config=(config or "").strip() or None,
            split=(split or "").strip() or "train",
            revision=(revision or "").strip() or None,
        )
    except UserError as error:
        return {**show_nothing(studio, page), page.summary: render_unreadable(error)}
    return show_added(studio, page, kept)


@requires(Role.OWNER)
def upload_files(studio: Studio, page: DataPage, paths: list[str] | None) -> dict[Any, Any]:
    if not paths:
        return {page.selection: gr.skip()}
    return show_added(studio, page, store.store_files(studio.home, [Path(path) for path in paths]))


@requires(Role.OWNER)
def upload_folder(studio: Studio, page: DataPage, paths: list[str] | None) -> dict[Any, Any]:
    """Keep the data files of a folder, and name the others."""
    if not paths:
        return {page.selection: gr.skip()}
    kept, others = store.store_folder(studio.home, [Path(path) for path in paths])
    if others:
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        gr.Info(f"Left out, since they are no data files: {', '.join(others[:5])}{more}.")
    return show_added(studio, page, kept)


@requires(Role.OWNER)
def read_as(
    studio: Studio,
    page: DataPage,
    selection: DatasetSelection | None,
    dataset_format: str | None,
    *columns: str | None,
) -> dict[Any, Any]:
    """Read the dataset in another format, or with other columns, and remember them where they work."""
    if selection is None:
        return {page.selection: gr.skip()}
    changed = DatasetSelection(selection.name, dataset_format or "", columns_chosen(columns))
    updates = show_dataset(studio, page, changed)
    if updates[page.usable_name]:
        store.save_reading_choice(studio.home, changed.name, changed.dataset_format, changed.columns)
    return updates


@requires(Role.OWNER)
def set_licence(
    studio: Studio, selection: DatasetSelection | None, dataset: CheckedDataset | None, text: str | None
) -> list[Any]:
    """Record the licence of uploaded files: the dataset with it, and its summary."""
    if selection is None or dataset is None or (text or "") == (dataset.license or ""):
        return [gr.skip(), gr.skip()]
    licensed = replace(dataset, license=store.set_licence(studio.home, selection.name, text or ""))
    return [licensed, render_summary(licensed)]


@requires(Role.OWNER)
def remove_dataset(studio: Studio, page: DataPage, name: str | None) -> dict[Any, Any]:
    if not name:
        return {page.selection: gr.skip()}
    removed = offered_datasets.remove_dataset(studio.home, name)
    gr.Info(f"{removed.title} was removed.")
    choices = offered_datasets.dataset_choices(studio.home)
    return {**show_nothing(studio, page), page.known: gr.Dropdown(choices=choices, value=None)}


@requires(Role.OWNER)
def show_split(
    dataset: CheckedDataset | None, max_samples: float | None, eval_fraction: float | None, seed: float | None
) -> str:
    """How the dataset divides into rows to train on and rows that are held out."""
    if dataset is None or not dataset.conversations:
        return ""
    return render_split(dataset, int(max_samples) if max_samples else None, eval_fraction or 0.0, int(seed or 0))


def show_dataset(studio: Studio, page: DataPage, selection: DatasetSelection) -> dict[Any, Any]:
    """Updates for a dataset that is read as `selection` says, or that say why it cannot be."""
    dataset: CheckedDataset | None = None
    columns: list[str] = []
    needs_columns = False
    try:
        dataset = read_dataset(
            selection.name, dataset_format=selection.dataset_format or None, columns=selection.columns or None
        )
        columns, summary = dataset.columns, render_summary(dataset)
    except UserError as error:
        summary = render_unreadable(error)
        if isinstance(error, UnknownColumns):
            columns, needs_columns = error.columns, True
            summary = render_unreadable(
                error, "On this page: choose on the left which column is what, then read it so."
            )
    is_usable = dataset is not None and bool(dataset.conversations)
    return {
        page.selection: selection,
        page.dataset: dataset,
        page.usable_name: selection.name if is_usable else None,
        page.summary: summary,
        page.split: "",
        page.use: gr.Button(interactive=is_usable),
        **page.settings.show(selection, dataset, columns, needs_columns),
        **page.actions.show(studio, selection, dataset),
        **page.preview.show(dataset),
    }


def show_added(studio: Studio, page: DataPage, kept: store.StoredDataset) -> dict[Any, Any]:
    """Updates that offer a dataset of the home folder, and show it."""
    choices = offered_datasets.dataset_choices(studio.home)
    return {
        **choose_dataset(studio, page, kept.dataset_name),
        page.known: gr.Dropdown(choices=choices, value=kept.dataset_name),
    }


def show_nothing(studio: Studio, page: DataPage) -> dict[Any, Any]:
    """Updates that empty the page."""
    no_selection = DatasetSelection("")
    return {
        page.selection: None,
        page.dataset: None,
        page.usable_name: None,
        page.split: "",
        page.summary: render("data/nothing_chosen.html"),
        page.use: gr.Button(interactive=False),
        **page.settings.show(no_selection, None, [], False),
        **page.actions.show(studio, no_selection, None),
        **page.preview.show(None),
    }
