"""JSON and JSON Lines: a row is the same row alone as among others, and nothing in it is dropped without a word."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.common.errors import UserError
from core.data import read_dataset
from core.data.load import open_source

TURNS = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
SOURCES = [{"title": "x", "text": "### Human: q ### Assistant: a"}]
PAIR = {"question": "a", "answer": "b"}

ROWS: dict[str, dict[str, Any]] = {
    "messages": {"messages": TURNS},
    "messages with tools": {"messages": TURNS, "tools": TOOLS},
    "turns called otherwise": {"dialogue": [{"speaker": "A", "text": "hi"}, {"speaker": "B", "text": "ho"}]},
    "a pair with its sources": {**PAIR, "sources": SOURCES},
    "a pair with examples like itself": {**PAIR, "few_shot": [PAIR, PAIR]},
    "alpaca with tools": {"instruction": "a", "output": "b", "tools": TOOLS},
    "text with what was found in it": {"text": "A llama.", "entities": [{"text": "llama", "kind": "animal"}]},
    "preference": {"prompt": "a", "chosen": TURNS[1:], "rejected": TURNS[1:], "votes": [{"by": "x"}]},
}
WRITTEN: dict[str, Callable[[object], str | bytes]] = {
    "one.jsonl": lambda row: json.dumps(row),
    "line-end.jsonl": lambda row: "\n" + json.dumps(row) + "\n\n",
    "one.json": lambda row: json.dumps(row),
    "pretty.json": lambda row: json.dumps(row, indent=2),
    "list.json": lambda row: json.dumps([row]),
    "list.jsonl": lambda row: json.dumps([row], indent=1),
    "key.json": lambda row: json.dumps({"version": "1.0", "data": [row]}),
    "key-on-lines.json": lambda row: json.dumps({"data": [row]}, indent=1),
    "one.jsonl.gz": lambda row: gzip.compress(json.dumps(row).encode()),
}


def values(path: Path, columns: str | None = None) -> list[Any]:
    return [row.value for row in open_source(str(path)).rows(columns)]


@pytest.mark.parametrize("kind", ROWS)
def test_a_row_is_the_same_alone_as_among_others(tmp_path: Path, kind: str) -> None:
    row = ROWS[kind]
    among = tmp_path / "among.jsonl"
    among.write_text("".join(json.dumps(line) + "\n" for line in [row, row]))
    assert values(among) == [row, row]
    for name, write in WRITTEN.items():
        content = write(row)
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        assert values(tmp_path / name) == [row], name


def test_a_row_is_the_same_alone_in_an_archive(tmp_path: Path) -> None:
    row = ROWS["a pair with its sources"]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.jsonl", json.dumps(row))
        archive.writestr("b.jsonl", json.dumps(row) + "\n" + json.dumps(row))
    assert values(tmp_path / "a.zip") == [row] * 3


def test_an_object_with_the_columns_that_were_named_is_a_row(tmp_path: Path) -> None:
    row = {"Frage": "a", "Antwort": "b", "Quellen": SOURCES}
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    assert values(tmp_path / "a.jsonl", "question=Frage,answer=Antwort") == [row]
    (only,) = read_dataset(str(tmp_path / "a.jsonl"), columns="question=Frage,answer=Antwort").conversations
    assert only.messages == TURNS


@pytest.mark.parametrize("beside", [{}, {"version": 1}, {"license": "mit", "tools": TOOLS}])
@pytest.mark.parametrize("key", ["data", "rows", "conversations"])
def test_a_document_with_one_list_of_rows_is_those_rows(tmp_path: Path, key: str, beside: dict[str, Any]) -> None:
    for rows in ([{"messages": TURNS}, {"messages": TURNS, "id": 2}], [PAIR, PAIR], [PAIR | {"speaker": "Ada"}]):
        (tmp_path / "a.json").write_text(json.dumps(beside | {key: rows}))
        assert values(tmp_path / "a.json") == rows


def test_a_list_on_a_first_line_does_not_cost_the_lines_after_it(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("[1, 2]\n" + json.dumps(PAIR) + "\n")
    dataset = read_dataset(str(tmp_path / "a.jsonl"))
    assert [conversation.row for conversation in dataset.conversations] == [2]
    assert "Line 1 is not a JSON object but a list" in dataset.problems[0].what


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        ('{"question": "a", "answer": "b", "answer": "c"}', "The key 'answer' stands in it twice"),
        ('{"question": "a", "answer": "b", "meta": {"x": [{"y": 1, "y": 2}]}}', "The key 'y' stands in it twice"),
        (f'{{"question": "a", "answer": "b", "meta": {"[" * 150}{"]" * 150}}}', "nested more than 100 levels deep"),
        (f'{{"question": "a", "answer": "b", "meta": {"[" * 9000}{"]" * 9000}}}', "nested more than 100 levels deep"),
        (json.dumps(PAIR | {f"c{number}": 0 for number in range(10_001)}), "10,003 columns; up to 10,000"),
        ('{"question": "a", "answer": "b"', "Line 2 is not valid JSON"),
        ("\0\0\0\0", "Line 2 is not valid JSON"),
        ('{"question": "a", "answer": "b"} {"question": "c", "answer": "d"}', "Extra data"),
    ],
)
@pytest.mark.parametrize("last", [False, True])
def test_a_line_that_cannot_be_learnt_as_it_is_written_is_a_problem(
    tmp_path: Path, broken: str, what: str, last: bool
) -> None:
    good = json.dumps(PAIR)
    (tmp_path / "a.jsonl").write_text("\n".join([good, broken] if last else [good, broken, good]))
    dataset = read_dataset(str(tmp_path / "a.jsonl"))
    assert [conversation.row for conversation in dataset.conversations] == ([1] if last else [1, 3])
    (problem,) = dataset.problems
    assert problem.row == 2 and what in problem.what and problem.remedy


@pytest.mark.parametrize(
    ("cell", "what"),
    [
        (
            {"messages": '[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "content": "c"}]'},
            "twice",
        ),
        ({"messages": "[" * 5_000}, "no list of turns"),
        ({"messages": TURNS, "tools": '[{"name": "f", "name": "g"}]'}, "The key 'name' stands in it twice"),
        ({"messages": TURNS, "tools": "[" * 150 + "]" * 150}, "nested more than 100 levels deep"),
        ({"messages": TURNS, "tools": "[" * 5_000}, "nested more than 100 levels deep"),
    ],
)
def test_json_in_a_cell_is_read_as_strictly_as_a_row(tmp_path: Path, cell: dict[str, Any], what: str) -> None:
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in ({"messages": TURNS}, cell)))
    (problem,) = read_dataset(str(tmp_path / "a.jsonl")).problems
    assert problem.row == 2 and what in problem.what


def test_a_key_twice_in_a_list_is_a_problem_of_its_row_and_in_a_document_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        '[{"question": "a", "answer": "b", "answer": "c"}, {"question": "a", "answer": "b"}]'
    )
    dataset = read_dataset(str(tmp_path / "a.json"))
    assert [problem.row for problem in dataset.problems] == [1] and len(dataset.conversations) == 1
    (tmp_path / "b.json").write_text(json.dumps({"data": [PAIR]})[:-1] + ', "data": []}')
    with pytest.raises(UserError, match=r"The key 'data' stands twice in b\.json"):
        read_dataset(str(tmp_path / "b.json"))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_line_that_is_too_long_does_not_cost_the_lines_after_it(
    tmp_path: Path, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.data.readers.text.MAX_LINE_CHARACTERS", 100)
    long = json.dumps(PAIR | {"context": "x" * 500})
    (tmp_path / "a.jsonl").write_bytes(end.join([json.dumps(PAIR), long, json.dumps(PAIR), ""]).encode())
    dataset = read_dataset(str(tmp_path / "a.jsonl"))
    assert len(dataset.conversations) == 2
    assert ["is longer than" in problem.what for problem in dataset.problems] == [True]
