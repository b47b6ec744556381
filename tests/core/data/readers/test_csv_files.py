"""CSV and TSV: broken rows are counted and named, what follows them is read, and no file is read over and over."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path

import pytest

from adapters.common.errors import UserError
from core.data import CheckedDataset, read_dataset
from core.data.load import open_source

HEADER = "prompt,completion\n"


def read(path: Path, content: str) -> CheckedDataset:
    path.write_text(content, encoding="utf-8", newline="")
    return read_dataset(str(path))


def asked(dataset: CheckedDataset) -> list[str]:
    return [conversation.messages[0]["content"] for conversation in dataset.conversations]


@pytest.mark.parametrize(
    "broken",
    [
        'q,"an answer that is never closed',
        '"q,an answer',
        'q,"an answer" and more',
        'q,"says "hello" to you"',
        '"q" is it,an answer',
        'q,"5" pipe',
        'q,an answer,"',
    ],
)
@pytest.mark.parametrize("kind", ["csv", "tsv"])
def test_one_broken_quote_costs_one_row_of_a_hundred(tmp_path: Path, broken: str, kind: str) -> None:
    for others in ("q{0},a{0}", '"q{0}","a, {0}"', '"q{0}",a{0}'):
        rows = [others.format(number) for number in range(1, 101)]
        rows[5] = broken
        text = HEADER + "\n".join(rows) + "\n"
        content = text.replace(",", "\t").replace("\t ", ", ") if kind == "tsv" else text
        dataset = read(tmp_path / f"a.{kind}", content)
        assert asked(dataset) == [f"q{number}" for number in range(1, 101) if number != 6], others
        (problem,) = dataset.problems
        assert problem.row == 6 and "line 7" in problem.what and problem.remedy, others


def test_each_of_several_broken_rows_is_counted_and_named(tmp_path: Path) -> None:
    rows = [f'q{number},"a' if number % 3 == 0 else f"q{number},a" for number in range(1, 31)]
    dataset = read(tmp_path / "a.csv", HEADER + "\n".join(rows))
    assert asked(dataset) == [f"q{number}" for number in range(1, 31) if number % 3]
    assert [f"line {problem.row + 1} " in problem.what for problem in dataset.problems] == [True] * 10  # type: ignore[operator]


def test_a_quote_that_swallows_rows_until_another_closes_it_is_told(tmp_path: Path) -> None:
    rows = [f"q{number},a{number}" for number in range(1, 21)]
    three = [f"{row},c" for row in rows]
    three[4], three[9] = 'q5,"a5,c', 'q10,a10"'
    dataset = read(tmp_path / "a.csv", "prompt,completion,source\n" + "\n".join(three))
    assert asked(dataset) == [f"q{number}" for number in range(1, 21) if number not in (5, 10)]
    assert "begins at line 6" in dataset.problems[0].what
    rows[4], rows[9] = 'q5,"a5', 'q10,a10"'  # by CSV's rules this is one answer of six lines
    dataset = read(tmp_path / "b.csv", HEADER + "\n".join(rows))
    (note,) = dataset.notes
    assert note.row == 5 and "Lines 6 to 11 are one row" in note.what and "4 lines" in note.what


def test_answers_of_many_lines_are_left_as_they_are(tmp_path: Path) -> None:
    text = io.StringIO()
    answers = ["Dear Ada,\n\nthank you.\nYours", 'a "quoted" word\nand, a comma', "x\r\ny", "1,2\n3,4\n"]
    csv.writer(text).writerows([["prompt", "completion"], *[["q", answer] for answer in answers]])
    dataset = read(tmp_path / "a.csv", text.getvalue())
    assert [conversation.messages[1]["content"] for conversation in dataset.conversations] == answers
    assert not dataset.problems and not dataset.notes


def test_a_header_that_cannot_be_read_is_the_files_fault(tmp_path: Path) -> None:
    for header in ('prompt,"completion\n', '"prompt" x,completion\n'):
        with pytest.raises(UserError, match=r"The header of a\.csv cannot be read"):
            read(tmp_path / "a.csv", header + "a,b\n")
    with pytest.raises(UserError, match="names no columns"):
        read(tmp_path / "a.csv", ",,\na,b,c\n")


def test_columns_without_a_name_are_left_out_and_told_once_where_they_hold_something(tmp_path: Path) -> None:
    dataset = read(tmp_path / "a.csv", ",prompt,completion,,\n0,a,b,,\n1,c,d,,\n")
    assert dataset.columns == ["prompt", "completion"] and len(dataset.conversations) == 2
    (note,) = dataset.notes
    assert note.row == 1 and "cell 1 stands under no name" in note.what
    assert not read(tmp_path / "b.csv", "prompt,completion,,\na,b,,\n").notes


def test_too_many_columns_are_refused_with_their_number(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="20,000 columns; up to 10,000"):
        read(tmp_path / "a.csv", ",".join(f"c{number}" for number in range(20_000)) + "\n")
    twice = ",".join(f"c{number % 5_000}" for number in range(10_000))
    with pytest.raises(UserError, match=r"several columns called 'c0'.* and 4,980 more"):
        read(tmp_path / "b.csv", twice + "\n")


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ('"prompt";"completion"', '"a, b";c'),
        ('\n\n"prompt";completion', "a;c"),
        ('"prompt";"completion";"a, b, and, c"', "a;c;d"),
        ("sep=|\nprompt|completion", "a;b|c"),
    ],
)
def test_the_separator_is_the_one_that_divides_the_header(tmp_path: Path, header: str, row: str) -> None:
    dataset = read(tmp_path / "a.csv", f"{header}\n{row}\n")
    assert len(dataset.conversations) == 1 and not dataset.problems


def test_a_row_that_is_too_long_does_not_cost_the_rows_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("text", "csv_files"):
        monkeypatch.setattr(f"core.data.readers.{module}.MAX_LINE_CHARACTERS", 200)
    for long in (f"x,{'y' * 900}", 'x,"' + "y\n" * 300):
        dataset = read(tmp_path / "a.csv", f"{HEADER}a,b\n{long}\nc,d\n")
        assert asked(dataset) == ["a", "c"]
        assert dataset.problems[0].row == 2 and "longer than 200 characters" in dataset.problems[0].what


def test_a_file_of_quotes_alone_is_refused_before_it_is_read_over_and_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.data.readers.csv_files.MAX_LINE_CHARACTERS", 20_000)
    (tmp_path / "a.csv").write_text(HEADER + 'y","\n' * 4_000)
    begun = time.process_time()
    with pytest.raises(UserError, match="broken in too many rows"):
        for _ in open_source(str(tmp_path / "a.csv")).rows():
            pass
    assert time.process_time() - begun < 10
