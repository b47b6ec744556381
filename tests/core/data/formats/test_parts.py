"""What a turn says, under each of the names in use; and what is told of keys and columns that nobody reads."""

from __future__ import annotations

from typing import Any

import pytest

from core.data.formats.tracking import ConversionNotes
from core.data.warnings import MAX_COUNTED, NotesSummary
from tests.core.data.checked_rows import check_rows, problem_of

USER = {"role": "user", "content": "a"}


def said(content: Any) -> Any:
    (conversation,), scan = check_rows({"messages": [USER, {"role": "assistant", "content": content}]})
    assert not scan.notes
    return conversation.messages[1]


@pytest.mark.parametrize(
    "parts",
    [
        [{"type": "text", "text": "b"}],
        [{"type": "text", "value": "b"}],
        [{"type": "text", "content": "b"}],
        [{"type": "input_text", "text": "b"}],
        [{"type": "output_text", "text": "b", "annotations": []}],
        [{"type": "text", "text": {"value": "b", "annotations": []}}],
        [{"type": "text", "text": "b", "image_url": None}],  # as Parquet gives it
        [{"text": "b"}],
        ["b"],
        [{"type": "text", "text": ""}, None, "b"],
        {"type": "text", "text": "b"},
    ],
)
def test_text_parts_are_read_under_each_of_their_names(parts: Any) -> None:
    assert said(parts) == {"role": "assistant", "content": "b"}


def test_a_part_that_thinks_is_the_answers_reasoning() -> None:
    for part in ({"type": "thinking", "thinking": "hm"}, {"type": "reasoning", "text": "hm"}):
        assert said([part, {"type": "text", "text": "b"}]) == {
            "role": "assistant",
            "content": "b",
            "reasoning_content": "hm",
        }
    assert "is not the assistant's" in problem_of({"messages": [{"role": "user", "content": [part]}]})


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ({"type": "image_url", "image_url": {"url": "x"}}, "image_url"),
        ({"type": "image"}, "image"),
        ({"type": "input_audio", "input_audio": {"data": "x"}}, "input_audio"),
        ({"type": "video", "video": "x"}, "video"),
        ({"image": "x.png"}, "image"),
        ({"type": "tool_use", "name": "f", "input": {}}, "tool_use"),
        (5, "a number"),
    ],
)
def test_a_part_that_is_no_text_is_a_problem_with_its_kind(part: Any, kind: str) -> None:
    assert kind in problem_of({"messages": [{"role": "user", "content": [{"type": "text", "text": "What?"}, part]}]})


@pytest.mark.parametrize("key", ["image", "images", "audio", "videos"])
def test_pictures_and_sound_beside_the_text_are_a_problem(key: str) -> None:
    pair = {"question": "What is on it?", "answer": "A dog."}
    assert f"`{key}`" in problem_of({**pair, key: ["x.png"]})
    assert f"`{key}`" in problem_of({"messages": [{**USER, key: "x.png"}, {"role": "assistant", "content": "b"}]})
    nothings: tuple[object, ...] = (None, [], "", 0)
    for nothing in nothings:
        assert len(check_rows({**pair, key: nothing})[0]) == 1


@pytest.mark.parametrize("key", ["content", "value", "text", "parts"])
@pytest.mark.parametrize("speaker", ["role", "from"])
def test_a_turns_text_is_read_under_each_of_its_names(speaker: str, key: str) -> None:
    turns = [{speaker: "user", key: "a"}, {speaker: "assistant", key: "b", "content": None}]
    if key == "content":
        turns = [{speaker: "user", key: "a"}, {speaker: "assistant", key: "b", "value": None}]
    (conversation,), scan = check_rows({"conversations": turns})
    assert [message["content"] for message in conversation.messages] == ["a", "b"] and not scan.notes


def test_turns_of_two_formats_merged_in_one_file_are_read_by_what_is_filled_in() -> None:
    empty = {"role": None, "content": None, "from": None, "value": None}
    turns = [{**empty, "from": "human", "value": "a"}, {**empty, "role": "assistant", "content": "b"}]
    (conversation,), _ = check_rows({"messages": turns})
    assert [message["content"] for message in conversation.messages] == ["a", "b"]


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning", "thinking"])
def test_reasoning_is_kept_under_each_of_its_names(key: str) -> None:
    (conversation,), scan = check_rows({"messages": [USER, {"role": "assistant", "content": "b", key: "hm"}]})
    assert conversation.messages[1]["reasoning_content"] == "hm" and not scan.notes
    assert "is an object, not text" in problem_of(
        {"messages": [USER, {"role": "assistant", "content": "b", key: {"effort": "low"}}]}
    )


def test_the_same_reasoning_twice_is_read_once_and_another_one_is_told() -> None:
    turn = {"role": "assistant", "content": "b", "reasoning_content": "hm", "reasoning": "hm"}
    (conversation,), scan = check_rows({"messages": [USER, turn]})
    assert conversation.messages[1]["reasoning_content"] == "hm" and not scan.notes
    _, scan = check_rows({"messages": [USER, {**turn, "reasoning": "or not", "thinking": True}]})
    assert {note.what for note in scan.notes} == {
        f"The key `{key}` of turns is not read (1 row)." for key in ("reasoning", "thinking")
    }


def test_keys_that_nobody_reads_are_told_once_each_with_their_number_of_rows() -> None:
    turn = {"role": "assistant", "content": "b", "tokens": 3}
    rows: list[dict[str, Any]] = [{"messages": [{**USER, "content": str(n)}, turn], "id": n} for n in range(1200)]
    rows[5] = {**rows[5], "source": "wiki", "notes": None}
    _, scan = check_rows(*rows)
    assert sorted(note.what for note in scan.notes) == [
        "The column `id` is not read (1,200 rows).",
        "The column `source` is not read (1 row).",
        "The key `tokens` of turns is not read (1,200 rows).",
    ]
    assert {note.row for note in scan.notes} == {None}


def test_a_file_with_new_keys_in_every_row_is_told_in_bounded_room() -> None:
    telling = NotesSummary()
    for number in range(3 * MAX_COUNTED):
        telling.add(ConversionNotes(columns={f"column{number}"}))
    notes = telling.notes()
    assert len(notes) < 50 and "Many more columns or keys are not read" in notes[-1].what


@pytest.mark.parametrize("key", ["utterance", "refusal", "message"])
def test_a_text_under_a_key_that_is_not_read_is_never_called_empty(key: str) -> None:
    row = {"messages": [USER, {"role": "assistant", "content": "", key: "b"}]}
    assert f"messages[1] has no text under `content`; it has some under `{key}`" in problem_of(row)
    assert f"`{key}`" in problem_of({"messages": [{"role": "user", "content": [{"type": "text", key: "a"}]}]})


def test_a_text_in_a_column_that_is_not_read_is_never_called_empty() -> None:
    assert "text lies under `reply`, which is not read" in problem_of({"prompt": "a", "completion": "", "reply": "b"})
    assert problem_of({"prompt": "a", "completion": "", "id": 5}) == "Message 2 (assistant) is empty."


def test_of_columns_that_mean_the_same_the_filled_one_is_read() -> None:
    (conversation,), _ = check_rows({"prompt": "a", "completion": None, "response": "b"})
    assert conversation.messages[1]["content"] == "b"
    (conversation,), _ = check_rows({"instruction": "a", "input": "", "context": "c", "output": "", "response": "b"})
    assert [message["content"] for message in conversation.messages] == ["a\n\nc", "b"]


def test_reasoning_without_an_answer_is_called_that() -> None:
    assert problem_of({"messages": [USER, {"role": "assistant", "content": "", "reasoning": "hm"}]}) == (
        "Message 2 (assistant) has reasoning, but no answer."
    )


def test_turns_that_hold_a_question_and_its_answer_are_two_turns() -> None:
    exchanges = [{"human": "a", "assistant": "b", "train": False}, {"human": "c", "assistant": "d"}]
    (conversation,), scan = check_rows({"system": "Be brief.", "conversation": exchanges})
    assert [(message["role"], message["content"]) for message in conversation.messages] == [
        ("system", "Be brief."),
        ("user", "a"),
        ("assistant", "b"),
        ("user", "c"),
        ("assistant", "d"),
    ]
    assert conversation.messages[2]["weight"] == 0 and scan.format.name == "sharegpt" and not scan.notes
