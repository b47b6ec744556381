"""How long a dataset's conversations are in the base's tokens, so that a plan can say steps and time."""

from __future__ import annotations

from itertools import chain, cycle, islice

from core.recipes.dataset import read_recipe_dataset
from core.recipes.recipe import Recipe
from studio.context import Studio
from studio.data.token_counts import sampled_numbers

Key = tuple[str | None, ...]


class DatasetLengths:
    """Counted once per dataset, by the tokenizer's process. Its methods but `known` block: call them from a thread."""

    def __init__(self, studio: Studio) -> None:
        self._tokenizer = studio.tokenizer
        self._counted: dict[Key, list[list[int]]] = {}

    def known(self, recipe: Recipe) -> list[int] | None:
        """The lengths where they have been counted, else None; of as many conversations as the recipe uses."""
        counted = self._counted.get(_key(recipe))
        return None if counted is None else list(chain.from_iterable(counted[: recipe.max_samples or None]))

    def count(self, recipe: Recipe) -> list[int]:
        """Tokens of each training row; of a large dataset some are counted, and the others taken to be like them.

        Raises UserError when the dataset can't be read.
        """
        dataset = read_recipe_dataset(recipe)
        chosen = [dataset.conversations[number - 1] for number in sampled_numbers(len(dataset.conversations))]
        lengths = [[row[0] for row in rows] for rows in self._tokenizer.count(chosen) if rows is not None]
        self._counted[_key(recipe)] = list(islice(cycle(lengths), len(dataset.conversations)))
        return self.known(recipe) or []


def _key(recipe: Recipe) -> Key:
    return (
        recipe.dataset_name,
        recipe.dataset_format,
        recipe.dataset_columns,
        recipe.dataset_config,
        recipe.dataset_train_split,
        recipe.dataset_revision,
    )
