"""What a column shows of an answer on its way."""

from __future__ import annotations

from studio.answers.ask import Question
from studio.answers.history import content_parts
from studio.answers.streams import StreamedAnswer

ASKED = [{"role": "user", "content": "Who are you?"}]


def test_no_empty_bubble_stands_where_the_first_words_will_come() -> None:
    question = Question(ASKED, "base")
    assert question.history_with(StreamedAnswer(model="guanaco-builtin")) == ASKED

    def roles(answer: StreamedAnswer) -> list[str]:
        return [message["role"] for message in question.history_with(answer)]

    assert roles(StreamedAnswer("I", "guanaco-builtin")) == [
        "user",
        "assistant",
    ]
    assert roles(StreamedAnswer(done=True)) == ["user", "assistant"]


def test_what_goes_on_keeps_what_there_was() -> None:
    begun = [*ASKED, {"role": "assistant", "content": "I am"}]
    question = Question(begun, "base")
    assert question.history_with(StreamedAnswer()) == begun
    assert question.history_with(StreamedAnswer(" here"))[-1]["content"] == content_parts("I am here")
