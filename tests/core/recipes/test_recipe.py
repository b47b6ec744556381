"""Recipes: complete, in the field's names, and wrong ones told all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.common.errors import UserError
from core.recipes.recipe import SETTINGS, TYPES, Recipe


def test_only_the_dataset_is_needed() -> None:
    recipe = Recipe.from_yaml("dataset_name: pirate")
    assert recipe.model_name_or_path == "builtin"
    assert recipe.load_in_4bit
    assert recipe.lora_target_modules == "all-linear"


def test_yaml_round_trip_is_exact() -> None:
    recipe = Recipe.from_dict({"dataset_name": "a.jsonl", "lora_target_modules": ["q_proj"], "learning_rate": 3e-4})
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe


def test_defaults_follow_the_base_and_what_is_given_wins() -> None:
    tiny = Recipe.from_dict({"dataset_name": "pirate"})
    real = Recipe.from_dict({"dataset_name": "pirate", "model_name_or_path": "owner/model"})
    assert tiny.learning_rate > real.learning_rate
    assert real.gradient_checkpointing and not tiny.gradient_checkpointing
    assert Recipe.from_dict({"dataset_name": "pirate", "learning_rate": 1e-4}).learning_rate == 1e-4


def test_numbers_as_people_write_them_in_yaml() -> None:
    assert Recipe.from_yaml("dataset_name: x\nlearning_rate: 2e-4").learning_rate == 2e-4  # YAML reads this as text


def test_all_problems_in_one_error() -> None:
    with pytest.raises(UserError) as caught:
        Recipe.from_dict({"lora_alpa": 4, "lora_r": 0.5, "packing": "yes", "learning_rate": "fast"})
    text = str(caught.value)
    assert "did you mean lora_alpha?" in text
    for name in (
        "dataset_name is missing",
        "lora_r is 0.5",
        "packing is 'yes'",
        "learning_rate is 'fast'",
        "5 problems",
    ):
        assert name in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_steps", 0),
        ("lora_r", 0),
        ("lora_r", 4096),
        ("learning_rate", 5),
        ("max_length", 1),
        ("eval_fraction", 0.9),
        ("lora_dropout", -0.1),
        ("run_name", "../escape"),
        ("optim", "paged_adamw_8bit"),
        ("lr_scheduler_type", "cosinus"),
        ("lora_target_modules", []),
        ("seed", True),
        ("max_steps", 2 * 10**9),
        ("max_steps", -2),
        ("model_name_or_path", ""),
        ("dataset_train_split", " "),
        ("lora_target_modules", "  "),
        ("lora_target_modules", ["q_proj", ""]),
        ("dataset_format", "no-such"),
        ("run_name", 1.10),
        ("dataset_revision", float("inf")),
        ("dataset_name", ""),
    ],
)
def test_values_out_of_range_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(UserError, match=name):
        Recipe.from_dict({"dataset_name": "pirate", name: value})


@pytest.mark.parametrize("text", ["", "- a\n- b", "just words", "a: [1"])
def test_yaml_that_is_no_recipe(text: str) -> None:
    with pytest.raises(UserError, match="recipe"):
        Recipe.from_yaml(text)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        Recipe.read(tmp_path / "none.yaml")
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("dataset_name: café".encode("latin-1"))
    with pytest.raises(UserError, match="UTF-8"):
        Recipe.read(latin)


NUMBERS = [name for name, kinds in TYPES.items() if int in kinds or float in kinds]
NO_NUMBERS = [
    ".inf",
    "-.inf",
    ".nan",
    '"inf"',
    "nan",
    "1" + "0" * 400,
    "-1" + "0" * 4000,
    "1e999",
    "yes",
    "many",
    '""',
    "[1]",
    "{a: 1}",
    "2024-01-01",
    "!!binary MTI=",
    "12 steps",
]


@pytest.mark.parametrize("name", NUMBERS)
def test_what_is_no_number_is_a_problem_that_names_its_setting(name: str) -> None:
    is_optional = type(None) in TYPES[name]
    for value in NO_NUMBERS:
        if value == '""' and is_optional:
            continue  # left empty, which means its default
        with pytest.raises(UserError) as caught:
            Recipe.from_yaml(f"dataset_name: pirate\n{name}: {value}")
        text = str(caught.value)
        assert f"- {name} is " in text and "1 problem" in text and len(text) < 400, value


def test_a_setting_that_stands_twice_is_refused() -> None:
    with pytest.raises(UserError, match="'max_steps' stands in it twice"):
        Recipe.from_yaml("dataset_name: pirate\nmax_steps: 10\nlora_r: 4\nmax_steps: 20")


def test_an_optional_setting_left_empty_is_not_given() -> None:
    recipe = Recipe.from_yaml("dataset_name: pirate\ndataset_revision: ''\ninit_adapter: \nrun_name: ' '")
    assert (recipe.dataset_revision, recipe.init_adapter, recipe.run_name) == (None, None, None)


def test_a_polynomial_schedule_needs_a_rate_above_its_end() -> None:
    with pytest.raises(UserError, match="learning_rate is 1e-07: the polynomial schedule ends at 1e-07"):
        Recipe.from_dict({"dataset_name": "pirate", "lr_scheduler_type": "polynomial", "learning_rate": 1e-7})


def test_every_setting_has_a_help_text() -> None:
    assert all(len(field.metadata["help"]) > 10 for field in SETTINGS.values())
