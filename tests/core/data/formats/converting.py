"""Rows converted as a scan does it."""

from __future__ import annotations

from typing import Any

from core.data import Message
from core.data.check import DatasetChecker
from core.data.dataset import DatasetRow
from core.data.formats import detect_row
from core.data.formats.base import check_turns


def convert(row: dict[str, Any]) -> tuple[str, list[Message]]:
    """Format and messages of one row, by detection, as a scan does it."""
    found = detect_row(row)
    assert found is not None, row
    return found.name, check_turns(found.convert(row))[0]


def reason(row: dict[str, Any], dataset_format: str | None = None) -> str:
    """Why a row is refused."""
    scan = DatasetChecker([DatasetRow(1, row)], dataset_format)
    assert list(scan) == []
    (problem,) = scan.problems
    assert problem.row == 1 and problem.remedy
    return problem.what


def talk(*contents: str) -> list[Message]:
    return [Message(role=("user", "assistant")[index % 2], content=text) for index, text in enumerate(contents)]


def scan_of(*rows: dict[str, Any], dataset_format: str | None = None) -> DatasetChecker:
    return DatasetChecker([DatasetRow(number, row) for number, row in enumerate(rows, start=1)], dataset_format)
