"""What a column shows of an answer on its way."""

from __future__ import annotations

from studio.chat.answering import Question
from studio.chat.side_by_side import Answer
from studio.chat.turns import words

ASKED = [{"role": "user", "content": "Who are you?"}]


def test_no_empty_bubble_stands_where_the_first_words_will_come() -> None:
    question = Question(ASKED, "base")
    assert question.answered(Answer(model="guanaco-builtin")) == ASKED
    assert [each["role"] for each in question.answered(Answer("I", "guanaco-builtin"))] == ["user", "assistant"]
    assert [each["role"] for each in question.answered(Answer(done=True))] == ["user", "assistant"]


def test_what_goes_on_keeps_what_there_was() -> None:
    begun = [*ASKED, {"role": "assistant", "content": "I am"}]
    question = Question(begun, "base")
    assert question.answered(Answer()) == begun
    assert question.answered(Answer(" here"))[-1]["content"] == words("I am here")
