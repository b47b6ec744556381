"""What the chat page makes of a column's history."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pytest

from studio.answers.history import (
    History,
    add_answer,
    add_question,
    before_last_question,
    edit_message,
    last_question_index,
    model_of,
    remove_turn,
    text_of,
    to_messages,
    up_to_question,
)


def turn(role: str, text: Any) -> dict[str, Any]:
    return {"role": role, "content": text}


TALK: History = [
    turn("user", "one"),
    turn("assistant", "1"),
    turn("user", "two"),
    turn("assistant", "2"),
    turn("assistant", "2 again"),
    turn("user", "three"),
]


def said(history: History) -> list[str]:
    return [text_of(message["content"]) for message in history]


def test_text_comes_plain_or_in_parts() -> None:
    assert text_of("hello") == "hello"
    assert text_of([{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]) == "hello"
    assert text_of(None) == ""


def test_a_conversation_keeps_its_turns_and_its_system_prompt() -> None:
    history = add_answer(add_question(None, "Hi"), "Hello!", "pirate")
    messages = to_messages(add_question(history, "And now?"), " Be brief. ")
    assert messages == [
        turn("system", "Be brief."),
        turn("user", "Hi"),
        turn("assistant", "Hello!"),
        turn("user", "And now?"),
    ]


@pytest.mark.parametrize("text", ["def f():\n    return 1", "```make\nall:\n\techo hi\n```", "  two blanks first"])
def test_code_comes_through_the_chat_as_it_was_written(text: str) -> None:
    bot = gr.Chatbot()
    asked, answered = bot.preprocess(bot.postprocess(add_answer(add_question(None, text), text)))
    assert text_of(asked["content"]) == text
    assert text_of(answered["content"]) == text
    changed, _ = edit_message([asked, answered], 1, text)
    assert text_of(bot.preprocess(bot.postprocess(changed))[1]["content"]) == text


def test_a_question_that_never_got_an_answer_is_left_out() -> None:
    history = [turn("user", "stopped at once"), turn("assistant", ""), turn("user", "again")]
    assert to_messages(history, None) == [turn("user", "again")]


def test_an_answer_remembers_who_gave_it() -> None:
    history = add_answer([], "Arr!", "pirate")
    assert model_of(history[0]) == "pirate"
    assert model_of(add_answer([], "Hello")[0]) == ""


def test_the_last_question_and_what_came_before_it() -> None:
    assert last_question_index(TALK) == 5
    assert said(before_last_question(TALK)) == ["one", "1", "two", "2", "2 again"]
    assert (last_question_index([]), before_last_question(None)) == (None, [])


@pytest.mark.parametrize("index", [2, 3, 4])
def test_a_turn_is_its_question_with_all_its_answers(index: int) -> None:
    assert said(up_to_question(TALK, index)) == ["one", "1", "two"]
    assert said(remove_turn(TALK, index)) == ["one", "1", "three"]


def test_a_changed_question_forgets_what_came_after_it_and_waits_for_an_answer() -> None:
    history, asks = edit_message(TALK, 2, "zwei")
    assert (said(history), asks) == (["one", "1", "zwei"], True)


def test_a_changed_answer_stays_where_it_is() -> None:
    history, asks = edit_message(TALK, 3, "zwei")
    assert (said(history), asks) == (["one", "1", "two", "zwei", "2 again", "three"], False)


def test_a_turn_with_no_words_left_is_left_out() -> None:
    assert edit_message(TALK, 0, " ") == (TALK[2:], False)


def test_the_history_that_was_given_is_not_changed() -> None:
    before = [dict(message) for message in TALK]
    add_answer(TALK, "Hello!")
    add_question(TALK, "More")
    edit_message(TALK, 0, "x")
    remove_turn(TALK, 0)
    assert before == TALK
