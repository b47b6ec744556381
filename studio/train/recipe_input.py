"""The recipe that the Train page describes: pasted as YAML, or in the fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from core.models.base import resolve
from core.recipes.recipe import Recipe
from core.recipes.trl_config import from_trl
from studio.context import Studio
from studio.train.recipe_form import RecipeForm


@dataclass(frozen=True)
class RecipeInputs:
    """What tells the recipe: YAML that was pasted, or else the dataset and the fields' values."""

    yaml: str
    dataset_name: str | None
    fields: tuple[Any, ...]

    @classmethod
    def of(cls, values: Sequence[Any]) -> RecipeInputs:
        """The values of `TrainPage.recipe_inputs`, as handlers get them."""
        pasted, dataset_name, *fields = values
        return cls((pasted or "").strip(), dataset_name, tuple(fields))

    @property
    def are_empty(self) -> bool:
        return not self.yaml and not self.dataset_name


def recipe_for(studio: Studio, form: RecipeForm, inputs: RecipeInputs) -> Recipe:
    """The pasted recipe, or else the one in the fields. Raises UserError."""
    if inputs.yaml:
        return parse_pasted(studio, inputs.yaml)[0]
    return form.to_recipe(inputs.dataset_name, inputs.fields)


def parse_pasted(studio: Studio, text: str) -> tuple[Recipe, list[str]]:
    """A pasted recipe or TRL config, for this studio's base where it names none, and what of it is decided here.

    Raises UserError.
    """
    try:
        settings = yaml.safe_load(text)
    except yaml.YAMLError:
        settings = None  # from_trl says so, with the remedy
    if isinstance(settings, dict):
        base = settings.get("model_name_or_path", studio.base)
        is_same = base == resolve(studio.base).location  # as TRL's configs name the built-in base
        text = yaml.safe_dump({**settings, "model_name_or_path": studio.base if is_same else base}, sort_keys=False)
    return from_trl(text)
