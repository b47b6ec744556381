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


def choices(home: Home) -> list[tuple[str, str]]:
    """(label, what a recipe's dataset_name takes) of the bundled samples and of all kept datasets."""
    from core.data.samples import SAMPLES

    bundled = [(f"{sample.title} (bundled)", name) for name, sample in SAMPLES.items()]
    return bundled + [(each.title, each.dataset_name) for each in store.kept(home)]


def offered(home: Home) -> set[str]:
    """The datasets of this studio, as recipes name them."""
    return {name for _, name in choices(home)}


def remembered(home: Home, dataset_name: str) -> tuple[str, str]:
    """How a person last chose to read it, as a recipe's dataset_format and dataset_columns; "" for as detected."""
    return read_as(store.find(home, dataset_name))


def read_as(kept: store.Kept | None) -> tuple[str, str]:
    origin = kept.origin if kept else None
    return (origin.dataset_format or "", origin.columns or "") if origin else ("", "")


def settled(home: Home, recipe: Recipe) -> Recipe:
    """The recipe for a dataset that is here: one on the Hub is fetched and kept first. Raises UserError.

    A run then reads the same rows when it is continued or repeated, whatever becomes of them on the Hub.
    """
    if not is_on_hub(recipe.dataset_name):
        return recipe
    kept = store.keep_from_hub(
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


def dataset_of(run: Run) -> str:
    """What the run learns from; "" where its recipe cannot be read, with which it cannot go on either."""
    try:
        return run.recipe.dataset_name
    except UserError:
        return ""


def remove(home: Home, dataset_name: str) -> store.Kept:
    """Delete a dataset. Raises UserError for one that is not here, or that a run still needs."""
    for run in list_runs(home):
        if run.state() not in AT_REST and dataset_of(run) == dataset_name:
            raise UserError(f"The run {run.name} is learning from it.", "End the run first, or wait for it.")
    return store.remove(home, dataset_name)
