"""Rows that hold question and answer in columns of their own: Alpaca, prompt/completion, question/answer; and plain
text without either."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.data.dataset import Message, RowError
from core.data.formats.base import Format, columns_in, kind_of, text_of
from core.data.formats.chat import read_turn, tools_beside_turns, with_system
from core.data.formats.column import is_prose, on_text
from core.data.formats.embedded_chat import conversation_in
from core.data.formats.unread_keys import Seen, Told, has_value, looked_at

CONTEXTS = ("input", "context")
OUTPUTS = ("output", "response")
COMPLETIONS = ("completion", "response")
QUESTIONS = ("question", "query", "input")
ANSWERS = ("answer", "response", "output")


def first_of(row: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    """The first of the columns that holds something; else the first that is there; else None."""
    there = [name for name in names if name in row]
    return next((name for name in there if has_value(looked_at(row)[name])), there[0] if there else None)


def find_columns(row: Mapping[str, Any], *choices: tuple[str, ...]) -> list[str]:
    """The name that the row has for each; raises RowError if it has none."""
    found = [first_of(row, names) for names in choices]
    missing = [" or ".join(names) for names, name in zip(choices, found, strict=True) if name is None]
    if missing:
        raise RowError(
            f"The column {' and '.join(missing)} is missing (columns: {columns_in(row)}).",
            f"Give the columns {', '.join(names[0] for names in choices)}, or say which columns stand for them.",
        )
    return [name for name in found if name]


def cell(row: Mapping[str, Any], column: str | None) -> str:
    return text_of(row.get(column), f"`{column}`") if column else ""


def has_columns(*choices: tuple[str, ...]) -> Callable[[Mapping[str, Any]], bool]:
    """Whether a row has them, and not only because other rows of its table do."""

    def matches(row: Mapping[str, Any]) -> bool:
        found = [first_of(row, names) for names in choices]
        return all(found) and any(has_value(looked_at(row)[name]) for name in found if name)

    return matches


def question_and_answer(system: str, question: str, answer: str, told: Told) -> list[Message]:
    """Of a question that carries a chat markup, with the mark behind which the answer begins, the turns in it."""
    messages = conversation_in(question, answer, told) or [
        Message(role="user", content=question),
        Message(role="assistant", content=answer),
    ]
    return with_system(system, messages)


def alpaca(row: Seen, told: Told) -> list[Message]:
    """Instruction and input become one question, a blank line between them; `history` holds earlier exchanges."""
    instruction, output = find_columns(row, ("instruction",), OUTPUTS)
    parts = [cell(row, instruction), cell(row, first_of(row, CONTEXTS))]
    question = "\n\n".join(part for part in parts if part.strip())
    earlier = [
        Message(role=role, content=text_of(text, f"history[{index}]"))
        for index, exchange in enumerate(history(row))
        for role, text in zip(("user", "assistant"), exchange, strict=True)
    ]
    system, *rest = question_and_answer(cell(row, "system"), question, cell(row, output), told)
    return [system, *earlier, *rest] if system["role"] == "system" else [*earlier, system, *rest]


def history(row: Mapping[str, Any]) -> list[list[Any]]:
    value = row.get("history") or []
    if not isinstance(value, list) or any(not isinstance(pair, list) or len(pair) != 2 for pair in value):
        raise RowError(f"`history` is {kind_of(value)}, not pairs.", "Write it as [[question, answer], …].")
    return value


def prompt_completion(row: Seen, told: Told) -> list[Message]:
    """Both are text, or both are lists of turns (TRL's conversational form); only the completion is trained."""
    prompt, completion = find_columns(row, ("prompt",), COMPLETIONS)
    if isinstance(row[prompt], list) and isinstance(row[completion], list):
        asked = [read_turn(turn, f"{prompt}[{index}]", told) for index, turn in enumerate(row[prompt])]
        answered = [read_turn(turn, f"{completion}[{index}]", told) for index, turn in enumerate(row[completion])]
        return with_system(cell(row, "system"), as_context(asked) + answered)
    return question_and_answer(cell(row, "system"), cell(row, prompt), cell(row, completion), told)


def as_context(messages: list[Message]) -> list[Message]:
    """The turns of a prompt: what the assistant says in it is not trained."""
    for message in messages:
        if message["role"] == "assistant":
            message["weight"] = 0
    return messages


def question_answer(row: Seen, told: Told) -> list[Message]:
    """A `context` beside them goes before the question, a blank line between them."""
    question, answer = find_columns(row, QUESTIONS, ANSWERS)
    parts = (cell(row, "context"), cell(row, question))
    asked = "\n\n".join(part for part in parts if part.strip())
    return question_and_answer(cell(row, "system"), asked, cell(row, answer), told)


ALPACA = Format(
    "alpaca",
    "the columns `instruction` and `output` (or `response`)",
    has_columns(("instruction",), OUTPUTS),
    alpaca,
)
PROMPT_COMPLETION = Format(
    "prompt-completion",
    "the columns `prompt` and `completion` (or `response`)",
    has_columns(("prompt",), COMPLETIONS),
    prompt_completion,
    tools_beside_turns,
)
QUESTION_ANSWER = Format(
    "question-answer",
    "a question and an answer column",
    has_columns(QUESTIONS, ANSWERS),
    question_answer,
)
PLAIN_TEXT = Format(
    "text",
    "a text without turns, which is trained as a whole (continued pretraining)",
    is_prose,
    on_text(lambda text: [Message(role="text", content=text)]),
    own_files_only=True,
)
