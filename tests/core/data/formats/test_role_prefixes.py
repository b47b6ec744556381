"""Text with a mark before each turn: which marks begin a turn, and which stand in an answer."""

from __future__ import annotations

import pytest

from core.data import Message
from core.data.check import DatasetChecker
from core.data.dataset import DatasetRow
from tests.core.data.dialogues import (
    guanaco_text,
    vicuna_text,
)
from tests.core.data.formats.converting import convert, talk


@pytest.mark.parametrize(
    "answer",
    [
        'Begin with "### Human: hi", then wait.',
        "Begin with `### Human:` and end.",
        "Begin with «### Human: salut», then wait.",
        "```\n### Human: hi\n### Assistant: hello\n```\nThat is the format.",
        "~~~text\n### Human: hi\n~~~",
    ],
)
def test_a_quoted_marker_inside_an_answer_stays_there(answer: str) -> None:
    for separator in ("", " ", "\n"):
        text = guanaco_text(talk("How?", answer, "And then?", "Fine."), separator)
        assert convert({"text": text})[1] == talk("How?", answer, "And then?", "Fine.")


def test_an_unquoted_marker_in_mid_line_stays_where_turns_on_lines_alternate_without_it() -> None:
    text = (
        "### Human: How?\n### Assistant: Each one gets ### Human: before it.\n### Human: Thanks\n### Assistant: Sure."
    )
    assert convert({"text": text})[1][1]["content"] == "Each one gets ### Human: before it."


def test_a_closing_quotation_mark_does_not_quote_the_marker_behind_it() -> None:
    text = '### Human: Say "hi"### Assistant: "hi"### Human: Again### Assistant: hi'
    assert convert({"text": text})[1] == talk('Say "hi"', '"hi"', "Again", "hi")


def test_code_that_begins_in_mid_line_does_not_swallow_turns() -> None:
    code = "So: ```python\nx\n```"
    for separator in ("", " ", "\n"):
        text = guanaco_text(talk("a", "b", code, code, "c", code), separator)
        assert convert({"text": text})[1] == talk("a", "b", code, code, "c", code)
    for messages in (talk("a", "b", code, code), talk("a", code, "a", code)):
        assert convert({"text": vicuna_text(messages, " ")})[1] == messages


def test_a_code_fence_that_is_never_closed_does_not_swallow_turns() -> None:
    text = "### Human: a ### Assistant: ```py\nx\n ### Human: b ### Assistant: \n```py\ny\n```"
    assert [message["content"] for message in convert({"text": text})[1]] == ["a", "```py\nx", "b", "```py\ny\n```"]


def test_signs_of_another_dialect_inside_an_answer_do_not_change_the_format() -> None:
    answer = "Llama 2 wants [INST] x [/INST], ChatML <|im_start|>user, Vicuna USER: x ASSISTANT: y."
    assert convert({"text": guanaco_text(talk("How?", answer), "\n")}) == ("guanaco", talk("How?", answer))


def test_headings_that_are_not_markers_stay_text() -> None:
    text = "### Human: Plan? ### Assistant: ### Steps\n### Note: eat\n### human: lower"
    assert convert({"text": text})[1] == talk("Plan?", "### Steps\n### Note: eat\n### human: lower")


def test_guanaco_text_with_a_leading_system_prompt() -> None:
    text = "### System: Be brief.\n### Human: Hi\n### Assistant: Hello"
    assert convert({"text": text})[1] == [Message(role="system", content="Be brief."), *talk("Hi", "Hello")]


def test_a_trailing_human_turn_is_left_out_with_a_note() -> None:
    scan = DatasetChecker([DatasetRow(1, {"text": "### Human: a ### Assistant: b ### Human: c"})])
    (conversation,) = scan
    assert conversation.messages == talk("a", "b")
    assert scan.problems == []
    (note,) = scan.notes
    assert note.row == 1 and "nobody answers" in note.what
