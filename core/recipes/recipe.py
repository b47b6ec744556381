"""A recipe says everything about one run, in TRL's and PEFT's own argument names."""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import yaml

from adapters.common import safe_yaml
from adapters.common.errors import UserError
from core.recipes.fields import (
    BASIC,
    OPTIMISERS,
    SCHEDULES,
    USUAL,
    check_columns,
    check_format,
    check_max_steps,
    check_run_name,
    check_target_modules,
    convert,
    find_problem,
    setting,
)

POLYNOMIAL_END = 1e-7  # transformers' default for the rate at which the polynomial schedule ends


@dataclass(kw_only=True)
class Recipe:
    """One run's settings. A Recipe is always complete: what was not given has the default for its base.

    Build one with `from_dict`, `from_yaml` or `read`; they check everything and raise one UserError with all problems.
    """

    dataset_name: str = setting(..., "What to learn from: a bundled sample, a file, or a Hub dataset id.", BASIC)
    dataset_config: str | None = setting(None, "The configuration of a Hub dataset that has several.")
    dataset_train_split: str = setting("train", "The split of a Hub dataset to train on.")
    dataset_revision: str | None = setting(None, "The revision of a Hub dataset: a commit, a branch or a tag.")
    dataset_format: str | None = setting(
        None, "The rows' format, where detection should be overridden.", check=check_format
    )
    dataset_columns: str | None = setting(
        None,
        "Columns that stand for the known ones: question=Frage,answer=Antwort. Empty: by their own names.",
        check=check_columns,
    )
    max_samples: int | None = setting(
        None, "Use only so many conversations, drawn at random with the seed. 0 or empty: all of them.", low=0, high=1e9
    )
    skip_bad_rows: bool = setting(False, "Leave out rows that cannot be converted, instead of refusing the dataset.")
    eval_fraction: float = setting(
        0.05, "Share of the conversations held out to measure eval loss; 0 for none.", USUAL, low=0, high=0.5
    )

    model_name_or_path: str = setting("builtin", "The base: 'builtin', a Hub id, or a folder.", USUAL)
    load_in_4bit: bool = setting(True, "Keep the base in 4-bit NF4 (QLoRA).")
    use_bnb_nested_quant: bool = setting(True, "Quantise the quantisation constants too (double quantisation).")

    run_name: str | None = setting(None, "The run's and the adapter's name.", BASIC, check=check_run_name)
    num_train_epochs: float = setting(1.0, "How often to go through the dataset.", BASIC, low=0.01, high=1000)
    max_steps: int = setting(
        -1,
        "Stop after this many optimiser steps; -1 leaves it to the epochs.",
        USUAL,
        low=-1,
        high=1e9,
        check=check_max_steps,
    )
    learning_rate: float = setting(2e-4, "Peak learning rate.", BASIC, low=1e-7, high=1)
    lr_scheduler_type: str = setting(
        "cosine", "How the learning rate falls: cosine, linear, constant, …", choices=SCHEDULES
    )
    warmup_steps: float = setting(0.03, "Steps of rising learning rate; below 1 a share of all steps.", low=0, high=1e6)
    weight_decay: float = setting(0.0, "AdamW's weight decay on the adapter's weights.", low=0, high=1)
    optim: str = setting(
        "adamw_torch", "The optimiser, as transformers names it; adamw_8bit saves GPU memory.", choices=OPTIMISERS
    )
    max_grad_norm: float = setting(1.0, "Gradients are clipped to this norm.", low=0, high=1e6)
    per_device_train_batch_size: int = setting(1, "Conversations per micro-batch.", USUAL, low=1, high=1024)
    per_device_eval_batch_size: int = setting(1, "Conversations per evaluation batch.", low=1, high=1024)
    gradient_accumulation_steps: int = setting(8, "Micro-batches per optimiser step.", USUAL, low=1, high=4096)
    gradient_checkpointing: bool = setting(
        True,
        "Recompute activations to save memory, for about a third more time. On a CPU they are kept all the same where "
        "memory is free.",
    )
    max_length: int = setting(
        1024, "Longest conversation in tokens; what is longer is cut.", USUAL, low=16, high=1 << 20
    )
    packing: bool | None = setting(
        None,
        "Put several short conversations into one sequence of max_length, so that fewer steps have more each. If not "
        "given: on a CPU those of a micro-batch lie end to end, without padding, and the steps stay as they are.",
    )
    seed: int = setting(
        42, "Seed of the split, the data order and the adapter's initial weights.", USUAL, low=0, high=2**32 - 1
    )

    lora_r: int = setting(16, "The adapter's rank: how much it can learn.", BASIC, low=1, high=512)
    lora_alpha: int = setting(
        32, "The adapter's strength; its output is scaled by lora_alpha / lora_r.", USUAL, low=1, high=4096
    )
    lora_dropout: float = setting(
        0.0, "Dropout on the adapter's input; above 0 costs much activation memory.", low=0, high=0.9
    )
    lora_target_modules: str | list[str] = setting(
        "all-linear", "The layers that get an adapter.", check=check_target_modules
    )
    use_rslora: bool = setting(False, "Scale by lora_alpha / sqrt(lora_r) instead, steadier at high ranks.")
    init_adapter: str | None = setting(
        None, "Go on from this adapter of the store; its rank, alpha and layers are kept."
    )

    allow_unserved: bool = setting(
        False, "Train even what this studio's engine cannot serve, such as a higher rank: for use elsewhere."
    )

    logging_steps: int = setting(1, "Steps between two points of the loss curve.", low=1, high=1e6)
    eval_steps: int = setting(20, "Steps between two measurements of eval loss.", low=1, high=1e6)
    save_steps: int = setting(20, "Steps between two checkpoints.", low=1, high=1e6)
    load_best_model_at_end: bool = setting(
        True, "Keep the weights with the lowest eval loss, instead of the last ones, when the run ends by itself."
    )
    sample_prompts: list[str] | None = setting(
        None, "Questions answered at each checkpoint; empty for none. If not given: the sample's, or held-out ones."
    )

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> Recipe:
        """Check everything that was given at once. Raises UserError listing all problems."""
        problems = [_unknown_key(key) for key in given if key not in SETTINGS]
        if not given.get("dataset_name"):
            problems.append("dataset_name is missing: name a bundled sample, a file, or a Hub dataset id")
        base = given.get("model_name_or_path") or "builtin"
        values: dict[str, Any] = defaults_for(str(base))
        for key, value in given.items():
            if key not in SETTINGS or (key == "dataset_name" and not value):
                continue
            converted, problem = convert(key, value, TYPES[key])
            if problem:
                problems.append(problem)
            else:
                values[key] = converted
        if not problems:
            recipe = cls(**values)
            problems = recipe._find_problems()
        if problems:
            listing = "\n".join(f"- {problem}" for problem in problems)
            raise UserError(f"The recipe has {_count(problems)}:\n{listing}\n", "Correct the recipe and start again.")
        return recipe

    @classmethod
    def from_yaml(cls, text: str) -> Recipe:
        """Parse a recipe's YAML text. Raises UserError for broken YAML and for wrong settings."""
        try:
            given = safe_yaml.load(text)
        except yaml.YAMLError as error:
            raise UserError(f"The recipe is not valid YAML: {error}.", "Write one 'name: value' per line.") from error
        if not isinstance(given, dict):
            raise UserError(
                "The recipe is empty or not a list of settings.",
                "Write one 'name: value' per line, at least 'dataset_name: pirate'.",
            )
        return cls.from_dict({str(key): value for key, value in given.items()})

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """Read a recipe file. A relative dataset path in it counts from the current folder."""
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise UserError(f"The recipe {path} cannot be read: {error.strerror}.", "Check the path.") from error
        except UnicodeDecodeError as error:
            raise UserError(f"The recipe {path} is not UTF-8 text.", "Save it as UTF-8.") from error
        return cls.from_yaml(text)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)

    def _find_problems(self) -> list[str]:
        values = [(name, getattr(self, name), about.metadata) for name, about in SETTINGS.items()]
        problems = [problem for value in values if (problem := find_problem(*value))]
        if self.lr_scheduler_type == "polynomial" and self.learning_rate <= POLYNOMIAL_END:
            problems.append(f"learning_rate is {self.learning_rate}: the polynomial schedule ends at {POLYNOMIAL_END}")
        return problems


def lora_settings(recipe: Recipe) -> dict[str, Any]:
    """The adapter in the terms of PEFT's LoraConfig."""
    return {
        "task_type": "CAUSAL_LM",
        "r": recipe.lora_r,
        "lora_alpha": recipe.lora_alpha,
        "lora_dropout": recipe.lora_dropout,
        "target_modules": recipe.lora_target_modules,
        "use_rslora": recipe.use_rslora,
        "bias": "none",
    }


def defaults_for(model_name_or_path: str) -> dict[str, Any]:
    """Defaults that depend on the base: the tiny built-in one learns with larger steps and needs no memory tricks."""
    if model_name_or_path in ("builtin", "guanaco-builtin"):
        return {
            "learning_rate": 2e-3,
            "num_train_epochs": 3.0,
            "per_device_train_batch_size": 8,
            "per_device_eval_batch_size": 8,
            "gradient_accumulation_steps": 1,
            "gradient_checkpointing": False,
            "max_length": 512,
        }
    return {}


def _unknown_key(key: str) -> str:
    near = difflib.get_close_matches(key, SETTINGS, n=1, cutoff=0.5)
    return f"{key} is not a setting" + (f": did you mean {near[0]}?" if near else "")


def _count(problems: list[str]) -> str:
    return "1 problem" if len(problems) == 1 else f"{len(problems)} problems"


def _kinds(hint: Any) -> tuple[type, ...]:
    return tuple(getattr(kind, "__origin__", kind) for kind in (get_args(hint) if "|" in str(hint) else (hint,)))


SETTINGS = {about.name: about for about in dataclasses.fields(Recipe)}
TYPES: dict[str, tuple[type, ...]] = {name: _kinds(hint) for name, hint in get_type_hints(Recipe).items()}
