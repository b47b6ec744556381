"""The form in which a run trains here: what free memory is spent on, with the reason."""

from __future__ import annotations

import logging

import psutil

from adapters.common.errors import UserError
from core.common.home import Home
from core.planner.gpus import this_machine
from core.planner.model_shape import read_shape
from core.planner.training_form import PADDING_FREE, TrainingForm, choose_form
from core.recipes.recipe import Recipe
from core.serving.running_engine import ask_engine_memory

logger = logging.getLogger(__name__)


def choose_form_here(recipe: Recipe, longest: int, home: Home) -> TrainingForm:
    """What fits beside everything that takes memory now, and beside what the engine of this home may still take.

    longest: tokens of the longest conversation.
    """
    device, engine = this_machine(), ask_engine_memory(home)
    room = min(device.usable, psutil.virtual_memory().available) - (engine.still_to_come if engine else 0)
    try:
        shape = read_shape(recipe.model_name_or_path)
        return choose_form(recipe, shape, device, room=max(0, room), longest=longest)
    except UserError as error:
        logger.info("the memory that the run takes is not known: %s", error)
        return TrainingForm(recipe, False, [], "the memory that it takes is not known")


def tell(form: TrainingForm) -> str:
    """A sentence for the run's notes."""
    weights = "written out" if form.written_out else "packed"
    activations = "calculated again" if form.recipe.gradient_checkpointing else "kept"
    told = f"Memory for speed: weights {weights}, activations {activations} ({form.reason})."
    return f"{told} {PADDING_FREE}" if form.padding_free else told
