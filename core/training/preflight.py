"""Checks before anything large is loaded: can the run be trained, and its adapter be chatted with here."""

from __future__ import annotations

from adapters.common.errors import UserError
from adapters.compat import AdapterFacts, BaseFacts, why_not, why_not_config
from core.common.home import Home
from core.models.base import BaseSource, fingerprint, outline, read_config
from core.models.base_check import context_length
from core.models.target_modules import chosen, modules_of
from core.planner.serving_limits import NOT_SERVED, NOT_SERVED_ALLOWED, NOT_SERVED_REMEDY, ServingLimits
from core.serving.settings import settings_in_force
from core.training.checkpoints import newest_checkpoint
from core.training.run import Run


def check_run(run: Run, source: BaseSource, init_adapter: AdapterFacts | None) -> None:
    """Refuse what can't be trained, or can't be chatted with here unless the recipe's allow_unserved is set.

    A run that has a checkpoint is not refused for what the engine serves. Raises UserError.
    """
    from core.serving.lora.layers import linear_shapes

    recipe, model = run.recipe, outline(source)
    if init_adapter is not None:
        base = BaseFacts(source.id, fingerprint(source), linear_shapes(model))
        reason = why_not_config(init_adapter.config) or why_not(init_adapter, base)
        if reason:
            what = f"The run can't begin from {recipe.init_adapter}: {reason}"
            raise UserError(what, "Choose another adapter, or none.")
        rank = init_adapter.config["r"]
        run.note(f"Begins from the adapter {recipe.init_adapter}, with its rank {rank} and its layers.")
    if newest_checkpoint(run.checkpoints_folder) is not None:
        return
    targets = chosen(modules_of(model), recipe.lora_target_modules, source.name)
    limits = ServingLimits.of_home(run.home)
    reason = limits.why_unserved(recipe, targets, init_adapter)
    if reason and not recipe.allow_unserved:
        raise UserError(f"{NOT_SERVED} {reason}", NOT_SERVED_REMEDY)
    if reason:
        run.note(f"{NOT_SERVED} {reason} {NOT_SERVED_ALLOWED}")
    elif caveat := limits.find_caveat(init_adapter.max_rank if init_adapter else recipe.lora_r):
        run.note(caveat)


def length_warnings(source: BaseSource, home: Home, longest: int) -> list[str]:
    """What to note where the longest trained conversation, in tokens, is more than the base or the chat can hold."""
    made_for, set_to = context_length(read_config(source)), settings_in_force(home).max_length
    if made_for is not None and longest > made_for:
        caveat = f"and {source.name} was made for {made_for:,}: what lies beyond is hardly learnt, and no chat holds it"
        return [f"The longest conversation has {longest:,} tokens, {caveat}. Set max_length to {made_for}."]
    if set_to is not None and longest > set_to:
        return [f"The longest conversation has {longest:,} tokens; the engine is set to hold {set_to:,} (max_length)."]
    return []
