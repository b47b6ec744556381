"""Parquet: what is in it is read whole, and a small file that means huge rows is refused before it fills the memory."""

from __future__ import annotations

import datetime
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from adapters.common.errors import UserError
from core.data import read_dataset
from core.data.dataset import RowError
from core.data.load import open_source
from core.data.readers.parquet_values import plain_rows

LONG = "word " * 200_000  # 1 MB
TIMES = 5_000


def written(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pyarrow.parquet.write_table(pyarrow.table(columns), path, **options)
    return path


def repeated(text: str) -> pyarrow.DictionaryArray:
    return pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * TIMES, pyarrow.int32()), [text])


def values(path: Path) -> list[Any]:
    return [row.value for row in open_source(str(path)).rows()]


def test_cells_of_every_type_are_read_whole_from_several_row_groups(tmp_path: Path) -> None:
    turn = pyarrow.struct([("role", pyarrow.string()), ("content", pyarrow.large_string())])
    rows: dict[str, Any] = {
        "messages": pyarrow.array([[{"role": "user", "content": "a"}], [], None, [None]] * 200, pyarrow.list_(turn)),
        "text": pyarrow.array(["a", None, "", "ü"] * 200),
        "kind": pyarrow.array(["x", "y", None, "x"] * 200).dictionary_encode(),
        "bytes": pyarrow.array([b"a", b"\xff", None, b""] * 200),
        "lists": pyarrow.array([[["a"], []], None, [["b", None]], []] * 200),
        "map": pyarrow.array([[("k", "v")], [], None, [("k", None)]] * 200, pyarrow.map_("string", "string")),
        "number": pyarrow.array([1.5, None, 2.0, -1.0] * 200),
        "when": pyarrow.array([datetime.datetime(2020, 1, 1)] * 800),
        "view": pyarrow.array(["a", None, "", "ü"] * 200, pyarrow.string_view()),
        "views": pyarrow.array([["a"], None, [], ["b", None]] * 200, pyarrow.list_view(pyarrow.string())),
        "pair": pyarrow.array([["a", "b"], None, ["c", None], ["d", "e"]] * 200, pyarrow.list_(pyarrow.string(), 2)),
    }
    path = written(tmp_path / "a.parquet", rows, row_group_size=300)
    expected = list(plain_rows(pyarrow.RecordBatch.from_pydict(rows)))
    assert values(path) == expected


def test_a_small_file_of_cells_that_repeat_is_refused_with_its_numbers(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", {"prompt": repeated("q"), "completion": repeated(LONG)}, store_schema=False)
    assert path.stat().st_size < 1 << 20
    tracemalloc.start()
    most = pyarrow.default_memory_pool().max_memory()
    with pytest.raises(UserError, match=r"a\.parquet has [\d,]+ bytes, but its rows take more than 2,147,483,648"):
        read_dataset(str(path))
    assert tracemalloc.get_traced_memory()[1] < 1 << 27
    assert pyarrow.default_memory_pool().max_memory() < most + (1 << 27)
    tracemalloc.stop()


def test_cells_that_repeat_are_copied_a_few_at_a_time(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", {"prompt": ["q"] * 100, "completion": [LONG] * 100})
    tracemalloc.start()
    rows = (row.value for row in open_source(str(path)).rows())
    assert sum(len(row["completion"]) for row in rows if not isinstance(row, RowError)) == 100 * len(LONG)
    assert tracemalloc.get_traced_memory()[1] < 60 << 20
    tracemalloc.stop()


def test_turns_that_repeat_are_counted_within_their_lists_too(tmp_path: Path) -> None:
    turns = pyarrow.StructArray.from_arrays([repeated("assistant"), repeated(LONG)], names=["role", "content"])
    lists = pyarrow.ListArray.from_arrays(pyarrow.array(range(0, TIMES + 1, 5)), turns)
    for messages in (lists, pyarrow.FixedSizeListArray.from_arrays(turns, 5)):
        path = written(tmp_path / "a.parquet", {"messages": messages}, store_schema=False)
        with pytest.raises(UserError, match="its rows take more than"):
            for _ in open_source(str(path)).rows():
                pass


def test_numbers_that_repeat_are_counted_before_they_are_written_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.data.readers.parquet_files.MAX_DECOMPRESSED", 1 << 20)
    path = written(tmp_path / "a.parquet", {"text": ["a"], "scores": [[0] * 1_000_000]})
    with pytest.raises(UserError, match="its rows take more than 1,048,576"):
        values(path)


def test_a_row_that_is_too_large_is_a_problem_and_the_others_are_read(tmp_path: Path) -> None:
    large = [["q"] * 3, ["b", LONG * 34, "d"]]
    path = written(tmp_path / "a.parquet", {"prompt": large[0], "completion": large[1]})
    dataset = read_dataset(str(path))
    assert [conversation.row for conversation in dataset.conversations] == [1, 3]
    (problem,) = dataset.problems
    assert problem.row == 2 and "34,000,0" in problem.what and "33,554,432" in problem.what


def test_a_cell_that_cannot_be_read_is_a_problem_of_its_row(tmp_path: Path) -> None:
    damaged = pyarrow.array([b"a", b"\xff\xfe", b"c"]).view(pyarrow.string())
    path = written(tmp_path / "a.parquet", {"prompt": damaged, "completion": ["x", "y", "z"]})
    dataset = read_dataset(str(path))
    assert [conversation.row for conversation in dataset.conversations] == [1, 3]
    assert "cannot be read" in dataset.problems[0].what
    far = pyarrow.array([0, 2**62, 0]).cast(pyarrow.timestamp("us"))
    path = written(tmp_path / "b.parquet", {"prompt": ["a"] * 3, "completion": ["b"] * 3, "when": far})
    assert [problem.row for problem in read_dataset(str(path)).problems] == [2]


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    table = pyarrow.Table.from_arrays([pyarrow.array(["a"]), pyarrow.array(["b"])], names=["prompt", "prompt"])
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(UserError, match="several columns called 'prompt'"):
        read_dataset(str(tmp_path / "a.parquet"))


def test_a_row_group_that_is_damaged_refuses_the_file(tmp_path: Path) -> None:
    texts = [f"{number} {number * 7919}" for number in range(2_000)]
    path = written(tmp_path / "a.parquet", {"prompt": texts, "completion": texts}, row_group_size=500)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4_000] = bytes(4_000)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.parquet cannot be read as Parquet"):
        read_dataset(str(path))
