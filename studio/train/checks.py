"""What is checked before a run starts: whether this studio may train it, and whether it fits this machine."""

from __future__ import annotations

from functools import partial

from adapters.common.errors import UserError
from core.data.load import is_on_hub
from core.planner import NOT_SERVED, Chat, Plan, ServingLimits, count_most_steps, describe_changes, plan_run
from core.recipes.dataset import read_recipe_dataset
from core.recipes.recipe import Recipe
from core.recipes.warmup import check_learns
from core.serving.running_engine import ask_engine_memory
from core.training.speeds import known_speeds
from studio.context import Studio
from studio.data import offered_datasets
from studio.engine.gpu import find_gpu


def check_may_train(studio: Studio, recipe: Recipe) -> None:
    """What the page allows: the studio's own base, and only datasets that it offers. Raises UserError."""
    if recipe.model_name_or_path != studio.base:
        raise UserError(
            f"This studio serves the base {studio.base}, and the recipe wants {recipe.model_name_or_path}.",
            "Change model_name_or_path, or start the studio with that base (--base).",
        )
    if recipe.dataset_name not in offered_datasets.dataset_names(studio.home) and not is_on_hub(recipe.dataset_name):
        raise UserError(
            f"{recipe.dataset_name!r} is neither a dataset of this studio nor a Hub id.",
            "Upload the file on the Data page; only the command line reads other folders.",
        )
    dataset = read_recipe_dataset(recipe)
    if dataset.problems and not recipe.skip_bad_rows:
        raise UserError(
            f"{len(dataset.problems)} of {dataset.rows} rows cannot be converted.",
            "See them on the Data page and correct them, or tick skip_bad_rows to leave them out.",
        )


def plan_here(studio: Studio, recipe: Recipe, dataset_lengths: list[int] | None) -> Plan:
    """The plan on this machine's GPU, beside this studio's engine as it is set. Raises UserError."""
    engine = studio.engine
    check_learns(recipe, count_most_steps(recipe, dataset_lengths))
    return plan_run(
        recipe,
        find_gpu(),
        home=studio.home,
        dataset_lengths=dataset_lengths,
        chat=Chat(engine.settings, engine=ask_engine_memory(studio.home)),
        speeds=partial(known_speeds, studio.home, recipe.model_name_or_path),
        limits=ServingLimits(engine.settings.max_rank if engine.external_url is None else None),
    )


def check_fits(
    studio: Studio, recipe: Recipe, dataset_lengths: list[int] | None, *, may_suspend_chat: bool = False
) -> bool:
    """Whether the run fits beside the chat; False where it fits once the chat is suspended, if that may be done.

    Raises UserError, naming the nearest recipe that does, when the plan says that this one cannot fit, or that what it
    trains could not be chatted with here.
    """
    planned = plan_here(studio, recipe, dataset_lengths)
    fits = planned.fits or (may_suspend_chat and planned.without_chat)
    if planned.refused and not (fits and planned.served):
        nearest = ", ".join(describe_changes(recipe, planned.nearest)) if planned.nearest else ""
        raise UserError(
            f"{NOT_SERVED} {planned.unserved}" if fits else planned.reason,
            f"This would do: {nearest}." if nearest else "Tick the box beneath Start to try it all the same.",
        )
    return planned.fits
