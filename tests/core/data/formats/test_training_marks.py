"""Turns, parts of turns and rows that a file marks as not to be trained, under every name in use."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.data.checked_rows import check_rows, problem_of

ASKED = {"role": "user", "content": "one?"}
AGAIN = [{"role": "user", "content": "two?"}, {"role": "assistant", "content": "due"}]
THANKS = "I'm doing very well, thank you!"


def answer(**keys: Any) -> dict[str, Any]:
    """A row whose first answer has the keys; the second is an ordinary one."""
    return {"messages": [ASKED, {"role": "assistant", "content": THANKS, **keys}, *AGAIN]}


NAMES = ("weight", "loss_weight", "loss_scale", "train", "training", "trainable", "loss", "loss_mask", "step_loss_mask")


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_marked_as_not_to_be_trained_is_not_under_every_name(name: str) -> None:
    for no in (False, 0, 0.0, "false", "False", "no", "0", "0.00"):
        (conversation,), _ = check_rows(answer(**{name: no}))
        assert [message.get("weight") for message in conversation.messages] == [None, 0, None, None], no
    for yes in (True, 1, 1.0, "true", "Yes", "1"):
        (conversation,), _ = check_rows(answer(**{name: yes}))
        assert conversation.messages[1]["weight"] == 1, yes
    nothings: tuple[object, ...] = (None, "", [])
    for nothing in nothings:
        (conversation,), _ = check_rows(answer(**{name: nothing}))
        assert "weight" not in conversation.messages[1], nothing


@pytest.mark.parametrize("name", NAMES)
def test_a_weight_that_labels_cannot_follow_is_a_problem_and_never_counts_as_1(name: str) -> None:
    values: list[Any] = [0.5, 2, -1, "0.3", "some", [1, 0], {"a": 1}, float("nan")]
    for value in values:
        assert f"messages[1] has the {name} {value!r}" in problem_of(answer(**{name: value}))


def test_a_masked_turn_is_not_trained_and_a_mask_that_may_mean_both_is_a_problem() -> None:
    (conversation,), _ = check_rows(answer(masked=True))
    assert conversation.messages[1]["weight"] == 0
    (conversation,), _ = check_rows(answer(masked=False))
    assert conversation.messages[1]["weight"] == 1
    assert "`mask`" in problem_of(answer(mask=1))


def test_marks_that_contradict_each_other_are_a_problem() -> None:
    assert "both as trained and as not trained (weight, train)" in problem_of(answer(weight=1, train=False))
    (conversation,), _ = check_rows(answer(weight=0, train=False, loss=None))
    assert conversation.messages[1]["weight"] == 0


def test_a_row_in_which_all_answers_are_marked_so_is_a_problem() -> None:
    row = {"messages": [ASKED, {"role": "assistant", "content": "uno", "train": False}]}
    assert "All its answers are marked as not to be trained" in problem_of(row)


def test_marks_on_questions_are_followed_or_told() -> None:
    asked = {"from": "human", "value": "one?"}
    said = {"from": "gpt", "value": "uno"}
    conversations, scan = check_rows(
        {"conversations": [{**asked, "train": False}, {**said, "train": True}]},
        {"conversations": [{**asked, "train": True}, {**said, "train": True}]},
        {"conversations": [{**asked, "weight": 0.5}, said]},
    )
    assert len(conversations) == 3 and not scan.problems
    assert all("weight" not in conversation.messages[0] for conversation in conversations)
    (note,) = [note.what for note in scan.notes if note.row is None]
    assert "not the assistant's has no effect" in note and "(2 rows)" in note


# The example of Axolotl's documentation: the end of a range is its last character.
DETAIL = [
    {"begin_offset": 0, "end_offset": 8, "train": False},
    {"begin_offset": 9, "end_offset": 18, "train": True},
    {"begin_offset": 19, "end_offset": 30, "train": False},
]


def untrained(message: Any) -> list[str]:
    return [message["content"][start:end] for start, end in message.get("untrained", [])]


def test_characters_marked_as_not_to_be_trained_are_kept_as_spans() -> None:
    (conversation,), _ = check_rows(answer(train_detail=DETAIL))
    assert untrained(conversation.messages[1]) == ["I'm doing", ", thank you!"]
    (conversation,), _ = check_rows(answer(train_detail=DETAIL[1:2]))  # what no range names is not trained
    assert untrained(conversation.messages[1]) == ["I'm doing", ", thank you!"]
    (conversation,), _ = check_rows(answer(train=True, train_detail=DETAIL))
    assert untrained(conversation.messages[1]) == ["I'm doing", ", thank you!"]
    (conversation,), _ = check_rows(answer(train=False, train_detail=DETAIL))
    assert conversation.messages[1]["weight"] == 0 and "untrained" not in conversation.messages[1]


def test_ranges_that_leave_nothing_or_everything_mark_the_whole_turn() -> None:
    for detail in ([], DETAIL[:1], [{"begin_offset": 3, "end_offset": 3, "train": True}]):  # the last one is a space
        (conversation,), _ = check_rows(answer(train_detail=detail))
        assert conversation.messages[1]["weight"] == 0 and "untrained" not in conversation.messages[1]
    (conversation,), _ = check_rows(answer(train_detail=[{"begin_offset": 0, "end_offset": 30, "train": 1}]))
    assert "weight" not in conversation.messages[1] and "untrained" not in conversation.messages[1]
    (conversation,), _ = check_rows(answer(train=True, train_detail=[]))
    assert conversation.messages[1]["weight"] == 1


@pytest.mark.parametrize(
    ("detail", "words"),
    [
        ([{"begin_offset": 9, "end_offset": 40, "train": True}], "range 9 to 40, but the text has 31 characters"),
        ([{"begin_offset": 9, "end_offset": 3, "train": True}], "range 9 to 3"),
        ([{"begin_offset": -1, "end_offset": 3, "train": True}], "not understood"),
        ([{"begin_offset": 0.5, "end_offset": 3, "train": True}], "not understood"),
        ([{"begin_offset": 0, "end_offset": 3}], "not understood"),
        ([{"begin_offset": 0, "end_offset": 3, "train": 0.5}], "not understood"),
        ([[0, 3]], "not understood"),
        ("all", "is text, not a list"),
        (
            [
                {"begin_offset": 0, "end_offset": 9, "train": False},
                {"begin_offset": 9, "end_offset": 31, "train": True},
            ],
            "says of character 9 both",
        ),
    ],
)
def test_ranges_that_do_not_fit_the_text_are_a_problem(detail: Any, words: str) -> None:
    assert words in problem_of(answer(train_detail=detail))


def test_a_part_of_an_answer_may_be_marked_too() -> None:
    parts = [{"type": "text", "text": "Think: "}, {"type": "text", "text": "two", "train": False}, {"text": "!"}]
    (conversation,), _ = check_rows(answer(content=parts))
    assert conversation.messages[1]["content"] == "Think: two!" and untrained(conversation.messages[1]) == ["two"]


def test_spans_are_exported_and_read_back_the_same() -> None:
    (conversation,), _ = check_rows(answer(train_detail=DETAIL, reasoning="hm"))
    (again,), scan = check_rows(conversation.to_dict())
    assert again == conversation and not scan.notes
    assert "do not fit" in problem_of(answer(untrained=[[0, 99]]))


@pytest.mark.parametrize("name", ["weight", "loss_weight", "sample_weight", "train", "trainable", "loss"])
def test_a_row_marked_as_not_to_be_trained_is_left_out_with_a_note(name: str) -> None:
    pair = {"prompt": "a", "completion": "b"}
    conversations, scan = check_rows(
        {**pair, name: 1}, {**pair, name: 0}, {**pair, name: "false"}, {**pair, name: None}, {**pair, name: "no"}
    )
    assert [conversation.row for conversation in conversations] == [1, 4] and not scan.problems
    left_out = [note.row for note in scan.notes if f"`{name}`" in note.what and "left out" in note.what]
    assert left_out == [2, 3, 5]


def test_the_weight_of_a_row_is_a_problem_unless_the_columns_to_read_are_named() -> None:
    row = {"question": "How heavy is Bo?", "answer": "70 kg.", "weight": 70.5}
    assert "column `weight` is 70.5" in problem_of(row)
    conversations, scan = check_rows(row, columns="question=question,answer=answer")
    assert len(conversations) == 1
    assert [note.what for note in scan.notes] == ["Only the columns that were named are read, not weight."]


def test_a_row_marked_as_not_to_be_trained_is_left_out_also_where_columns_are_named() -> None:
    rows = [{"Frage": str(weight), "Antwort": "b", "weight": weight} for weight in (1, 0, "0.00", None)]
    conversations, scan = check_rows(*rows, columns="question=Frage,answer=Antwort")
    assert [conversation.row for conversation in conversations] == [1, 4] and not scan.problems


def test_a_column_that_only_has_such_a_name_is_told_as_not_read() -> None:
    conversations, scan = check_rows({"prompt": "a", "completion": "b", "train": "fold-3", "loss": 0.73})
    assert len(conversations) == 1
    assert {note.what for note in scan.notes} == {
        f"The column `{name}` is not read (1 row)." for name in ("train", "loss")
    }


def test_the_speaker_that_a_column_masks_is_not_trained() -> None:
    turns = [{"from": "User", "value": "a"}, {"from": "Assistant", "value": "b"}]
    conversations, scan = check_rows({"mask": "User", "conversations": turns})
    assert len(conversations) == 1 and not scan.notes
    assert "All its answers are marked" in problem_of({"mask": "Assistant", "conversations": turns})


@pytest.mark.parametrize("name", [*NAMES, "masked"])
def test_a_column_with_a_mark_for_each_turn_is_followed(name: str) -> None:
    yes, no = (0, 1) if name == "masked" else (1, 0)
    every_turn, answers_alone = [no, no, no, yes], [no, yes]
    for marks in (every_turn, answers_alone, [None, no, None, None]):
        (conversation,), scan = check_rows({**answer(), name: marks})
        assert [message.get("weight") == 0 for message in conversation.messages] == [False, True, False, False], marks
        assert not scan.notes
    (conversation,), _ = check_rows({**answer(), "system": "Be brief.", name: every_turn})
    assert [message["content"] for message in conversation.messages if message.get("weight") == 0] == [THANKS]
    named = {"dialogue": answer()["messages"], name: every_turn}
    (conversation,), _ = check_rows(named, columns="messages=dialogue")
    assert [message.get("weight") == 0 for message in conversation.messages] == [False, True, False, False]
    text = {"text": "### Human: one? ### Assistant: uno ### Human: two? ### Assistant: due", name: every_turn}
    (conversation,), _ = check_rows(text)
    assert [message.get("weight") == 0 for message in conversation.messages] == [False, True, False, False]


def test_marks_that_do_not_fit_the_turns_are_a_problem_and_other_lists_are_told_as_not_read() -> None:
    assert "column `loss_mask` has 3 marks, and it has 4 turns" in problem_of({**answer(), "loss_mask": [0, 0, 1]})
    assert "All its answers are marked" in problem_of({**answer(), "loss_mask": [0, 0]})
    assert "`mask`" in problem_of({**answer(), "mask": [0, 1, 0, 1]})
    _, scan = check_rows({**answer(), "loss_mask": [0, 1, 0, 1]}, {**answer(), "loss_mask": [1, 1, 0, 1]})
    assert any("not the assistant's has no effect" in note.what and "(1 row)" in note.what for note in scan.notes)
    conversations, scan = check_rows({**answer(), "loss": [0.73, 0.41], "weight": ["light"]})
    assert len(conversations) == 1
    assert {note.what for note in scan.notes} == {
        f"The column `{name}` is not read (1 row)." for name in ("loss", "weight")
    }
    (conversation,), _ = check_rows({"text": "Llamas and guanacos are relatives.", "loss_mask": [0]})
    assert "weight" not in conversation.messages[0]
