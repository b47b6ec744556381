"""What a run wants, looked at before anything large is loaded: can it be trained, and chatted with here."""

from __future__ import annotations

from adapters.common.errors import UserError
from adapters.compat import AdapterFacts, BaseFacts, why_not, why_not_config
from core.common.home import Home
from core.models.base import BaseSource, fingerprint, outline, read_config
from core.models.base_check import context_length
from core.models.target_modules import chosen, modules_of
from core.planner.serving_limits import NOT_SERVED, NOT_SERVED_MEANT, NOT_SERVED_REMEDY, Served
from core.serving.settings import settings_in_force
from core.training.checkpoints import newest
from core.training.run import Run


def judge(run: Run, source: BaseSource, begins_from: AdapterFacts | None) -> None:
    """Refuse what can't be trained, or can't be chatted with here unless the recipe's allow_unserved is set.

    What has been trained in part is gone on with. Raises UserError.
    """
    from core.serving.lora.layers import linears

    recipe, model = run.recipe, outline(source)
    if begins_from is not None:
        base = BaseFacts(source.id, fingerprint(source), linears(model))
        reason = why_not_config(begins_from.config) or why_not(begins_from, base)
        if reason:
            what = f"The run can't begin from {recipe.init_adapter}: {reason}"
            raise UserError(what, "Choose another adapter, or none.")
        rank = begins_from.config["r"]
        run.note(f"Begins from the adapter {recipe.init_adapter}, with its rank {rank} and its layers.")
    if newest(run.checkpoints_folder) is not None:
        return
    targets = chosen(modules_of(model), recipe.lora_target_modules, source.name)
    served = Served.here(run.home)
    reason = served.why_not(recipe, targets, begins_from)
    if reason and not recipe.allow_unserved:
        raise UserError(f"{NOT_SERVED} {reason}", NOT_SERVED_REMEDY)
    if reason:
        run.note(f"{NOT_SERVED} {reason} {NOT_SERVED_MEANT}")
    elif unknown := served.unknown(begins_from.max_rank if begins_from else recipe.lora_r):
        run.note(unknown)


def about_length(source: BaseSource, home: Home, longest: int) -> list[str]:
    """What to note where the longest trained conversation, in tokens, is more than the base or the chat can hold."""
    made_for, set_to = context_length(read_config(source)), settings_in_force(home).max_length
    if made_for is not None and longest > made_for:
        said = f"and {source.name} was made for {made_for:,}: what lies beyond is hardly learnt, and no chat holds it"
        return [f"The longest conversation has {longest:,} tokens, {said}. Set max_length to {made_for}."]
    if set_to is not None and longest > set_to:
        return [f"The longest conversation has {longest:,} tokens; the engine is set to hold {set_to:,} (max_length)."]
    return []
