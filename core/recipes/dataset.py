"""The dataset that a recipe names, read as the recipe says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.data.dataset import CheckedDataset
from core.data.load import read_dataset

if TYPE_CHECKING:
    from core.recipes.recipe import Recipe


def read_recipe_dataset(recipe: Recipe, *, token: str | None = None) -> CheckedDataset:
    """Raises UserError if nothing can be read. max_samples and the split are not applied: see subsample and split."""
    return read_dataset(
        recipe.dataset_name,
        dataset_format=recipe.dataset_format,
        columns=recipe.dataset_columns,
        config=recipe.dataset_config,
        split=recipe.dataset_train_split,
        revision=recipe.dataset_revision,
        token=token,
    )
