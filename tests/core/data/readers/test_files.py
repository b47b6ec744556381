"""Files of every kind to rows, and files that are broken in every way."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from adapters.common.errors import UserError
from core.data import CheckedDataset, check, read_dataset
from core.data.dataset import DatasetRow
from core.data.samples import SAMPLES

ROWS = [
    {"prompt": "¿Qué?", "completion": 'Nada; "de" nada,\nsí'},
    {"prompt": "日本", "completion": "🦙"},
    {"prompt": "c", "completion": "d"},
]


def read(path: Path, content: str | bytes, **options: Any) -> CheckedDataset:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_dataset(str(path), **options)


def pairs(dataset: CheckedDataset) -> list[dict[str, str]]:
    return [
        {"prompt": conversation.messages[0]["content"], "completion": conversation.messages[1]["content"]}
        for conversation in dataset.conversations
    ]


def lines(rows: list[Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def table(rows: list[dict[str, str]], delimiter: str = ",") -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", lines(ROWS)),
        ("a.ndjson", lines(ROWS).rstrip("\n")),
        ("crlf.jsonl", lines(ROWS).replace("\n", "\r\n")),
        ("blank.jsonl", lines(ROWS).replace("\n", "\n\n")),
        ("bom.jsonl", b"\xef\xbb\xbf" + lines(ROWS).encode()),
        ("list.json", json.dumps(ROWS)),
        ("pretty.json", json.dumps(ROWS, indent=2)),
        ("key.json", json.dumps({"version": 1, "data": ROWS}, indent=1)),
        ("key-in-a-line.json", json.dumps({"version": 1, "data": ROWS})),
        ("really-lines.json", lines(ROWS)),
        ("really-a-list.jsonl", json.dumps(ROWS, indent=2)),
        ("a.csv", table(ROWS)),
        ("bom.csv", b"\xef\xbb\xbf" + table(ROWS).encode()),
        ("excel.csv", table(ROWS, ";")),
        ("a.tsv", table(ROWS, "\t")),
        ("pipes.csv", table(ROWS, "|")),
        ("declared.csv", "sep=;\r\n" + table(ROWS, ";")),
    ],
)
def test_every_kind_of_file_gives_the_same_rows(tmp_path: Path, name: str, content: str | bytes) -> None:
    dataset = read(tmp_path / name, content)
    assert pairs(dataset) == ROWS
    assert (dataset.rows, dataset.turns, dataset.problems, dataset.notes) == (3, 6, [], [])
    assert (dataset.source, dataset.name) == ("file", Path(name).stem)
    assert dataset.evidence.startswith("3 of 3 rows have the columns `prompt`")


def test_parquet_with_nested_columns(tmp_path: Path) -> None:
    rows = [
        {"messages": [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": "ok"}]}
        for row in ROWS
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    dataset = read_dataset(str(tmp_path / "a.parquet"))
    assert [conversation.messages for conversation in dataset.conversations] == [row["messages"] for row in rows]


def test_no_name_is_not_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_text(lines(ROWS))
    for name in ("", " "):
        with pytest.raises(UserError, match="no dataset called"):
            read_dataset(name)


def test_column_names_reach_a_terminal_without_commands(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path / "a.jsonl", lines([{"\x1b[31mred": "x", "b": "y"}]))
    assert "\x1b" not in str(caught.value)
    assert "red, b" in str(caught.value)


def test_bundled_samples_are_found_by_name_and_have_no_problems() -> None:
    for name in ("pirate", "radio", "json"):
        dataset = read_dataset(name)
        assert (dataset.source, dataset.name, dataset.format) == ("bundled", name, "guanaco")
        assert len(dataset.conversations) == dataset.rows > 0
        assert dataset.problems == []
    assert set(SAMPLES) == {"pirate", "radio", "json"}


def test_the_hash_is_of_the_bytes(tmp_path: Path) -> None:
    first, same = read(tmp_path / "a.jsonl", lines(ROWS)), read(tmp_path / "b.jsonl", lines(ROWS))
    other = read(tmp_path / "c.jsonl", lines(ROWS[:2]))
    assert first.sha256 == same.sha256 != other.sha256
    assert len(first.sha256) == 64


def test_broken_json_on_one_line_is_a_problem_of_that_row_and_the_others_convert(tmp_path: Path) -> None:
    text = lines(ROWS).splitlines()
    dataset = read(tmp_path / "a.jsonl", "\n".join([text[0], '{"prompt": "a", ', "[1, 2]", text[2]]))
    assert pairs(dataset) == [ROWS[0], ROWS[2]]
    assert [conversation.row for conversation in dataset.conversations] == [1, 4]
    broken, not_object = dataset.problems
    assert broken.row == 2 and broken.what.startswith("Line 2 is not valid JSON: ") and "column" in broken.what
    assert not_object.row == 3 and "not a JSON object but a list" in not_object.what


def test_a_broken_first_line_does_not_break_the_rest(tmp_path: Path) -> None:
    for name in ("a.jsonl", "a.json"):
        dataset = read(tmp_path / name, '{"prompt": \n' + lines(ROWS))
        assert pairs(dataset) == ROWS
        assert [problem.row for problem in dataset.problems] == [1]


@pytest.mark.parametrize("codec", ["cp1252", "latin-1"])
def test_a_csv_in_latin_1_is_read_and_said(tmp_path: Path, codec: str) -> None:
    rows = [{"prompt": "Où?", "completion": "Là-bas, à l'été naïf"}, {"prompt": "Größe", "completion": "Maß"}]
    dataset = read(tmp_path / "a.csv", table(rows).encode(codec))
    assert pairs(dataset) == rows
    (note,) = dataset.notes
    assert note.row is None and "not UTF-8" in note.what and "Windows-1252" in note.what


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-be", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_utf_16_is_read_and_said_with_and_without_its_mark(tmp_path: Path, codec: str, name: str) -> None:
    text = table(ROWS) if name == "a.csv" else lines(ROWS)
    dataset = read(tmp_path / name, text.encode(codec))
    assert pairs(dataset) == ROWS
    assert codec[:6].upper() in dataset.notes[0].what


def test_a_damaged_byte_in_utf_8_is_a_problem_of_that_row_only(tmp_path: Path) -> None:
    content = lines(ROWS).encode().replace("🦙".encode(), b"\xf0\x9f\x41")
    dataset = read(tmp_path / "a.jsonl", content)
    assert pairs(dataset) == [ROWS[0], ROWS[2]]
    (problem,) = dataset.problems
    assert problem.row == 2 and "not valid UTF-8" in problem.what


def test_half_an_escaped_emoji_is_a_problem(tmp_path: Path) -> None:
    dataset = read(tmp_path / "a.jsonl", lines(ROWS) + '{"prompt": "a \\ud83d", "completion": "b"}')
    assert [problem.row for problem in dataset.problems] == [4]


def test_rows_of_a_csv_with_too_many_or_too_few_cells(tmp_path: Path) -> None:
    dataset = read(tmp_path / "a.csv", "prompt,completion\na,b\na,b,c\na\nc,d\n")
    assert [conversation.row for conversation in dataset.conversations] == [1, 4]
    assert [problem.what[:12] for problem in dataset.problems] == ["It has 3 cel", "It has 1 cel"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"", "is empty"),
        ("a.csv", b"", "is empty"),
        ("a.parquet", b"", "is empty"),
        ("a.jsonl", b"\n \n", "only blank lines"),
        ("a.json", b"[]", "holds no rows"),
        ("a.json", b'{"data": []}', "columns are: data"),
        ("a.json", b'[{"prompt": "a"', "not valid JSON"),
        ("a.json", b"[" * 100_000, "nested too deeply|not valid JSON"),
        ("a.jsonl", b"{broken\n{also", "No row can be read. The first: Line 1"),
        ("a.csv", b"prompt,completion\n", "There are no rows"),
        ("a.json", json.dumps({"train": ROWS, "test": ROWS}).encode(), "several lists of rows: train, test"),
        ("a.json", json.dumps({"prompt": ["a", "b"], "completion": ["c", "d"]}).encode(), "written column by column"),
        ("a.json", json.dumps({"prompt": {"0": "a"}, "completion": {"0": "b"}}).encode(), "written column by column"),
        (
            "a.csv",
            b"messages\n\"[{'role': 'user', 'content': 'a'}]\"\n",
            "column messages holds lists of turns as text",
        ),
        ("a.csv", b"prompt,prompt\na,b\n", "several columns called 'prompt'"),
        ("a.csv", b"question;antwort\na;b\n", "columns are: question, antwort"),
        ("a.parquet", b"PAR1 not really", "cannot be read as Parquet"),
        ("a.pkl", b"x", "not a kind of file"),
        ("a.jsonl", gzip.compress(b"{}", mtime=0), r"no \.jsonl file: what is in it is gzipped"),
        ("a.jsonl.gz", gzip.compress(gzip.compress(b"{}", mtime=0), mtime=0), "what is in it is gzipped"),
        ("a.csv", b"PK\x03\x04 a spreadsheet", "a zip archive or a spreadsheet"),
        ("a.json", b"PAR1 more", "what is in it is Parquet"),
        ("a.jsonl", b"3\n4\n", "not a JSON object but a number"),
    ],
)
def test_a_file_that_cannot_be_read_at_all(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read(tmp_path / name, content)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.jsonl", "There is no file missing.jsonl"),
        ("./nothing", "There is no file nothing"),
        ("parrot", r"no dataset called 'parrot'.*pirate"),
        ("a/b/c", "no dataset called"),
        ("x" * 5000, "no dataset called"),
        ("/" + "x" * 5000, "There is no file"),
        ("~nobody-here/a.jsonl", "no home folder for ~nobody-here"),
    ],
)
def test_a_name_that_means_nothing(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_dataset(name)


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(UserError, match=r"no data file in folder.jsonl"):
        read_dataset(str(tmp_path / "folder.jsonl"))


def test_a_name_that_can_be_no_id_is_what_lies_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "talks" / "old").mkdir(parents=True)
    (tmp_path / "talks" / "old" / "a.jsonl").write_text(lines(ROWS))
    (tmp_path / "notes.txt").write_text("x")
    for name in ("talks", "talks/", "talks/old/"):
        assert pairs(read_dataset(name)) == ROWS
    with pytest.raises(UserError, match=r"notes\.txt is not a kind of file"):
        read_dataset("notes.txt")


def test_a_few_very_long_rows_are_sample_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "SAMPLE_CHARACTERS", 100)
    drawn: list[int] = []

    def rows() -> Iterator[DatasetRow]:
        for number in range(1, 50):
            drawn.append(number)
            yield DatasetRow(number, {"prompt": "a" * 40, "completion": "b"})

    scan = check.DatasetChecker(rows())
    assert len(drawn) == 2
    assert [conversation.row for conversation in scan] == list(range(1, 50))
