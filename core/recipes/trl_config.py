"""A recipe as `trl sft --config` takes it, for training elsewhere, and such a file as a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from adapters.common import safe_yaml
from adapters.common.errors import UserError
from core.models.base import resolve
from core.recipes.recipe import SETTINGS, Recipe

# Settings of this studio that TRL's command has no counterpart for.
STUDIO_ONLY = frozenset(
    {
        "dataset_revision",
        "dataset_format",
        "dataset_columns",
        "max_samples",
        "skip_bad_rows",
        "eval_fraction",
        "init_adapter",
        "allow_unserved",
        "sample_prompts",
    }
)
# What TRL has to be told, and what this studio does anyway or decides by the device.
TRL_FIXED: dict[str, Any] = {
    "use_peft": True,
    "bnb_4bit_quant_type": "nf4",
    "assistant_only_loss": True,
    "save_strategy": "steps",
    "report_to": "tensorboard",
}
DECIDED_HERE = frozenset(
    {"output_dir", "bf16", "fp16", "dtype", "attn_implementation", "lora_task_type", "dataset_test_split"}
    | {"eval_strategy", "logging_strategy", "push_to_hub", "trust_remote_code", *TRL_FIXED}
)
HEAD = """\
# For `trl sft --config FILE`, made from a recipe of Guanaco Studio.
# TRL reads datasets from the Hub, with a column `messages`; a file or a bundled sample has to be uploaded so first.
# Its template needs {% generation %} marks for assistant_only_loss. There is no held-out split: eval_strategy is no.
"""


def to_trl(recipe: Recipe) -> str:
    """YAML that TRL's own parser accepts. Raises UserError where the base is a folder that is not there."""
    settings = {
        name: value for name, value in recipe.to_dict().items() if name not in STUDIO_ONLY and value is not None
    }
    settings["model_name_or_path"] = resolve(recipe.model_name_or_path).location
    if isinstance(recipe.lora_target_modules, str):
        settings["lora_target_modules"] = [recipe.lora_target_modules]
    settings |= TRL_FIXED | {
        "output_dir": recipe.run_name or Path(recipe.dataset_name).stem,
        "eval_strategy": "no",
        "load_best_model_at_end": False,  # needs an eval split
        # Without 4 bit there is nothing to double-quantise, and TRL would object.
        "use_bnb_nested_quant": recipe.load_in_4bit and recipe.use_bnb_nested_quant,
    }
    return HEAD + yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)


def from_trl(text: str) -> tuple[Recipe, list[str]]:
    """The recipe that a TRL config describes, and the names of its settings that are decided differently here.

    Raises UserError for broken YAML, and for settings that neither have a counterpart nor can be left to the studio.
    """
    try:
        given = safe_yaml.load(text)
    except yaml.YAMLError as error:
        raise UserError(f"The file is not valid YAML: {error}.", "Export it once more.") from error
    if not isinstance(given, dict):
        raise UserError("The file has no settings.", "Give the YAML that `trl sft --config` takes.")
    left = sorted(name for name in given if name in DECIDED_HERE and name not in SETTINGS)
    kept = {str(name): value for name, value in given.items() if name not in left}
    if kept.get("lora_target_modules") == ["all-linear"]:
        kept["lora_target_modules"] = "all-linear"
    return Recipe.from_dict(kept), left
