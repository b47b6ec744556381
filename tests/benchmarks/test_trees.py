"""What two working trees print of one benchmark, side by side."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.common.servers import found_anywhere
from benchmarks.common.trees import compare, rows_of, table

PRINTED = """
Builtin; tokens/s

| N | (a) PEFT | (c) engine |
|--:|--:|--:|
| 1 | 48 | 1,065 |

- first token, engine: 30.1 ms
- operators per step: 374.0

| N | (a) PEFT | (c) engine |
|--:|--:|--:|
| 1 | 94.5 (1.2) | – |
"""


def test_the_numbers_of_tables_and_lists_are_found() -> None:
    assert rows_of(PRINTED) == {
        ("N | (a) PEFT | (c) engine", "1", 0): {"(a) PEFT": 48, "(c) engine": 1065},
        ("", "first token, engine", 0): {"": 30.1},
        ("", "operators per step", 0): {"": 374},
        ("N | (a) PEFT | (c) engine", "1", 1): {"(a) PEFT": 94.5},
    }


def test_cells_have_both_and_the_ratio_and_what_one_lacks_is_said() -> None:
    ours = [rows_of("| N | engine | new |\n|--|--|--|\n| 1 | 30 | 5 |\n| 2 | 60 | 7 |")] * 2
    theirs = [rows_of("| N | engine | new |\n|--|--|--|\n| 1 | 20 | – |")] * 2
    assert list(table(ours, theirs)) == [
        "",
        "| N | engine | new |",
        "|:--|--:|--:|",
        "| 1 | 30 / 20 (1.50) | – |",
        "| 2 | only in this tree | only in this tree |",
    ]


@pytest.mark.slow
def test_trees_take_turns_and_a_tree_without_the_benchmark_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tree, speed in (("this", 30), ("other", 20)):
        (tmp_path / tree / "benchmarks").mkdir(parents=True)
        (tmp_path / tree / "benchmarks" / "__init__.py").touch()
        (tmp_path / tree / "benchmarks" / "toy.py").write_text(f"print('- speed: {speed} tokens/s')")
    monkeypatch.setattr("benchmarks.common.trees.ROOT", tmp_path / "this")
    assert list(compare("toy", [], tmp_path / "other", 2))[-1] == "| speed | 30 / 20 (1.50) |"
    (tmp_path / "other" / "benchmarks" / "toy.py").unlink()
    (said,) = compare("toy", ["--rounds", "1"], tmp_path / "other", 2)
    assert said.startswith("the other tree cannot run toy --rounds 1: ") and "No module named benchmarks.toy" in said


def test_a_folder_is_given_on_by_its_whole_path_and_a_name_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "base").mkdir()
    monkeypatch.chdir(tmp_path)
    assert found_anywhere("./base") == str(tmp_path / "base")
    assert found_anywhere("builtin") == "builtin"
