"""What is nested too deep to be drawn is shown as it is, and is the same text wherever its words are wanted."""

from __future__ import annotations

import pytest

from studio.answers.history import add_answer, add_question, content_parts, edit_message, text_of, to_messages
from studio.chat.conversations import ColumnRecord
from studio.ui.markdown_depth import LARGE, LEVELS, MARKS, RUN, fence_if_too_deep, unfence

DEEP = {
    "quotes": "> " * (LEVELS + 1) + "deep",
    "quotes after words": "Words.\n\n" + ">" * (LEVELS + 1) + "deep",
    "lists": "- " * (LEVELS + 1) + "deep",
    "numbers": "1. " * (LEVELS + 1) + "deep",
    "blanks": "- a\n" + " " * 401 + "- deep",
    "a run": "*" * (RUN + 1) + "deep",
    "marks": "*a **b " * (MARKS // 2 + 1),
    "its own fence": "~~~~as-it-is\n" + "> " * (LEVELS + 1) + "\n~~~~",
    "much": "x" * (LARGE + 1),
}
PLAIN = {
    "short": "> " * 50,
    "quotes": "\n".join("> " * 3 + f"line {n}" for n in range(500)),
    "lists": "\n".join("    " * (n % 5) + "- item" for n in range(500)),
    "a rule": "*" * 80 + "\n\n" + "-" * 300 + "\n\n" + "~~~~~~~~~",
    "emphasis": "Some *words* are __strong__.\n\n" * 5_000,
    "code": "```python\n" + "some_name = other_name * 2\n\n" * 500 + "```",
    "a table": "| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 500,
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP.keys())
def test_what_is_nested_too_deep_is_shown_as_it_is(text: str) -> None:
    fenced = fence_if_too_deep(text)
    first, *lines, last = fenced.split("\n")
    assert first == f"{last}as-it-is"
    assert set(last) == {"~"}
    assert not any(line.startswith(last) for line in lines), "nothing in it ends the fence"
    assert unfence(fenced) == text


@pytest.mark.parametrize("text", PLAIN.values(), ids=PLAIN.keys())
def test_what_people_write_is_drawn(text: str) -> None:
    assert fence_if_too_deep(text) == text


def test_the_words_stay_what_they_were_wherever_they_go() -> None:
    deep = DEEP["quotes"]
    history = add_answer(add_question([], deep), deep, "pirate")
    assert all(
        text_of(message["content"]).startswith("> > ") and message["content"][0]["text"].startswith("~")
        for message in history
    )
    assert [message["content"] for message in to_messages(history, None)] == [deep, deep]
    kept = ColumnRecord.of("pirate", history)
    assert [message["content"] for message in kept.messages] == [deep, deep]
    assert kept.history() == history
    as_str = [{**message, "content": message["content"][0]["text"]} for message in history]
    assert [message["content"] for message in to_messages(as_str, None)] == [deep, deep]


def test_a_changed_turn_is_shown_by_what_it_says_now() -> None:
    deep = DEEP["lists"]
    history = add_answer(add_question([], deep), "Yes.")
    assert edit_message(history, 0, "> short")[0][0]["content"] == content_parts("> short")
    assert edit_message(history, 0, fence_if_too_deep(deep) + "")[0][0]["content"] == content_parts(deep), (
        "it is not put between fences twice"
    )
    assert text_of(edit_message(history, 0, fence_if_too_deep(deep))[0][0]["content"]) == deep
