"""A recipe says everything about one run, in TRL's and PEFT's own argument names."""

from __future__ import annotations

import dataclasses
import difflib
import re
import reprlib
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, get_args, get_type_hints

import yaml

from adapters.common import safe_yaml
from adapters.common.errors import UserError
from core.data.column_mapping import parse_columns
from core.data.formats import format_named

NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")  # the same rule as for adapters: a run's name becomes one
BASIC, USUAL, ALL = "basic", "usual", "all"  # who needs to see a setting: a beginner, most people, an expert


def setting(default: Any, help: str, level: str = ALL) -> Any:
    return field(default=default, metadata={"help": help, "level": level})


@dataclass(kw_only=True)
class Recipe:
    """One run's settings. A Recipe is always complete: what was not given has the default for its base.

    Build one with `from_dict`, `from_yaml` or `read`; they check everything and raise one UserError with all problems.
    """

    dataset_name: str = field(
        metadata={"help": "What to learn from: a bundled sample, a file, or a Hub dataset id.", "level": BASIC}
    )
    dataset_config: str | None = setting(None, "The configuration of a Hub dataset that has several.")
    dataset_train_split: str = setting("train", "The split of a Hub dataset to train on.")
    dataset_revision: str | None = setting(None, "The revision of a Hub dataset: a commit, a branch or a tag.")
    dataset_format: str | None = setting(None, "The rows' format, where detection should be overridden.")
    dataset_columns: str | None = setting(
        None, "Columns that stand for the known ones: question=Frage,answer=Antwort. Empty: by their own names."
    )
    max_samples: int | None = setting(
        None, "Use only so many conversations, drawn at random with the seed. 0 or empty: all of them."
    )
    skip_bad_rows: bool = setting(False, "Leave out rows that cannot be converted, instead of refusing the dataset.")
    eval_fraction: float = setting(0.05, "Share of the conversations held out to measure eval loss; 0 for none.", USUAL)

    model_name_or_path: str = setting("builtin", "The base: 'builtin', a Hub id, or a folder.", USUAL)
    load_in_4bit: bool = setting(True, "Keep the base in 4-bit NF4 (QLoRA).")
    use_bnb_nested_quant: bool = setting(True, "Quantise the quantisation constants too (double quantisation).")

    run_name: str | None = setting(None, "The run's and the adapter's name.", BASIC)
    num_train_epochs: float = setting(1.0, "How often to go through the dataset.", BASIC)
    max_steps: int = setting(-1, "Stop after this many optimiser steps; -1 leaves it to the epochs.", USUAL)
    learning_rate: float = setting(2e-4, "Peak learning rate.", BASIC)
    lr_scheduler_type: str = setting("cosine", "How the learning rate falls: cosine, linear, constant, …")
    warmup_steps: float = setting(0.03, "Steps of rising learning rate; below 1 a share of all steps.")
    weight_decay: float = setting(0.0, "AdamW's weight decay on the adapter's weights.")
    optim: str = setting("adamw_torch", "The optimiser, as transformers names it; adamw_8bit saves GPU memory.")
    max_grad_norm: float = setting(1.0, "Gradients are clipped to this norm.")
    per_device_train_batch_size: int = setting(1, "Conversations per micro-batch.", USUAL)
    per_device_eval_batch_size: int = setting(1, "Conversations per evaluation batch.")
    gradient_accumulation_steps: int = setting(8, "Micro-batches per optimiser step.", USUAL)
    gradient_checkpointing: bool = setting(True, "Recompute activations to save memory, for about a third more time.")
    max_length: int = setting(1024, "Longest conversation in tokens; what is longer is cut.", USUAL)
    packing: bool = setting(False, "Put several short conversations into one sequence.")
    seed: int = setting(42, "Seed of the split, the data order and the adapter's initial weights.", USUAL)

    lora_r: int = setting(16, "The adapter's rank: how much it can learn.", BASIC)
    lora_alpha: int = setting(32, "The adapter's strength; its output is scaled by lora_alpha / lora_r.", USUAL)
    lora_dropout: float = setting(0.0, "Dropout on the adapter's input; above 0 costs much activation memory.")
    lora_target_modules: str | list[str] = setting("all-linear", "The layers that get an adapter.")
    use_rslora: bool = setting(False, "Scale by lora_alpha / sqrt(lora_r) instead, steadier at high ranks.")
    init_adapter: str | None = setting(
        None, "Go on from this adapter of the store; its rank, alpha and layers are kept."
    )

    allow_unserved: bool = setting(
        False, "Train even what this studio's engine cannot serve, such as a higher rank: for use elsewhere."
    )

    logging_steps: int = setting(1, "Steps between two points of the loss curve.")
    eval_steps: int = setting(20, "Steps between two measurements of eval loss.")
    save_steps: int = setting(20, "Steps between two checkpoints.")
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
            converted, problem = _convert(key, value)
            if problem:
                problems.append(problem)
            else:
                values[key] = converted
        if not problems:
            recipe = cls(**values)
            problems = recipe._out_of_range()
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

    def _out_of_range(self) -> list[str]:
        problems = []
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                problems.append(f"{name} is {value}: it must be between {low:g} and {high:g}")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                problems.append(f"{name} is {getattr(self, name)!r}: choose one of {', '.join(choices)}")
        if self.max_steps == 0:
            problems.append("max_steps is 0: it must be -1 (use num_train_epochs) or at least 1")
        if self.lr_scheduler_type == "polynomial" and self.learning_rate <= POLYNOMIAL_END:
            problems.append(f"learning_rate is {self.learning_rate}: the polynomial schedule ends at {POLYNOMIAL_END}")
        try:
            if self.dataset_format:
                format_named(self.dataset_format)
        except UserError as error:
            problems.append(f"dataset_format is {_shown(self.dataset_format)}: {error.remedy}")
        try:
            parse_columns(self.dataset_columns)
        except UserError as error:
            problems.append(f"dataset_columns is {self.dataset_columns!r}: {error}")
        if isinstance(self.lora_target_modules, list) and not all(each.strip() for each in self.lora_target_modules):
            problems.append("lora_target_modules names no layer in one place: name layers, or write all-linear")
        if isinstance(self.lora_target_modules, list) and not self.lora_target_modules:
            problems.append("lora_target_modules is an empty list: name layers, or write all-linear")
        if self.run_name is not None and not NAME.match(self.run_name):
            problems.append(
                f"run_name is {self.run_name!r}: use up to 64 letters, digits, dots, dashes and underscores, "
                "beginning with a letter or digit"
            )
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


# Smallest and largest sensible value, both allowed.
RANGES: dict[str, tuple[float, float]] = {
    "eval_fraction": (0, 0.5),
    "max_samples": (0, 1e9),
    "num_train_epochs": (0.01, 1000),
    "max_steps": (-1, 1e9),
    "learning_rate": (1e-7, 1),
    "warmup_steps": (0, 1e6),
    "weight_decay": (0, 1),
    "max_grad_norm": (0, 1e6),
    "per_device_train_batch_size": (1, 1024),
    "per_device_eval_batch_size": (1, 1024),
    "gradient_accumulation_steps": (1, 4096),
    "max_length": (16, 1 << 20),
    "seed": (0, 2**32 - 1),
    "lora_r": (1, 512),
    "lora_alpha": (1, 4096),
    "lora_dropout": (0, 0.9),
    "logging_steps": (1, 1e6),
    "eval_steps": (1, 1e6),
    "save_steps": (1, 1e6),
}

POLYNOMIAL_END = 1e-7  # transformers' default for the rate at which it ends

# What transformers knows and this project has tried or has no reason to refuse. Paged optimisers are left out on
# purpose: they cannot be resumed from a checkpoint.
CHOICES: dict[str, tuple[str, ...]] = {
    "lr_scheduler_type": ("cosine", "linear", "constant", "constant_with_warmup", "inverse_sqrt", "polynomial"),
    "optim": ("adamw_torch", "adamw_torch_fused", "adamw_8bit", "adafactor", "sgd"),
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


def _convert(name: str, value: Any) -> tuple[Any, str | None]:
    """The value in the setting's own type, or a sentence on why it cannot be."""
    kinds = TYPES[name]
    if value is None or (isinstance(value, str) and not value.strip()):
        return (None, None) if type(None) in kinds else (None, f"{name} is empty: {_expected(kinds)}")
    if bool in kinds:
        return (value, None) if isinstance(value, bool) else (None, f"{name} is {_shown(value)}: write true or false")
    if isinstance(value, bool):
        return None, f"{name} is {value!r}: {_expected(kinds)}"
    if int in kinds or float in kinds:
        return _number(name, value, int if int in kinds else float)
    if list in kinds and isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value):
        return list(value), None
    if str in kinds and isinstance(value, float):  # 1.10 would become "1.1"
        return None, f"{name} is {value!r}, a number: put it in quotes"
    if str in kinds and isinstance(value, (str, int)):
        return str(value), None
    return None, f"{name} is {_shown(value)}: {_expected(kinds)}"


def _number(name: str, value: Any, kind: type) -> tuple[Any, str | None]:
    # YAML reads 2e-4 as text (it wants 2.0e-4), and people write it so: accept text that is a number.
    try:
        number = float(value) if isinstance(value, str | int | float) else None
    except (ValueError, OverflowError):
        number = None
    if number is None or not isfinite(number):
        return None, f"{name} is {_shown(value)}: {_expected((kind,))}"
    if kind is int and not number.is_integer():
        return None, f"{name} is {_shown(value)}: it must be a whole number"
    return kind(number), None


def _shown(value: Any) -> str:
    """A value for a message, however long it is."""
    return reprlib.repr(value)


def _expected(kinds: tuple[type, ...]) -> str:
    names = {int: "a whole number", float: "a number", str: "text", list: "a list of names", bool: "true or false"}
    return "it must be " + " or ".join(names[kind] for kind in kinds if kind in names)


def _unknown_key(key: str) -> str:
    near = difflib.get_close_matches(key, SETTINGS, n=1, cutoff=0.5)
    return f"{key} is not a setting" + (f": did you mean {near[0]}?" if near else "")


def _count(problems: list[str]) -> str:
    return "1 problem" if len(problems) == 1 else f"{len(problems)} problems"


def _kinds(hint: Any) -> tuple[type, ...]:
    return tuple(getattr(each, "__origin__", each) for each in (get_args(hint) if "|" in str(hint) else (hint,)))


SETTINGS = {each.name: each for each in dataclasses.fields(Recipe)}
TYPES: dict[str, tuple[type, ...]] = {name: _kinds(hint) for name, hint in get_type_hints(Recipe).items()}
