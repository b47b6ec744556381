"""The Train page: every setting has a field, recipes go in and out of the fields, TRL's configs too."""

from __future__ import annotations

import gradio as gr
import pytest
import yaml

from core.errors import UserError
from core.recipe import SETTINGS, Recipe
from core.training.export import to_trl
from studio.context import Studio
from studio.dataset_cards import cards
from studio.pages import recipe_form
from studio.pages.train import recipe_in


@pytest.fixture
def form(quiet_studio: Studio) -> recipe_form.RecipeForm:
    with gr.Blocks():
        return recipe_form.build(quiet_studio)


def test_every_setting_has_a_field_with_its_help(form: recipe_form.RecipeForm) -> None:
    assert set(form.fields) == set(SETTINGS) - set(recipe_form.ELSEWHERE)
    for name, field in form.fields.items():
        assert field.info == SETTINGS[name].metadata["help"]


def test_untouched_fields_are_the_defaults(form: recipe_form.RecipeForm) -> None:
    values = tuple(field.value for field in form.fields.values())
    assert form.recipe("pirate", values) == Recipe.from_dict({"dataset_name": "pirate"})


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
    shown = form.filled_with(recipe)
    assert len(shown) == len(form.fields)
    values = tuple(each.value if isinstance(each, gr.Slider) else each for each in shown)
    assert form.recipe("pirate", values) == recipe
    slider = next(each for each in shown if isinstance(each, gr.Slider) and each.value == 50)
    assert slider.maximum == 50


def test_nothing_chosen_is_told(form: recipe_form.RecipeForm) -> None:
    with pytest.raises(UserError, match="dataset_name is missing"):
        form.recipe(None, tuple(field.value for field in form.fields.values()))


def test_a_trl_config_comes_back_as_the_recipe_that_it_was_made_from(quiet_studio: Studio) -> None:
    recipe = Recipe.from_dict({"dataset_name": "pirate", "run_name": "mine", "learning_rate": 1e-3})
    back, left = recipe_in(quiet_studio, to_trl(recipe))
    assert (back.model_name_or_path, back.learning_rate, back.lora_r) == ("builtin", 1e-3, recipe.lora_r)
    assert "use_peft" in left


def test_pasted_nonsense_is_a_users_error(quiet_studio: Studio) -> None:
    for text in ("", "- a\n- b\n", "a: [", "dataset_name: pirate\nlearning_rats: 1\n"):
        with pytest.raises(UserError):
            recipe_in(quiet_studio, text)
    with pytest.raises((UserError, yaml.YAMLError)):
        recipe_in(quiet_studio, "!!python/object/apply:os.system ['id']")


def test_cards_show_what_a_sample_is_like_and_which_is_chosen(quiet_studio: Studio) -> None:
    shown = cards(quiet_studio.home, "radio")
    assert "Over." in shown
    assert shown.count('aria-pressed="true"') == 1
