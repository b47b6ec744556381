"""Values that come from Parquet, and such that JSON has no word for: read as text, or a problem of their row."""

from __future__ import annotations

import datetime
import decimal
import json
import uuid
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from core.data import CheckedDataset, read_dataset
from core.data.check import DatasetChecker
from core.data.dataset import DatasetRow
from core.data.readers.parquet_values import plain_rows

USER = {"role": "user", "content": "What is it like?"}
LAST = {"role": "assistant", "content": "Fine."}


def read(path: Path, table: pyarrow.Table) -> CheckedDataset:
    pyarrow.parquet.write_table(table, path / "a.parquet")
    dataset = read_dataset(str(path / "a.parquet"))
    for conversation in dataset.conversations:
        json.dumps(conversation.to_dict(), allow_nan=False)
    return dataset


def calling(name: str, arguments: Any) -> list[dict[str, Any]]:
    call = {"type": "function", "function": {"name": name, "arguments": arguments}}
    return [USER, {"role": "assistant", "tool_calls": [call]}, {"role": "tool", "content": "12"}, LAST]


def arguments(dataset: CheckedDataset) -> list[Any]:
    return [
        conversation.messages[1]["tool_calls"][0]["function"]["arguments"] for conversation in dataset.conversations
    ]


def test_nulls_that_arrow_invented_in_calls_and_schemas_are_left_out(tmp_path: Path) -> None:
    schemas: list[dict[str, Any]] = [
        {"name": "weather", "parameters": {"properties": {"city": {"type": "string"}}, "required": ["city"]}},
        {"name": "time", "parameters": {"properties": {"zone": {"type": "string", "enum": ["CET", None]}}}},
        {"name": "now", "description": "The time"},
    ]
    given = [{"city": "Bern", "days": 2}, {"zone": {"name": "CET", "offset": 1}}, {}]
    rows = [
        {"messages": calling(schema["name"], tools), "tools": [{"type": "function", "function": schema}]}
        for schema, tools in zip(schemas, given, strict=True)
    ]
    dataset = read(tmp_path, pyarrow.Table.from_pylist(rows))
    assert dataset.problems == []
    assert arguments(dataset) == given
    assert [conversation.tools for conversation in dataset.conversations] == [row["tools"] for row in rows]
    assert all(set(message) <= {"role", "content"} for message in dataset.conversations[0].messages[2:])


def test_nulls_of_json_lists_and_maps_are_kept(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"messages": calling("f", {"city": None})}) + "\n")
    assert arguments(read_dataset(str(tmp_path / "a.jsonl"))) == [{"city": None}]
    kind = pyarrow.map_(pyarrow.string(), pyarrow.list_(pyarrow.int64()))
    turn = pyarrow.struct(
        [
            ("role", pyarrow.string()),
            ("content", pyarrow.string()),
            ("tool_calls", pyarrow.list_(pyarrow.struct([("name", pyarrow.string()), ("arguments", kind)]))),
        ]
    )
    turns = [
        [USER, {"role": "assistant", "tool_calls": [{"name": "f", "arguments": value}]}, {"role": "tool"}, LAST]
        for value in ([("a", None), ("b", [1, None])], [])
    ]
    dataset = read(tmp_path, pyarrow.table({"messages": pyarrow.array(turns, pyarrow.list_(turn))}))
    assert arguments(dataset) == [{"a": None, "b": [1, None]}, {}]


NOON = datetime.datetime(2024, 2, 1, 12, 30)
IDENTITY = uuid.UUID("b747ac3f-5900-4b5e-8de9-7a99acc8265f")


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (pyarrow.array([NOON]), "2024-02-01T12:30:00"),
        (pyarrow.array([1], pyarrow.timestamp("ns")), "1970-01-01T00:00:00.000000001"),
        (pyarrow.array([NOON], pyarrow.timestamp("us", "UTC")), "2024-02-01T12:30:00+00:00"),
        (pyarrow.array([NOON.date()]), "2024-02-01"),
        (pyarrow.array([NOON.time()]), "12:30:00"),
        (pyarrow.array([datetime.timedelta(hours=1)]), "1:00:00"),
        (pyarrow.array([decimal.Decimal("12.50")]), "12.50"),
        (pyarrow.array(["olá".encode()]), "olá"),
        (pyarrow.array([IDENTITY.bytes], pyarrow.uuid()), str(IDENTITY)),
        (pyarrow.array(["again"]).dictionary_encode(), "again"),
    ],
)
def test_values_that_json_has_no_word_for_are_read_as_text(tmp_path: Path, values: Any, text: str) -> None:
    dataset = read(tmp_path, pyarrow.table({"question": ["What?"], "answer": values}))
    assert dataset.problems == []
    assert dataset.conversations[0].messages[1]["content"] == text
    nested = pyarrow.StructArray.from_arrays([values], ["x"])
    assert list(plain_rows(pyarrow.record_batch({"deep": nested}))) == [{"deep": {"x": text}}]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (pyarrow.array([b"\xff\xfe", b"b"]), "binary data, not text"),
        (pyarrow.array([2**61, 1], pyarrow.timestamp("ms")), "cannot be read"),
        (pyarrow.array([2**30, 1], pyarrow.date32()), "cannot be read"),
    ],
)
def test_values_that_are_no_text_are_a_problem_of_their_row_only(tmp_path: Path, values: Any, reason: str) -> None:
    dataset = read(tmp_path, pyarrow.table({"question": ["What?", "When?"], "answer": values}))
    assert [conversation.row for conversation in dataset.conversations] == [2]
    ((row, what),) = [(problem.row, problem.what) for problem in dataset.problems]
    assert row == 1 and reason in what


def test_a_time_in_a_zone_that_nobody_knows_is_a_problem_of_its_row(tmp_path: Path) -> None:
    when = pyarrow.array([NOON, None], pyarrow.timestamp("us", "Mars/Olympus"))
    dataset = read(tmp_path, pyarrow.table({"question": ["a", "b"], "answer": ["c", "d"], "when": when}))
    assert [conversation.row for conversation in dataset.conversations] == [2] and [
        problem.row for problem in dataset.problems
    ] == [1]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (float("nan"), "holds nan"),
        (float("inf"), "holds inf"),
        ([{"a": float("-inf")}], "holds -inf"),
        (b"\xff", "binary data"),
        (NOON, "a datetime"),
        ({1: "a"}, None),
        ({(1, 2): "a"}, "a tuple"),
        (json.loads("[" * 150 + "]" * 150), "more than 100 levels"),
    ],
)
def test_calls_and_schemas_hold_only_what_json_can_write(value: Any, words: str | None) -> None:
    for row in (
        {"messages": calling("f", {"x": value})},
        {"messages": [USER, LAST], "tools": [{"name": "f", "parameters": value}]},
    ):
        scan = DatasetChecker([DatasetRow(1, row)])
        conversations = list(scan)
        if words is None:
            json.dumps(conversations[0].to_dict(), allow_nan=False)
        else:
            (problem,) = scan.problems
            assert words in problem.what and problem.remedy and not conversations


@pytest.mark.parametrize("tool", [{"function": "f"}, {"function": {"description": "x"}}, {"name": ""}, "[1]", 5, None])
def test_a_tool_without_a_name_is_a_problem(tool: Any) -> None:
    scan = DatasetChecker([DatasetRow(1, {"messages": [USER, LAST], "tools": [tool]})])
    assert not list(scan) and "tools[0]" in scan.problems[0].what


def test_tools_as_json_texts_are_read() -> None:
    (conversation,) = DatasetChecker([DatasetRow(1, {"messages": [USER, LAST], "tools": ['{"name": "f"}']})])
    assert conversation.tools == [{"type": "function", "function": {"name": "f"}}]


def test_a_tools_result_that_is_an_object_is_never_lost() -> None:
    turns = [*calling("f", {})[:2], {"role": "tool", "content": {"degrees": 12}}, LAST]
    scan = DatasetChecker([DatasetRow(1, {"messages": turns})])
    assert not list(scan) and "The text of messages[2] is an object without text" in scan.problems[0].what
