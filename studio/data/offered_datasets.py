"""Datasets that the page offers: the bundled samples, and those of the home folder."""

from __future__ import annotations

from dataclasses import replace

from adapters.common.errors import UserError
from core.common.home import Home
from core.data import store
from core.data.load import is_on_hub
from core.recipes.recipe import Recipe
from core.training.run import Run, list_runs
from core.training.state import AT_REST


def dataset_choices(home: Home) -> list[tuple[str, str]]:
    """(label, what a recipe's dataset_name takes) of the bundled samples and of all datasets in the home folder."""
    from core.data.samples import SAMPLES

    bundled = [(f"{sample.title} (bundled)", name) for name, sample in SAMPLES.items()]
    return bundled + [(kept.title, kept.dataset_name) for kept in store.list_datasets(home)]


def dataset_names(home: Home) -> set[str]:
    """The datasets of this studio, as recipes name them."""
    return {name for _, name in dataset_choices(home)}


def remembered_format(home: Home, dataset_name: str) -> tuple[str, str]:
    """How a person last had it read, as a recipe's dataset_format and dataset_columns; "" for as detected."""
    return format_of(store.find_dataset(home, dataset_name))


def format_of(kept: store.StoredDataset | None) -> tuple[str, str]:
    """As `remembered_format`, of a dataset that is at hand."""
    origin = kept.origin if kept else None
    return (origin.dataset_format or "", origin.columns or "") if origin else ("", "")


def fetch_from_hub(home: Home, recipe: Recipe) -> Recipe:
    """The recipe for a dataset that is here: one on the Hub is downloaded into the home folder first.

    A run then reads the same rows when it is resumed or repeated, whatever becomes of them on the Hub.
    Raises UserError.
    """
    if not is_on_hub(recipe.dataset_name):
        return recipe
    kept = store.store_from_hub(
        home,
        recipe.dataset_name,
        config=recipe.dataset_config,
        split=recipe.dataset_train_split,
        revision=recipe.dataset_revision,
    )
    return replace(
        recipe,
        dataset_name=kept.dataset_name,
        dataset_config=None,
        dataset_train_split="train",
        dataset_revision=None,
    )


def dataset_name_of(run: Run) -> str:
    """What the run is trained on; "" where its recipe cannot be read, with which it cannot be resumed either."""
    try:
        return run.recipe.dataset_name
    except UserError:
        return ""


def remove_dataset(home: Home, dataset_name: str) -> store.StoredDataset:
    """Delete a dataset. Raises UserError for one that is not here, or that a run still needs."""
    for run in list_runs(home):
        if run.state() not in AT_REST and dataset_name_of(run) == dataset_name:
            raise UserError(f"The run {run.name} is learning from it.", "End the run first, or wait for it.")
    return store.remove_dataset(home, dataset_name)
