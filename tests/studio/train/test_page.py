"""The Train page: every setting has a field, recipes go in and out of the fields, TRL's configs too."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
import yaml

from adapters.common.errors import UserError
from core.common.home import Home
from core.data import store
from core.planner import CHAT, Gpu, plan_run
from core.recipes.recipe import SETTINGS, Recipe
from core.recipes.trl_config import to_trl
from core.training.run import list_runs
from core.training.speeds import read_speeds
from studio.context import Studio
from studio.page import build_page
from studio.train import recipe_form
from studio.train.dataset_cards import cards
from studio.train.gpu import card_here
from studio.train.page import check_fits, recipe_in
from tests.studio.conftest import handler

TOO_MUCH = {"max_length": 1 << 20, "per_device_train_batch_size": 1024, "packing": True}


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


def test_a_card_of_ones_own_data_shows_how_it_begins_as_it_was_read_the_last_time(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("Frage,Antwort\nWas ist <b>das</b>?,Ein Test.\n")
    kept = store.store_files(home, [file])
    assert "mine" in cards(home, None)
    assert "Ein Test" not in cards(home, None), "nobody has said which column is what"
    store.save_reading_choice(home, kept.dataset_name, "", "question=Frage,answer=Antwort")
    shown = cards(home, None)
    assert "Was ist &lt;b&gt;das&lt;/b&gt;?" in shown
    assert "Ein Test." in shown
    assert "Ein Test" not in cards(home, None, owner=False)
    kept.files[0].write_text("Frage,Antwort\nUnd nun?,Anderes.\n")
    assert "Anderes." in cards(home, None)


@pytest.fixture
def page(quiet_studio: Studio) -> gr.Blocks:
    return build_page(quiet_studio)


def values_of(page: gr.Blocks, recipe: Recipe) -> tuple[Any, ...]:
    """What the fields of the page hold for `recipe`, in their order."""
    settings = [name for name in SETTINGS if name not in recipe_form.ELSEWHERE]
    given = recipe.to_dict()
    return tuple(recipe_form.written(name, given[name]) for name in settings)


def acting(action: str) -> gr.EventData:
    return gr.EventData(None, {"action": action, "value": ""})


def test_one_click_takes_the_nearest_recipe_that_fits(page: gr.Blocks, form: recipe_form.RecipeForm) -> None:
    given = Recipe.from_dict({"dataset_name": "pirate", **TOO_MUCH})
    assert not plan_run(given, card_here()).fits
    filled = handler(page, "train.page.nearest")(acting("nearest"), "", "pirate", *values_of(page, given))
    fields = tuple(each.value if isinstance(each, gr.Slider) else each for each in filled[1:-2])
    taken = form.recipe(filled[0], fields)
    assert plan_run(taken, card_here()).fits
    assert taken.max_length < TOO_MUCH["max_length"]


def test_where_nothing_nearer_is_that_is_told_and_other_clicks_do_nothing(page: gr.Blocks) -> None:
    fits = values_of(page, Recipe.from_dict({"dataset_name": "pirate"}))
    with pytest.raises(gr.Error, match="no nearer recipe"):
        handler(page, "train.page.nearest")(acting("nearest"), "", "pirate", *fits)
    assert all(
        each == gr.skip() for each in handler(page, "train.page.nearest")(acting("calibrate"), "", "pirate", *fits)
    )

    async def shown() -> list[Any]:
        return [
            each async for each in handler(page, "train.page.measure_speed")(acting("nearest"), "", "pirate", *fits)
        ]

    assert asyncio.run(shown()) == [gr.skip()], "the plan stays"


def test_what_cannot_fit_is_not_started_unless_overridden(page: gr.Blocks, quiet_studio: Studio) -> None:
    given = values_of(page, Recipe.from_dict({"dataset_name": "pirate", **TOO_MUCH}))
    with pytest.raises(gr.Error, match=r"It does not fit.*This would"):
        handler(page, "train.page.begin")(False, "", "pirate", *given)
    assert list_runs(quiet_studio.home) == []


def test_what_nobody_could_chat_with_here_is_not_started_unless_it_is_meant(
    page: gr.Blocks, quiet_studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.training.queue.start_worker", lambda run, torch_threads: None)
    given = values_of(page, Recipe.from_dict({"dataset_name": "pirate", "lora_r": 128}))
    begin = handler(page, "train.page.begin")

    async def cards() -> list[str]:
        return [each async for each in handler(page, "train.page.estimate")("", "pirate", *given)]

    shown = asyncio.run(cards())[-1]
    assert 'data-fits="true" data-served="false"' in shown
    assert "slots hold up to 64" in shown and 'data-look="nearest"' in shown
    with pytest.raises(gr.Error, match=r"slots hold up to 64.*This would do: lora_r 64 instead of 128"):
        begin(False, "", "pirate", *given)
    assert list_runs(quiet_studio.home) == []
    begin(True, "", "pirate", *given)
    (run,) = list_runs(quiet_studio.home)
    assert run.recipe.allow_unserved
    assert run.recipe.lora_r == 128
    shutil.rmtree(run.folder)


def test_measuring_the_speed_trains_a_few_steps_and_the_plan_then_has_a_time(
    page: gr.Blocks, quiet_studio: Studio
) -> None:
    small = {"dataset_name": "pirate", "max_length": 64, "per_device_train_batch_size": 1, "max_samples": 20}
    given = values_of(page, Recipe.from_dict(small))

    async def shown() -> list[str]:
        return [
            each async for each in handler(page, "train.page.measure_speed")(acting("calibrate"), "", "pirate", *given)
        ]

    first, *later = asyncio.run(shown())
    assert "Training a few steps" in first
    assert "<b>Time</b>" in later[-1]
    assert "±" in later[-1]
    assert read_speeds(quiet_studio.home)


def test_start_goes_by_the_same_lengths_as_the_plan_beside_it(quiet_studio: Studio) -> None:
    """Where the conversations have been counted and are short, a large max_length costs nothing."""
    unpacked = Recipe.from_dict({"dataset_name": "pirate", **TOO_MUCH, "packing": False})
    check_fits(quiet_studio, unpacked, [40] * 100)
    with pytest.raises(UserError, match="does not fit"):
        check_fits(quiet_studio, unpacked, None)


def test_a_run_that_fits_without_the_chat_starts_where_the_chat_can_be_parked(
    quiet_studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe.from_dict({"dataset_name": "pirate"})
    parts = plan_run(recipe, Gpu.find("cpu")).parts
    alone = sum(part.bytes for part in parts if part.owner != CHAT)
    monkeypatch.setattr("studio.train.page.card_here", lambda: Gpu("small", alone, alone, None, here=True))
    assert not check_fits(quiet_studio, recipe, None, may_park=True)
    with pytest.raises(UserError, match="if the chat were stopped"):
        check_fits(quiet_studio, recipe, None)
    monkeypatch.setattr("studio.train.page.card_here", lambda: Gpu("smaller", alone, alone - 1, None, here=True))
    with pytest.raises(UserError, match="It does not fit"):
        check_fits(quiet_studio, recipe, None, may_park=True)
