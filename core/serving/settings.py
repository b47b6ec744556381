"""What an owner may set of the engine, declared once: its own command line, the studio's and the page all read it.

Importing this loads neither torch nor anything else of the engine.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_type_hints

from adapters.common import damaged_files
from adapters.common.errors import UserError, shortened
from adapters.common.files import write_atomic
from core.common.home import Home
from core.common.process import announced_engine

SETTINGS_FILE = "engine-settings.json"  # in the home folder: what was set on the page


def setting(
    default: Any, help: str, *, low: int | None = None, high: int | None = None, choices: tuple[str, ...] = ()
) -> Any:
    """A setting with its range, both ends allowed, or its choices. A default of None leaves it to the engine."""
    return field(default=default, metadata={"help": help, "low": low, "high": high, "choices": choices})


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """The defaults suit the built-in base and a 16 GB card alike."""

    slots: int = setting(8, "Adapters that decode at once.", low=1, high=256)
    max_rank: int = setting(64, "Highest LoRA rank that is served.", low=1, high=512)
    max_rows: int = setting(16, "Completions that decode at once.", low=1, high=1024)
    max_length: int | None = setting(
        None, "Tokens per conversation. Empty: the base's own limit.", low=16, high=1 << 20
    )
    kv_tokens: int | None = setting(
        None, "Tokens in the cache, all rows together. Empty: planned from the free memory.", low=64, high=1 << 30
    )
    default_max_tokens: int = setting(512, "Longest answer where a request says nothing.", low=1, high=1 << 20)
    prefill_chunk: int = setting(256, "Prompt tokens between two decode steps.", low=1, high=1 << 16)
    max_waiting: int = setting(256, "Requests that may wait.", low=2, high=100_000)
    host_cache_mb: int = setting(2048, "Memory in MiB for adapters that are in no slot.", low=1, high=1 << 20)
    threads: int | None = setting(None, "torch's threads. Empty: half of the cores.", low=1, high=1024)
    weights: str = setting(
        "auto",
        "How the 4-bit weights are kept on a CPU: packed, written out exactly, as fp16, bf16 or int8, or as nf4, the "
        "codes that compiled kernels multiply by. auto: as is fastest here and fits the memory.",
        choices=("auto", "exact", "fp16", "nf4", "bf16", "int8", "packed"),
    )
    cuda_graphs: bool = setting(False, "On a GPU, record decode steps and replay them.")

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> EngineSettings:
        """What was given, and the defaults for the rest. Raises UserError with all that is wrong."""
        problems = [
            *(f"{shortened(name)} is no setting of the engine" for name in given if name not in SETTINGS),
            *(problem for name in SETTINGS if name in given and (problem := _problem(name, given[name]))),
        ]
        if problems:
            raise UserError(
                f"The engine's settings are not right: {'; '.join(problems)}.", "Correct them, or leave out."
            )
        return cls(**given)

    def to_dict(self) -> dict[str, Any]:
        """Only what is not as it is by default."""
        return {name: value for name, value in vars(self).items() if value != SETTINGS[name].default}

    def arguments(self) -> list[str]:
        """The same as `python -m core.serving` takes it."""
        return [
            word
            for name, value in self.to_dict().items()
            for word in ([flag(name)] if value is True else [flag(name), str(value)])
        ]


SETTINGS = {each.name: each for each in dataclasses.fields(EngineSettings)}
KINDS: dict[str, type] = {
    name: next(kind for kind in (get_args(hint) or (hint,)) if kind is not type(None))
    for name, hint in get_type_hints(EngineSettings).items()
}


def flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One option per setting. What is not given is None."""
    group = parser.add_argument_group("the engine")
    for name, each in SETTINGS.items():
        about = each.metadata["help"].rstrip(".") + ("" if each.default is None else f" (default: {each.default})")
        if KINDS[name] is bool:
            group.add_argument(flag(name), action=argparse.BooleanOptionalAction, default=None, help=about)
        else:
            choices = each.metadata["choices"] or None
            group.add_argument(flag(name), type=KINDS[name], choices=choices, default=None, help=about)


def settings_from_arguments(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings that a command line gave."""
    return {name: value for name in SETTINGS if (value := getattr(arguments, name)) is not None}


def saved_settings(home: Home) -> dict[str, Any]:
    """What was set on the page; where the file is damaged it is set aside, and the engine is set as by default."""
    return damaged_files.read(settings_path(home), _understood) or {}


def settings_in_force(home: Home) -> EngineSettings:
    """Those of the engine of this home that lives, or else of the one that would be started."""
    engine = announced_engine(home)
    if engine is not None and engine.alive():
        with contextlib.suppress(UserError):  # another version's
            return EngineSettings.from_dict(engine.settings)
    return EngineSettings.from_dict(saved_settings(home))


def save_settings(home: Home, given: Mapping[str, Any]) -> None:
    """Raises UserError, and changes nothing, when something is wrong with them."""
    EngineSettings.from_dict(given)
    write_atomic(settings_path(home), json.dumps(dict(given), indent=1))


def settings_path(home: Home) -> Path:
    return home.root / SETTINGS_FILE


def _understood(content: bytes) -> dict[str, Any]:
    """Raises ValueError or UserError for what `save_settings` does not write."""
    given = json.loads(content)
    if not isinstance(given, dict):
        raise ValueError("it holds no settings")
    if given.get("weights") == "plain":  # its name before there were several forms
        given["weights"] = "exact"
    EngineSettings.from_dict(given)
    return given


def _problem(name: str, value: Any) -> str | None:
    kind, about = KINDS[name], SETTINGS[name].metadata
    if value is None and SETTINGS[name].default is None:
        return None
    if type(value) is not kind:
        words = {int: "a whole number", bool: "true or false", str: f"one of {', '.join(about['choices'])}"}
        return f"{name} is {shortened(value)}, and must be {words[kind]}"
    if kind is int and not about["low"] <= value <= about["high"]:
        return f"{name} is {value}, and must be between {about['low']:,} and {about['high']:,}"
    if kind is str and value not in about["choices"]:
        return f"{name} is {shortened(value)}, and must be one of {', '.join(about['choices'])}"
    return None
