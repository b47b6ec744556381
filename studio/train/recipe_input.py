"""The recipe that the Train page describes: pasted as YAML, or in the fields."""

from __future__ import annotations

from typing import Any

import yaml

from core.models.base import resolve
from core.recipes.recipe import Recipe
from core.recipes.trl_config import from_trl
from studio.context import Studio
from studio.train.recipe_form import RecipeForm


def recipe_for(
    studio: Studio, form: RecipeForm, yaml_text: str | None, dataset_name: str | None, values: tuple[Any, ...]
) -> Recipe:
    """The pasted recipe, or else the one in the fields. Raises UserError."""
    if yaml_text and yaml_text.strip():
        return parse_pasted(studio, yaml_text)[0]
    return form.to_recipe(dataset_name, values)


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
