"""What the chat page makes of a column's history."""

from __future__ import annotations

from typing import Any

from studio.pages.chat import add_user, conversation, text_of, with_answer


def turn(role: str, text: Any) -> dict[str, Any]:
    return {"role": role, "content": text}


def test_text_comes_plain_or_in_parts() -> None:
    assert text_of("hello") == "hello"
    assert text_of([{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]) == "hello"
    assert text_of(None) == ""


def test_a_conversation_keeps_its_turns_and_its_system_prompt() -> None:
    history = with_answer(add_user(None, "Hi"), "Hello!")
    messages = conversation(add_user(history, "And now?"), " Be brief. ")
    assert messages == [
        turn("system", "Be brief."),
        turn("user", "Hi"),
        turn("assistant", "Hello!"),
        turn("user", "And now?"),
    ]


def test_a_question_that_never_got_an_answer_is_left_out() -> None:
    history = [turn("user", "stopped at once"), turn("assistant", ""), turn("user", "again")]
    assert conversation(history, None) == [turn("user", "again")]


def test_the_history_that_was_given_is_not_changed() -> None:
    history = [turn("user", "Hi")]
    with_answer(history, "Hello!")
    add_user(history, "More")
    assert history == [turn("user", "Hi")]
