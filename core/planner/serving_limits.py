"""Whether an adapter that a recipe would make can be chatted with here: asked before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.compat import AdapterFacts, why_not_lora, why_not_slots
from adapters.store import AdapterStore
from core.common.home import Home
from core.common.process import announced
from core.models.target_modules import UNSERVED
from core.recipes.recipe import Recipe, lora_settings
from core.serving.settings import EngineSettings, settings_in_force

VLLM_RANK = 16  # what a vLLM server serves unless it is told otherwise
NOT_SERVED = "It can be trained, but not chatted with here."
NOT_SERVED_ALLOWED = "It is trained all the same, as allow_unserved says."
NOT_SERVED_REMEDY = (
    "Change the recipe, or the engine's settings; or set allow_unserved, to train it for use elsewhere all the same."
)


@dataclass(frozen=True)
class ServingLimits:
    """What the engine serves that the chat uses. max_rank: None where that is another server, which does not tell."""

    max_rank: int | None = EngineSettings.max_rank

    @classmethod
    def of_home(cls, home: Home) -> ServingLimits:
        """By the engine of this home that lives, or would be started."""
        return cls(None if _has_foreign_engine(home) else settings_in_force(home).max_rank)

    def why_unserved(self, recipe: Recipe, targets: Mapping[str, str], init_adapter: AdapterFacts | None) -> str | None:
        """Why the engine could not serve what `recipe` trains; None when it can, or when that is not known.

        targets: path -> kind of the modules that get an adapter, as core.models.target_modules.chosen gives them.
        """
        if self.max_rank is None:
            return None
        if init_adapter is not None:
            return why_not_slots(init_adapter, self.max_rank)
        config: dict[str, Any] = {"peft_type": "LORA", **lora_settings(recipe)}
        odd = sorted(path for path, kind in targets.items() if kind == UNSERVED)
        return why_not_lora(config, rank=recipe.lora_r, odd=odd, max_rank=self.max_rank)

    def find_caveat(self, rank: int) -> str | None:
        """What can't be said about an adapter of this rank, since the engine is another server."""
        if self.max_rank is not None or rank <= VLLM_RANK:
            return None
        return (
            f"The engine is another server, which does not tell up to which rank it serves; this one has {rank}. "
            f"vLLM serves up to {VLLM_RANK} unless it was started with a higher --max-lora-rank."
        )


def find_init_adapter(recipe: Recipe, home: Home) -> AdapterFacts | None:
    """The adapter that the run begins from, whose rank and layers are kept. Raises UserError when it is not there."""
    return AdapterStore(home.adapters).facts(recipe.init_adapter) if recipe.init_adapter else None


def _has_foreign_engine(home: Home) -> bool:
    """Whether a studio that lives has another server as its engine."""
    web = announced(home.processes / "web.json")
    return web is not None and web.alive() and web.foreign_engine
