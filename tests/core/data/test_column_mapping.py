"""Columns with names of their own, and samples drawn from a dataset."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.common.errors import UserError
from core.data import Conversation, Message, read_dataset, subsample
from core.data.check import UnknownColumns
from core.data.column_mapping import format_columns, parse_columns
from core.recipes.recipe import Recipe
from tests.core.data.readers.test_files import table

ROWS = [
    {"Frage": "Wo?", "Antwort": "Da.", "Kontext": "Karte", "question": "where"},
    {"Frage": "Wann?", "Antwort": "Nie.", "Kontext": "", "question": "when"},
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "fragen.csv"
    path.write_text(table(ROWS))
    return path


def test_columns_that_are_named_stand_for_the_known_ones(file: Path) -> None:
    dataset = read_dataset(str(file), columns="question=Frage, answer=Antwort,context=Kontext")
    assert dataset.format == "question-answer"
    assert [message["content"] for message in dataset.conversations[0].messages] == ["Karte\n\nWo?", "Da."]
    assert [message["content"] for message in dataset.conversations[1].messages] == ["Wann?", "Nie."]
    assert dataset.columns == ["Frage", "Antwort", "Kontext", "question"]


def test_without_them_the_columns_are_told(file: Path) -> None:
    with pytest.raises(UnknownColumns, match=r"columns are: Frage, Antwort.*--columns question=") as caught:
        read_dataset(str(file))
    assert caught.value.columns == ["Frage", "Antwort", "Kontext", "question"]


def test_a_column_that_is_nowhere_is_an_error_and_one_that_a_row_lacks_a_problem(tmp_path: Path, file: Path) -> None:
    with pytest.raises(UnknownColumns, match=r"No row has a column 'Answer'; its columns are: Frage"):
        read_dataset(str(file), columns="question=Frage,answer=Answer")
    (tmp_path / "a.jsonl").write_text('{"f": "a", "a": "b"}\n{"f": "c"}\n')
    dataset = read_dataset(str(tmp_path / "a.jsonl"), columns="question=f,answer=a")
    assert len(dataset.conversations) == 1
    assert [(problem.row, problem.what) for problem in dataset.problems] == [
        (2, "The column 'a' is missing (columns: f).")
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("question", "'question' does not say"),
        ("question=", "'question=' does not say"),
        ("frage=question", "There is no column 'frage' in any known format"),
        ("question=a,question=b", "Two columns are given for 'question'"),
    ],
)
def test_wrong_columns_are_explained(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_columns(text)
    with pytest.raises(UserError, match="dataset_columns is"):
        Recipe.from_dict({"dataset_name": "pirate", "dataset_columns": text})


def test_columns_are_written_as_they_are_parsed() -> None:
    columns = {"question": "Die Frage = was?", "answer": "Antwort"}
    assert parse_columns(format_columns({**columns, "context": None})) == columns
    assert parse_columns(None) == parse_columns(" ") == {}


def test_a_sample_is_drawn_by_the_seed_and_keeps_the_order() -> None:
    conversations = [Conversation(row, [Message(role="user", content="a")]) for row in range(1, 101)]
    drawn = subsample(conversations, 10, seed=1)
    assert len(drawn) == 10
    assert [conversation.row for conversation in drawn] == sorted(conversation.row for conversation in drawn)
    assert drawn == subsample(conversations, 10, seed=1) != subsample(conversations, 10, seed=2)
    assert subsample(conversations, None, 1) == subsample(conversations, 500, 1) == conversations
