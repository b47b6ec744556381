"""A recipe's fields: what each may be, beside what a person is told of it, and how a given value is checked."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from dataclasses import field
from math import isfinite
from typing import Any

from adapters.common.errors import UserError
from adapters.store import NAME
from core.data.column_mapping import parse_columns
from core.data.formats import format_named

BASIC, USUAL, ALL = "basic", "usual", "all"  # who needs to see a setting: a beginner, most people, an expert
SCHEDULES = ("cosine", "linear", "constant", "constant_with_warmup", "inverse_sqrt", "polynomial")
# What transformers knows and this project has tried or has no reason to refuse. Paged optimisers are left out on
# purpose: they cannot be resumed from a checkpoint.
OPTIMISERS = ("adamw_torch", "adamw_torch_fused", "adamw_8bit", "adafactor", "sgd")
Check = Callable[[Any], str | None]  # what is wrong with a value, as a sentence that begins with the setting's name


def setting(
    default: Any,
    help: str,
    level: str = ALL,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    check: Check | None = None,
) -> Any:
    """A setting with its range, both ends allowed, its choices, or a check of its own. A default of ... means none."""
    about = {"help": help, "level": level, "low": low, "high": high, "choices": choices, "check": check}
    return field(metadata=about) if default is ... else field(default=default, metadata=about)


def check_format(name: str | None) -> str | None:
    try:
        if name:
            format_named(name)
    except UserError as error:
        return f"is {shorten(name)}: {error.remedy}"
    return None


def check_columns(columns: str | None) -> str | None:
    try:
        parse_columns(columns)
    except UserError as error:
        return f"is {columns!r}: {error}"
    return None


def check_max_steps(steps: int) -> str | None:
    return "is 0: it must be -1 (use num_train_epochs) or at least 1" if steps == 0 else None


def check_run_name(name: str | None) -> str | None:
    """The same rule as for adapters, since a run's name becomes one."""
    if name is None or NAME.fullmatch(name):
        return None
    return f"is {name!r}: use up to 64 letters, digits, dots, dashes and underscores, beginning with a letter or digit"


def check_target_modules(modules: str | list[str]) -> str | None:
    if isinstance(modules, list) and not modules:
        return "is an empty list: name layers, or write all-linear"
    if isinstance(modules, list) and not all(name.strip() for name in modules):
        return "names no layer in one place: name layers, or write all-linear"
    return None


def find_problem(name: str, value: Any, about: Mapping[str, Any]) -> str | None:
    """What is wrong with a value of the setting's own type. about: the metadata that `setting` makes."""
    if about["low"] is not None and value is not None and not about["low"] <= value <= about["high"]:
        return f"{name} is {value}: it must be between {about['low']:g} and {about['high']:g}"
    if about["choices"] and value not in about["choices"]:
        return f"{name} is {value!r}: choose one of {', '.join(about['choices'])}"
    if about["check"] and (problem := about["check"](value)):
        return f"{name} {problem}"
    return None


def convert(name: str, value: Any, kinds: tuple[type, ...]) -> tuple[Any, str | None]:
    """The value in one of the setting's types, or a sentence on why it cannot be."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return (None, None) if type(None) in kinds else (None, f"{name} is empty: {_expected(kinds)}")
    if bool in kinds:
        return (value, None) if isinstance(value, bool) else (None, f"{name} is {shorten(value)}: write true or false")
    if isinstance(value, bool):
        return None, f"{name} is {value!r}: {_expected(kinds)}"
    if int in kinds or float in kinds:
        return _convert_number(name, value, int if int in kinds else float)
    if list in kinds and isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return list(value), None
    if str in kinds and isinstance(value, float):  # 1.10 would become "1.1"
        return None, f"{name} is {value!r}, a number: put it in quotes"
    if str in kinds and isinstance(value, (str, int)):
        return str(value), None
    return None, f"{name} is {shorten(value)}: {_expected(kinds)}"


def _convert_number(name: str, value: Any, kind: type) -> tuple[Any, str | None]:
    # YAML reads 2e-4 as text (it wants 2.0e-4), and people write it so: accept text that is a number.
    try:
        number = float(value) if isinstance(value, str | int | float) else None
    except (ValueError, OverflowError):
        number = None
    if number is None or not isfinite(number):
        return None, f"{name} is {shorten(value)}: {_expected((kind,))}"
    if kind is int and not number.is_integer():
        return None, f"{name} is {shorten(value)}: it must be a whole number"
    return kind(number), None


def shorten(value: Any) -> str:
    """A value for a message, however long it is."""
    return reprlib.repr(value)


def _expected(kinds: tuple[type, ...]) -> str:
    names = {int: "a whole number", float: "a number", str: "text", list: "a list of names", bool: "true or false"}
    return "it must be " + " or ".join(names[kind] for kind in kinds if kind in names)
