"""The components of the Train page that its handlers read and update."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from core.recipes.recipe import Recipe
from studio.data.dataset_settings import RECIPE_SETTINGS
from studio.train.recipe_form import LEVELS, RecipeForm


@dataclass(frozen=True)
class TrainPage:
    dataset_cards: gr.HTML
    dataset: gr.Dropdown
    form: RecipeForm
    yaml: gr.Code
    plan: gr.HTML
    start_anyway: gr.Checkbox

    @property
    def init_adapter(self) -> gr.Dropdown:
        field: gr.Dropdown = self.form.fields["init_adapter"]
        return field

    @property
    def dataset_inputs(self) -> list[Any]:
        """What the Data page hands over: dataset_name, and the settings that RECIPE_SETTINGS names."""
        return [self.dataset, *(self.form.fields[name] for name in RECIPE_SETTINGS)]

    @property
    def recipe_inputs(self) -> list[Any]:
        """What tells the recipe: the pasted YAML, or else the dataset and the fields."""
        return [self.yaml, self.dataset, *self.form.fields.values()]

    @property
    def recipe_outputs(self) -> list[Any]:
        """What shows a recipe, in the order of `recipe_updates`."""
        return [self.dataset, *self.form.fields.values(), self.yaml, self.form.level]

    def recipe_updates(self, recipe: Recipe) -> list[Any]:
        """Updates of `recipe_outputs`: the fields show the recipe, all of them, and nothing is pasted."""
        return [recipe.dataset_name, *self.form.updates_for(recipe), "", LEVELS[-1]]
