"""A file is read once for all who ask for it in this process, and the answer is the same each time."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adapters.common.errors import UserError
from core.data import cache, encode, load, read_dataset
from core.data.cache import CheckedRows, RowsCache, RowsKey
from core.data.dataset import DatasetRow
from core.data.readers.archive import DataFile
from core.data.readers.files import hash_files, read_rows
from core.recipes.dataset import read_recipe_dataset
from core.recipes.recipe import Recipe
from tests.core.data.tokenize.shipped_templates import tokenizer_of

TALKS = [
    {"text": "### Human: What is 1 plus 1?### Assistant: 2."},
    {"text": "### Human: What is 1 plus 1?### Assistant: 2."},
    {"text": "### Human: And now?"},
    {"text": "### Human: Hello### Assistant: Hi</s>### Human: Who are you?"},
    {"text": "### Human: Not this one### Assistant: No.", "train": False},
    {"text": "### Human: A key### Assistant: A lock.", "source": "mine"},
    "no object",
]


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files whose rows were read."""
    names: list[str] = []

    def counted(files: list[DataFile], named: Collection[str]) -> Iterator[DatasetRow]:
        names.extend(file.name for file in files)
        return read_rows(files, named)

    monkeypatch.setattr(load, "read_rows", counted)
    return names


def write(path: Path, rows: list[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_second_reading_is_equal_and_reads_no_row(tmp_path: Path, readings: list[str]) -> None:
    path = write(tmp_path / "talks.jsonl", [*TALKS])
    first = read_dataset(str(path))
    second = read_dataset(str(path))
    assert readings == ["talks.jsonl"]
    assert second == first
    assert first.problems and len(first.notes) >= 4 and len(first.conversations) == 4


def test_page_and_plan_of_a_recipe_read_the_file_once(tmp_path: Path, readings: list[str]) -> None:
    path = str(write(tmp_path / "talks.jsonl", [*TALKS]))
    recipe = Recipe(dataset_name=path)
    shown = read_dataset(path, dataset_format=None, columns=None)
    assert read_recipe_dataset(recipe) == shown == read_recipe_dataset(recipe)
    assert len(readings) == 1


def test_what_a_caller_does_to_its_lists_is_its_own(tmp_path: Path) -> None:
    path = str(write(tmp_path / "talks.jsonl", [*TALKS]))
    first = read_dataset(path)
    expected = (list(first.conversations), list(first.problems), list(first.notes), list(first.columns))
    for found in (first.conversations, first.problems, first.notes, first.columns):
        found.clear()
    again = read_dataset(path)
    assert (again.conversations, again.problems, again.notes, again.columns) == expected


def test_a_changed_file_is_read_anew(tmp_path: Path, readings: list[str]) -> None:
    path = write(tmp_path / "talks.jsonl", [*TALKS])
    before = read_dataset(str(path))
    write(path, [TALKS[0]])
    after = read_dataset(str(path))
    assert len(readings) == 2
    assert (after.rows, after.problems, after.notes) == (1, [], []) and after.sha256 != before.sha256


def test_another_format_other_columns_and_another_kind_of_file_are_read_anew(
    tmp_path: Path, readings: list[str]
) -> None:
    path = write(tmp_path / "talks.jsonl", [{"text": "### Human: a### Assistant: b", "more": "c"}])
    formats = [read_dataset(str(path), dataset_format=name).format for name in (None, "text", "guanaco")]
    assert formats == ["guanaco", "text", "guanaco"]
    assert read_dataset(str(path), columns="question=more,answer=text").format == "question-answer"
    assert len(readings) == 4
    expected = read_dataset(str(path)).conversations
    copied = tmp_path / "copy.jsonl"
    copied.write_bytes(path.read_bytes())
    assert read_dataset(str(copied)).name == "copy"
    with gzip.open(tmp_path / "talks.jsonl.gz", "wb") as file:
        file.write(path.read_bytes())
    assert read_dataset(str(tmp_path / "talks.jsonl.gz")).conversations == expected
    assert readings[4:] == ["copy.jsonl", "talks.jsonl.gz"]


def test_a_file_that_changes_while_it_is_read_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "talks.jsonl", [*TALKS])
    check_rows = load.check_rows

    def slow(*arguments: object) -> CheckedRows:
        found = check_rows(*arguments)  # type: ignore[arg-type]
        write(path, [TALKS[0]])
        return found

    monkeypatch.setattr(load, "check_rows", slow)
    assert read_dataset(str(path)).rows == len(TALKS)
    monkeypatch.undo()
    assert read_dataset(str(path)).rows == 1


def test_what_cannot_be_read_is_refused_each_time(tmp_path: Path, readings: list[str]) -> None:
    path = write(tmp_path / "numbers.jsonl", [{"a": 1}])
    for _ in range(2):
        with pytest.raises(UserError, match="no format"):
            read_dataset(str(path))
    assert len(readings) == 2


def rows_of(number: int) -> tuple[RowsKey, CheckedRows]:
    rows = CheckedRows("text", "", number, (), (), (), ())
    return RowsKey(str(number), ("a.jsonl",), None, None), rows


def test_it_keeps_those_used_last_within_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    found = RowsCache()
    for number in range(cache.MAX_DATASETS):
        found.add(*rows_of(number), 1)
    assert found.get(rows_of(0)[0]) == rows_of(0)[1]  # so 1 is the one that was not used for longest
    found.add(*rows_of(9), 1)
    assert found.get(rows_of(1)[0]) is None and found.get(rows_of(0)[0]) is not None
    found.add(*rows_of(11), cache.MAX_BYTES)
    assert found.get(rows_of(11)[0]) is not None and found.get(rows_of(9)[0]) is None


def test_files_too_large_to_keep_are_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "talks.jsonl", [*TALKS])
    hashed: list[list[Path]] = []

    def counted(paths: list[Path]) -> str:
        hashed.append(paths)
        return hash_files(paths)

    monkeypatch.setattr(load, "hash_files", counted)
    monkeypatch.setattr(cache, "MAX_BYTES", path.stat().st_size - 1)
    assert [read_dataset(str(path)).sha256 for _ in range(2)] == [hash_files([path])] * 2
    assert hashed == [[path]] * 2
    monkeypatch.setattr(cache, "MAX_BYTES", path.stat().st_size)
    hashed.clear()
    assert read_dataset(str(path)) == read_dataset(str(path))
    assert hashed == [[path]] * 3, "before and after the reading, and to see that nothing has changed"


def test_what_is_made_of_shared_conversations_leaves_them_as_they_are(tmp_path: Path) -> None:
    calls = [{"type": "function", "function": {"name": "weather", "arguments": {"city": "Bern"}}}]
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Rain?"},
        {"role": "assistant", "content": "I look.", "reasoning_content": "Hm.", "tool_calls": calls},
        {"role": "tool", "name": "weather", "content": "none"},
        {"role": "assistant", "content": "No rain."},
    ]
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]
    dataset = read_dataset(str(write(tmp_path / "calls.jsonl", [{"messages": turns, "tools": tools}])))
    (conversation,) = dataset.conversations
    before = copy.deepcopy(conversation)
    assert encode(tokenizer_of("qwen3"), conversation.messages, conversation.tools).examples
    assert conversation == before


def test_threads_share_it(tmp_path: Path) -> None:
    paths = [str(write(tmp_path / f"{number}.jsonl", [TALKS[number % 2]] * (number + 1))) for number in range(8)]
    with ThreadPoolExecutor(4) as threads:
        sizes = [found.rows for found in threads.map(read_dataset, paths * 5)]
    assert sizes == list(range(1, 9)) * 5
