"""Sweeps over many cases of one rule: `make fast` runs a few of them, `make test` all."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def sweep(cases: Iterable[Any], *, fast: Collection[Any]) -> list[Any]:
    """The cases as parameters of a test; all but those of `fast` are marked slow."""
    cases = list(cases)
    assert fast and all(case in cases for case in fast), f"{fast} are not all among {cases}"
    return [case if case in fast else pytest.param(case, marks=pytest.mark.slow) for case in cases]
