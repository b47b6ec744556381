"""Rows given to the check as if they came from a file."""

from __future__ import annotations

from typing import Any

from core.data import Conversation
from core.data.check import DatasetChecker
from core.data.dataset import DatasetRow


def check_rows(
    *rows: Any, dataset_format: str | None = None, columns: str | None = None
) -> tuple[list[Conversation], DatasetChecker]:
    """The conversations of the rows, and the checker with its problems and notes."""
    numbered = [DatasetRow(number, row) for number, row in enumerate(rows, start=1)]
    checker = DatasetChecker(numbered, dataset_format, columns)
    return list(checker), checker


def problem_of(row: dict[str, Any], dataset_format: str | None = None) -> str:
    """Why the row gives no conversation."""
    conversations, checker = check_rows(row, dataset_format=dataset_format)
    assert not conversations
    (problem,) = checker.problems
    assert problem.remedy
    return problem.what
