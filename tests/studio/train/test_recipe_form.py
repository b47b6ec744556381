"""The fields of a recipe: every setting has one, and a recipe survives them."""

from __future__ import annotations

import gradio as gr
import pytest

from adapters.common.errors import UserError
from core.recipes.recipe import SETTINGS, Recipe
from studio.context import Studio
from studio.train import recipe_form


@pytest.fixture(scope="module")
def form(quiet_studio: Studio) -> recipe_form.RecipeForm:
    with gr.Blocks():
        return recipe_form.build(quiet_studio)


def test_every_setting_has_a_field_with_its_help(form: recipe_form.RecipeForm) -> None:
    assert set(form.fields) == set(SETTINGS) - set(recipe_form.WITHOUT_FIELD)
    for name, field in form.fields.items():
        assert field.info == SETTINGS[name].metadata["help"]


def test_untouched_fields_are_the_defaults(form: recipe_form.RecipeForm) -> None:
    values = tuple(field.value for field in form.fields.values())
    assert form.to_recipe("pirate", values) == Recipe.from_dict({"dataset_name": "pirate"})


def test_a_recipe_survives_the_fields(form: recipe_form.RecipeForm) -> None:
    recipe = Recipe.from_dict(
        {
            "dataset_name": "pirate",
            "run_name": "mine",
            "num_train_epochs": 50,  # more than a beginner's slider offers
            "lora_target_modules": ["q_proj", "v_proj"],
            "sample_prompts": ["Who are you?", "What is 3 plus 4?"],
            "lr_scheduler_type": "linear",
            "packing": True,
        }
    )
    shown = form.updates_for(recipe)
    assert len(shown) == len(form.fields)
    values = tuple(field.value if isinstance(field, gr.Slider) else field for field in shown)
    assert form.to_recipe("pirate", values) == recipe
    slider = next(field for field in shown if isinstance(field, gr.Slider) and field.value == 50)
    assert slider.maximum == 50


def test_nothing_chosen_is_told(form: recipe_form.RecipeForm) -> None:
    with pytest.raises(UserError, match="dataset_name is missing"):
        form.to_recipe(None, tuple(field.value for field in form.fields.values()))
