"""What a run on a CPU spends free memory on, and that a plan counts it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.planner import plan_run
from core.planner.gpus import CATALOGUE, GIB, Gpu
from core.planner.memory_parts import training_parts
from core.planner.model_shape import ModelShape, shape_of
from core.planner.training_form import TrainingForm, choose_form
from core.recipes.recipe import Recipe
from tests.core.planner.configs import QWEN_2_5_1_5B

RECIPE = Recipe.from_dict({"dataset_name": "pirate", "model_name_or_path": "some/base", "eval_fraction": 0.0})
CPU = Gpu("CPU", 64 * GIB, 64 * GIB, None)


@pytest.fixture
def shape() -> ModelShape:
    return shape_of(QWEN_2_5_1_5B, "qwen2")


def chosen(shape: ModelShape, room: float, recipe: Recipe = RECIPE) -> TrainingForm:
    return choose_form(recipe, shape, CPU, room=round(room))


def test_with_plenty_of_room_nothing_is_unpacked_or_calculated_twice(shape: ModelShape) -> None:
    form = chosen(shape, 1000 * GIB)
    assert form.written_out and not form.recipe.gradient_checkpointing
    assert form.parts == training_parts(form.recipe, shape, CPU, written_out=True)


def test_with_less_room_first_the_weights_stay_packed_and_then_activations_are_calculated_again(
    shape: ModelShape,
) -> None:
    fastest = chosen(shape, 1000 * GIB)
    packed = chosen(shape, 2 * fastest.total - 1)
    assert not packed.written_out and not packed.recipe.gradient_checkpointing
    frugal = chosen(shape, 0)
    assert not frugal.written_out and frugal.recipe == RECIPE
    assert frugal.parts == training_parts(RECIPE, shape, CPU)


def test_what_is_taken_for_speed_never_exceeds_half_the_room(shape: ModelShape) -> None:
    frugal = chosen(shape, 0)
    for room in range(4 * GIB, 40 * GIB, GIB):
        form = chosen(shape, room)
        assert form.total <= room / 2 or form.parts == frugal.parts


def test_a_base_that_is_not_in_4_bit_has_nothing_to_write_out(shape: ModelShape) -> None:
    assert not chosen(shape, 1000 * GIB, replace(RECIPE, load_in_4bit=False)).written_out


def test_on_a_gpu_the_recipe_is_taken_at_its_word(shape: ModelShape) -> None:
    form = choose_form(RECIPE, shape, CATALOGUE["h100"])
    assert not form.written_out and form.recipe == RECIPE


def test_a_plan_counts_what_is_written_out(shape: ModelShape) -> None:
    names = {part.name: part.bytes for part in plan_run(RECIPE, CPU, shape=shape).parts}
    assert names["Base written out"] == 4 * shape.linear_parameters
    assert names["Unpacked matrix"] == 0


def test_nothing_is_padded_where_a_micro_batch_has_several_and_nobody_chose_otherwise(shape: ModelShape) -> None:
    several = replace(RECIPE, per_device_train_batch_size=4)
    assert chosen(shape, 1000 * GIB, several).padding_free
    assert chosen(shape, 0, several).padding_free  # it takes no memory
    assert chosen(shape, 1000 * GIB, replace(RECIPE, packing=True)).padding_free  # rows are packed, and lie so
    assert not chosen(shape, 1000 * GIB, replace(several, packing=False)).padding_free
    assert not chosen(shape, 1000 * GIB).padding_free  # one conversation has no padding
    assert not choose_form(several, shape, CATALOGUE["h100"]).padding_free
    assert plan_run(several, CPU, shape=shape).about_padding
    assert not plan_run(RECIPE, CPU, shape=shape).about_padding


def test_conversations_lie_end_to_end_only_where_every_layer_sees_all_of_each(shape: ModelShape) -> None:
    several = replace(RECIPE, per_device_train_batch_size=4, max_length=1024)
    assert not chosen(replace(shape, window=512), 1000 * GIB, several).padding_free
    assert choose_form(several, replace(shape, window=512), CPU, longest=500).padding_free
    assert not chosen(replace(shape, model_type="gemma2"), 1000 * GIB, several).padding_free  # its scores are capped
