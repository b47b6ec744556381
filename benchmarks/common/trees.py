"""One benchmark in two working trees of the project, by turns: each tree runs its own code and prints its own table."""

from __future__ import annotations

import os
import re
import signal
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from benchmarks.common.servers import ROOT
from benchmarks.common.tables import ratio

NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
ITEM = re.compile(r"- (.+): (-?\d.*)")
Row: TypeAlias = tuple[str, str, int]
"""The head of its table (empty for an item of a list), its first cell, and how many of the same came before it."""
Cells: TypeAlias = dict[str, float]
"""Column -> the first number in it."""


def rows_of(printed: str) -> dict[Row, Cells]:
    """What a benchmark printed: the numbers of its tables, and of its lists."""
    rows: dict[Row, Cells] = {}
    head: list[str] = []
    seen: Counter[tuple[str, str]] = Counter()
    for line in printed.splitlines():
        if item := ITEM.fullmatch(line):
            where, names, cells = ("", item[1]), ["", ""], ["", item[2]]
        elif not line.startswith("|"):
            head = []
            continue
        else:
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if not head:
                head = cells
                continue
            where, names = (" | ".join(head), cells[0]), head
        numbers = {
            name: float(found[0].replace(",", ""))
            for name, cell in zip(names[1:], cells[1:], strict=True)
            if (found := NUMBER.search(cell))
        }
        if numbers:
            rows[*where, seen[where]] = numbers
            seen[where] += 1
    return rows


def run(tree: Path, name: str, words: list[str]) -> dict[Row, Cells] | str:
    """Its rows, or the last line of what it said when it failed."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.{name}", *words],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        printed, complaints = process.communicate()
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)  # the processes that it started too
        process.wait()
        raise
    return rows_of(printed) if process.returncode == 0 else (complaints.strip().splitlines() or ["no word"])[-1]


def compare(name: str, words: list[str], other: Path, rounds: int) -> Iterator[str]:
    """Lines that say what both trees' runs of a benchmark give, or why one of them gives nothing."""
    trees = {"this tree": ROOT, "the other tree": other}
    results: dict[str, list[dict[Row, Cells]]] = {tree: [] for tree in trees}
    for _ in range(rounds):
        for tree, folder in trees.items():
            rows = run(folder, name, words)
            if isinstance(rows, str):
                yield f"{tree} cannot run {name} {' '.join(words)}: {rows}"
                return
            results[tree].append(rows)
    yield from table(*results.values())


def table(ours: list[dict[Row, Cells]], theirs: list[dict[Row, Cells]]) -> Iterator[str]:
    """In each cell: the medians of this tree and of the other, and the median of each round's own ratio."""
    before = None
    for row, cells in ours[0].items():
        head, label, _ = row
        columns = list(cells)
        if head != before:
            heads = [head.split(" | ")[0], *columns]
            yield from ("", f"| {' | '.join(heads)} |", f"|:--|{'--:|' * len(columns)}")
            before = head
        if all(row in rows for rows in (*ours, *theirs)):
            told = [pair([r[row] for r in ours], [r[row] for r in theirs], column) for column in columns]
        else:
            told = ["only in this tree"] * len(columns)
        yield f"| {' | '.join([label, *told])} |"


def pair(ours: list[Cells], theirs: list[Cells], column: str) -> str:
    if not all(column in cells for cells in (*ours, *theirs)):
        return "–"
    this, that = [cells[column] for cells in ours], [cells[column] for cells in theirs]
    share = f"{ratio(this, that):.2f}" if all(that) else "–"
    return f"{statistics.median(this):g} / {statistics.median(that):g} ({share})"
