"""Rows that hold question and answer in columns of their own: Alpaca, prompt/completion, question/answer; and plain
text without either."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.data.dataset import Message, RowError
from core.data.formats.base import Format
from core.data.formats.chat import add_system_prompt, read_turn, tools_beside_turns
from core.data.formats.column import is_prose, text_reader
from core.data.formats.embedded_chat import read_embedded
from core.data.formats.tracking import ConversionNotes, TrackedMapping, has_value, untracked
from core.data.values import columns_in, kind_of, text_of

CONTEXTS = ("input", "context")
OUTPUTS = ("output", "response")
COMPLETIONS = ("completion", "response")
QUESTIONS = ("question", "query", "input")
ANSWERS = ("answer", "response", "output")


def first_filled(row: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    """The first of the columns that holds something; else the first that is there; else None."""
    there = [name for name in names if name in row]
    return next((name for name in there if has_value(untracked(row)[name])), there[0] if there else None)


def find_columns(row: Mapping[str, Any], *choices: tuple[str, ...]) -> list[str]:
    """The name that the row has for each; raises RowError if it has none."""
    found = [first_filled(row, names) for names in choices]
    missing = [" or ".join(names) for names, name in zip(choices, found, strict=True) if name is None]
    if missing:
        raise RowError(
            f"The column {' and '.join(missing)} is missing (columns: {columns_in(row)}).",
            f"Give the columns {', '.join(names[0] for names in choices)}, or say which columns stand for them.",
        )
    return [name for name in found if name]


def read_cell(row: Mapping[str, Any], column: str | None) -> str:
    return text_of(row.get(column), f"`{column}`") if column else ""


def has_columns(*choices: tuple[str, ...]) -> Callable[[Mapping[str, Any]], bool]:
    """Whether a row has them, and not only because other rows of its table do."""

    def matches(row: Mapping[str, Any]) -> bool:
        found = [first_filled(row, names) for names in choices]
        return all(found) and any(has_value(untracked(row)[name]) for name in found if name)

    return matches


def make_exchange(system: str, question: str, answer: str, notes: ConversionNotes) -> list[Message]:
    """Of a question that carries a chat markup, with the mark behind which the answer begins, the turns in it."""
    messages = read_embedded(question, answer, notes) or [
        Message(role="user", content=question),
        Message(role="assistant", content=answer),
    ]
    return add_system_prompt(system, messages)


def read_alpaca(row: TrackedMapping, notes: ConversionNotes) -> list[Message]:
    """Instruction and input become one question, a blank line between them; `history` holds earlier exchanges."""
    instruction, output = find_columns(row, ("instruction",), OUTPUTS)
    parts = [read_cell(row, instruction), read_cell(row, first_filled(row, CONTEXTS))]
    question = "\n\n".join(part for part in parts if part.strip())
    earlier = [
        Message(role=role, content=text_of(text, f"history[{index}]"))
        for index, exchange in enumerate(read_history(row))
        for role, text in zip(("user", "assistant"), exchange, strict=True)
    ]
    system, *rest = make_exchange(read_cell(row, "system"), question, read_cell(row, output), notes)
    return [system, *earlier, *rest] if system["role"] == "system" else [*earlier, system, *rest]


def read_history(row: Mapping[str, Any]) -> list[list[Any]]:
    value = row.get("history") or []
    if not isinstance(value, list) or any(not isinstance(pair, list) or len(pair) != 2 for pair in value):
        raise RowError(f"`history` is {kind_of(value)}, not pairs.", "Write it as [[question, answer], …].")
    return value


def read_prompt_completion(row: TrackedMapping, notes: ConversionNotes) -> list[Message]:
    """Both are text, or both are lists of turns (TRL's conversational form); only the completion is trained."""
    prompt, completion = find_columns(row, ("prompt",), COMPLETIONS)
    if isinstance(row[prompt], list) and isinstance(row[completion], list):
        asked = [read_turn(turn, f"{prompt}[{index}]", notes) for index, turn in enumerate(row[prompt])]
        answered = [read_turn(turn, f"{completion}[{index}]", notes) for index, turn in enumerate(row[completion])]
        return add_system_prompt(read_cell(row, "system"), as_context(asked) + answered)
    return make_exchange(read_cell(row, "system"), read_cell(row, prompt), read_cell(row, completion), notes)


def as_context(messages: list[Message]) -> list[Message]:
    """The turns of a prompt: what the assistant says in it is not trained."""
    for message in messages:
        if message["role"] == "assistant":
            message["weight"] = 0
    return messages


def read_question_answer(row: TrackedMapping, notes: ConversionNotes) -> list[Message]:
    """A `context` beside them goes before the question, a blank line between them."""
    question, answer = find_columns(row, QUESTIONS, ANSWERS)
    parts = (read_cell(row, "context"), read_cell(row, question))
    asked = "\n\n".join(part for part in parts if part.strip())
    return make_exchange(read_cell(row, "system"), asked, read_cell(row, answer), notes)


ALPACA = Format(
    "alpaca",
    "the columns `instruction` and `output` (or `response`)",
    has_columns(("instruction",), OUTPUTS),
    read_alpaca,
)
PROMPT_COMPLETION = Format(
    "prompt-completion",
    "the columns `prompt` and `completion` (or `response`)",
    has_columns(("prompt",), COMPLETIONS),
    read_prompt_completion,
    tools_beside_turns,
)
QUESTION_ANSWER = Format(
    "question-answer",
    "a question and an answer column",
    has_columns(QUESTIONS, ANSWERS),
    read_question_answer,
)
PLAIN_TEXT = Format(
    "text",
    "a text without turns, which is trained as a whole (continued pretraining)",
    is_prose,
    text_reader(lambda text: [Message(role="text", content=text)]),
    own_files_only=True,
)
