"""Rows of every format to messages: round trips over random conversations, and each dialect's corners."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from adapters.common.errors import UserError
from core.data import Message
from core.data.check import DatasetChecker
from core.data.dataset import DatasetRow, RowError
from core.data.formats import FORMATS
from tests.core.data.dialogues import (
    chatml_text,
    dialogues,
    guanaco_text,
    llama2_text,
    sharegpt_turns,
    vicuna_text,
    words,
)
from tests.core.data.formats.converting import convert, reason, scan_of, talk

few = settings(max_examples=50)


@pytest.mark.slow
@few
@given(dialogues(), st.sampled_from(["", " ", "\n", "\n\n"]))
def test_guanaco_text_gives_back_the_conversation(messages: list[Message], separator: str) -> None:
    assert convert({"text": guanaco_text(messages, separator)}) == ("guanaco", messages)


@few
@given(dialogues())
def test_llama2_text_gives_back_the_conversation(messages: list[Message]) -> None:
    assert convert({"text": llama2_text(messages)}) == ("llama2", messages)


@few
@given(dialogues(), st.booleans())
def test_messages_and_sharegpt_give_back_the_conversation(messages: list[Message], as_json: bool) -> None:
    turns = sharegpt_turns(messages)
    cell = (lambda value: json.dumps(value)) if as_json else (lambda value: value)  # a CSV cell holds JSON
    assert convert({"messages": cell(messages), "id": 7}) == ("messages", messages)
    assert convert({"conversations": cell(turns)}) == ("sharegpt", messages)


@few
@given(words(), words(), words())
def test_alpaca_and_prompt_completion_give_back_question_and_answer(question: str, extra: str, answer: str) -> None:
    assert convert({"instruction": question, "input": None, "output": answer}) == ("alpaca", talk(question, answer))
    row = {"instruction": question, "input": extra, "output": answer}
    assert convert(row) == ("alpaca", talk(f"{question}\n\n{extra}", answer))
    name = "prompt-completion"
    assert convert({"prompt": question, "completion": answer}) == (name, talk(question, answer))
    assert convert({"prompt": question, "response": answer}) == (name, talk(question, answer))
    turns = {"prompt": talk(question), "completion": [Message(role="assistant", content=answer)]}
    assert convert(turns) == (name, talk(question, answer))


@few
@given(dialogues(), st.booleans())
def test_chatml_text_gives_back_the_conversation(messages: list[Message], last_line: bool) -> None:
    text = chatml_text(messages)
    assert convert({"text": text if last_line else text.rstrip() + "<|endoftext|>"}) == ("chatml", messages)


@few
@given(dialogues(), st.sampled_from([" ", "\n"]))
def test_vicuna_text_gives_back_the_conversation(messages: list[Message], separator: str) -> None:
    assume("###" not in messages[0]["content"])  # a preface that begins with another dialect's sign is taken for that
    assert convert({"text": vicuna_text(messages, separator)}) == ("vicuna", messages)


@few
@given(words(), words(), words(), st.sampled_from([("question", "answer"), ("query", "response"), ("input", "output")]))
def test_question_answer_gives_back_both(question: str, answer: str, context: str, columns: tuple[str, str]) -> None:
    row = dict(zip(columns, (question, answer), strict=True))
    assert convert(row) == ("question-answer", talk(question, answer))
    assert convert({**row, "context": context}) == ("question-answer", talk(f"{context}\n\n{question}", answer))


@few
@given(dialogues(system=False))
def test_alpaca_history_gives_back_the_earlier_exchanges(messages: list[Message]) -> None:
    texts = [message["content"] for message in messages]
    pairs = [texts[index : index + 2] for index in range(0, len(texts) - 2, 2)]
    row = {"instruction": texts[-2], "input": "", "output": texts[-1], "history": pairs, "system": "Be kind."}
    assert convert(row) == ("alpaca", [Message(role="system", content="Be kind."), *messages])


def test_dolly_columns_are_alpaca() -> None:
    row = {"instruction": "Who?", "context": "Ann wrote it.", "response": "Ann", "category": "qa"}
    assert convert(row) == ("alpaca", talk("Who?\n\nAnn wrote it.", "Ann"))


def test_plain_text_is_trained_whole_and_said() -> None:
    scan = scan_of({"text": "Once upon a time"}, {"text": "there was a llama."})
    assert next(iter(scan)).messages == [{"role": "text", "content": "Once upon a time"}]
    assert scan.format.name == "text" and "as a whole" in scan.notes[0].what


def test_a_few_damaged_conversations_do_not_make_a_file_plain_text() -> None:
    scan = scan_of({"text": "### Human: a ### Assistant: b"}, *[{"text": "broken"}] * 9)
    assert len(list(scan)) == 1 and len(scan.problems) == 9


def test_the_only_column_may_have_any_name() -> None:
    assert convert({"sample": "### Human: a### Assistant: b"}) == ("guanaco", talk("a", "b"))


def test_llama2_text_without_outer_marks_and_with_tight_ones() -> None:
    assert convert({"text": "[INST]a[/INST]b"})[1] == talk("a", "b")
    assert convert({"text": "<s>[INST] a [/INST] b </s><s>[INST] c [/INST] d</s>"})[1] == talk("a", "b", "c", "d")


def test_content_in_parts_is_joined_and_roles_have_other_names() -> None:
    turns = [
        {"role": "developer", "content": "Be kind."},
        {"role": "Human", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "model", "content": "c"},
    ]
    expected = [Message(role="system", content="Be kind."), *talk("ab", "c")]
    assert convert({"messages": turns})[1] == expected


@pytest.mark.parametrize(
    ("row", "words_of_reason"),
    [
        ({"messages": [*talk("a"), *talk("b"), *talk("x", "c")[1:]]}, "two human turns in a row"),
        ({"messages": [*talk("a", "b"), *talk("x", "c")[1:]]}, "two assistant turns in a row"),
        ({"messages": talk("x", "only")[1:]}, "only assistant turns"),
        ({"messages": talk("only")}, "only human turns"),
        ({"messages": [*talk("x", "first")[1:], *talk("q", "a")]}, "begins with an assistant"),
        ({"messages": talk("a", "  ")}, "Message 2 (assistant) is empty"),
        ({"messages": talk("", "b")}, "Message 1 (human) is empty"),
        ({"messages": [*talk("a", "b"), {"role": "system", "content": "s"}]}, "system message after the beginning"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "alien", "content": "b"}]}, "role 'alien'"),
        (
            {"messages": [{"role": "user", "content": 5}, {"role": "assistant", "content": "b"}]},
            "is a number, not text",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "type 'image_url'"),
        ({"conversations": [{"from": "human", "value": "a"}, "b"]}, "conversations[1] is text, not a turn"),
        ({"text": "### Human: a ### Human: b ### Assistant: c"}, "two human turns in a row"),
        ({"text": "### Assistant: c"}, "only assistant turns"),
        ({"text": "### Human: c"}, "only human turns"),
        ({"text": "Hello! ### Human: a ### Assistant: b"}, 'text before the first marker: "Hello!"'),
        ({"text": "### Human: a ### Assistant: "}, "Message 2 (assistant) is empty"),
        ({"text": "[INST] a [/INST] b [INST] c"}, '2 "[INST]" but 1 "[/INST]"'),
        ({"text": "Sure: [INST] a [/INST] b"}, 'does not begin with "[INST]"'),
        ({"text": "[INST] a [/INST]"}, "only human turns"),
        ({"instruction": "", "input": "", "output": "b"}, "Message 1 (human) is empty"),
        ({"text": "<|im_start|>user\na<|im_end|>\nrest"}, 'text outside of the turns: "rest"'),
        ({"text": "<|im_start|>alien\na<|im_end|>"}, "a turn by 'alien'"),
        ({"text": "Hi. ASSISTANT: b"}, "only assistant turns"),
        ({"instruction": "a", "output": "b", "history": ["x"]}, "`history` is a list, not pairs"),
        ({"instruction": ["a"], "output": "b"}, "`instruction` is a list, not text"),
        ({"prompt": "a", "completion": None}, "Message 2 (assistant) is empty"),
    ],
)
def test_a_row_that_teaches_nothing_or_something_wrong_is_refused(row: dict[str, Any], words_of_reason: str) -> None:
    assert words_of_reason in reason(row)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_given_format_that_the_row_does_not_have_is_a_problem_of_that_row(name: str) -> None:
    assert "(columns: a, b)" in reason({"a": 1, "b": 2}, name)


def test_an_unknown_format_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"Known formats: .*guanaco.*alpaca"):
        DatasetChecker([], "guanako")


def test_rows_of_another_format_are_read_by_their_own_and_said() -> None:
    rows = [DatasetRow(n, {"text": "### Human: a ### Assistant: b"}) for n in (1, 2)]
    rows.append(DatasetRow(3, {"messages": talk("a", "b")}))
    scan = DatasetChecker([*rows, DatasetRow(4, {"text": "no markers"})])
    assert [conversation.row for conversation in scan] == [1, 2, 3]
    assert [problem.row for problem in scan.problems] == [4]
    assert scan.evidence.startswith("2 of 4 rows have") and scan.evidence.endswith("1 are messages")


def test_all_problems_are_collected_not_only_the_first() -> None:
    rows = [
        DatasetRow(n, {"text": "### Human: a" if n % 2 else "### Human: a ### Assistant: b"}) for n in range(1, 101)
    ]
    scan = DatasetChecker([*rows, DatasetRow(101, RowError("broken", "mend"))])
    assert len(list(scan)) == 50
    assert [problem.row for problem in scan.problems] == [*range(1, 101, 2), 101]


def test_columns_of_no_known_format_are_named() -> None:
    with pytest.raises(UserError, match="columns are: a, b"):
        DatasetChecker([DatasetRow(1, {"a": 1, "b": 2})])


def test_repetitions_are_noted_with_the_row_they_repeat() -> None:
    rows = [{"prompt": "Hi there", "completion": "a"}, {"prompt": "x", "completion": "a"}]
    scan = scan_of(*rows, {"prompt": "hi  there", "completion": "A"})
    assert len(list(scan)) == 3 and scan.problems == []
    (note,) = scan.notes
    assert note.row == 3 and "the same as row 1" in note.what


@pytest.mark.parametrize("mark", ["</s>", "<|im_end|>", "[INST]", "<end_of_turn>", "### Human:"])
def test_marks_of_templates_inside_a_text_are_noted(mark: str) -> None:
    scan = scan_of({"prompt": "a", "completion": f"see {mark} here"}, {"prompt": "a < b | c", "completion": "<sub>"})
    assert len(list(scan)) == 2 and scan.problems == []
    (note,) = scan.notes
    assert note.row == 1 and f'Message 2 holds "{mark}"' in note.what


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x07", "\x7f"])
def test_control_characters_inside_a_text_are_noted(character: str) -> None:
    scan = scan_of({"prompt": "Who?\r\n\tNow?", "completion": f"An{character}n"})
    assert len(list(scan)) == 1
    assert [(note.row, f"U+{ord(character):04X}" in note.what) for note in scan.notes] == [(1, True)]
