"""How long a dataset's conversations are in the base's tokens, so that a plan can say steps and time."""

from __future__ import annotations

from itertools import cycle, islice

from core.recipe import Recipe
from studio.context import Studio
from studio.dataset_view import drawn
from studio.tokenizer_process import Tokenizer

Key = tuple[str | None, ...]


class Lengths:
    """Counted once per dataset, by the tokenizer's process. Its methods but `known` block: call them from a thread."""

    def __init__(self, studio: Studio) -> None:
        self._tokenizer = Tokenizer(studio.home, studio.base)
        self._counted: dict[Key, list[int]] = {}

    def known(self, recipe: Recipe) -> list[int] | None:
        """The lengths where they have been counted, else None."""
        return self._counted.get(_key(recipe))

    def count(self, recipe: Recipe) -> list[int]:
        """Tokens of each conversation; of a large dataset some are counted, and the others taken to be like them.

        Raises UserError when the dataset can't be read.
        """
        from core.data import read_dataset

        dataset = read_dataset(
            recipe.dataset_name,
            dataset_format=recipe.dataset_format,
            config=recipe.dataset_config,
            split=recipe.dataset_train_split,
            revision=recipe.dataset_revision,
        )
        lengths = [each for each in self._tokenizer.count(drawn(dataset))[0] if each is not None]
        all_of_them = list(islice(cycle(lengths), len(dataset.conversations))) if lengths else []
        self._counted[_key(recipe)] = all_of_them
        return all_of_them


def _key(recipe: Recipe) -> Key:
    return (
        recipe.dataset_name,
        recipe.dataset_format,
        recipe.dataset_config,
        recipe.dataset_train_split,
        recipe.dataset_revision,
    )
