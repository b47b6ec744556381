"""Pasted recipes, and TRL's configs."""

from __future__ import annotations

import pytest
import yaml

from adapters.common.errors import UserError
from core.recipes.recipe import Recipe
from core.recipes.trl_config import to_trl
from studio.context import Studio
from studio.train.recipe_input import parse_pasted


def test_a_trl_config_comes_back_as_the_recipe_that_it_was_made_from(quiet_studio: Studio) -> None:
    recipe = Recipe.from_dict({"dataset_name": "pirate", "run_name": "mine", "learning_rate": 1e-3})
    back, left = parse_pasted(quiet_studio, to_trl(recipe))
    assert (back.model_name_or_path, back.learning_rate, back.lora_r) == ("builtin", 1e-3, recipe.lora_r)
    assert "use_peft" in left


def test_pasted_nonsense_is_a_users_error(quiet_studio: Studio) -> None:
    for text in ("", "- a\n- b\n", "a: [", "dataset_name: pirate\nlearning_rats: 1\n"):
        with pytest.raises(UserError):
            parse_pasted(quiet_studio, text)
    with pytest.raises((UserError, yaml.YAMLError)):
        parse_pasted(quiet_studio, "!!python/object/apply:os.system ['id']")
