"""Rows that hold question and answer in columns of their own: Alpaca, prompt/completion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.data.formats.base import Format, text_of
from core.data.formats.chat import read_turn
from core.data.records import Message, RowError


def need(row: Mapping[str, Any], *columns: str) -> None:
    missing = [column for column in columns if column not in row]
    if missing:
        raise RowError(
            f"The column {' and '.join(missing)} is missing (columns: {', '.join(map(str, row))}).",
            f"Give the columns {', '.join(columns)}.",
        )


def question_and_answer(system: str, question: str, answer: str) -> list[Message]:
    messages = [Message(role="user", content=question), Message(role="assistant", content=answer)]
    return [Message(role="system", content=system), *messages] if system.strip() else messages


def alpaca(row: Mapping[str, Any]) -> list[Message]:
    """Instruction and input become one question, a blank line between them."""
    need(row, "instruction", "output")
    parts = [text_of(row.get(column), f"`{column}`") for column in ("instruction", "input")]
    question = "\n\n".join(part for part in parts if part.strip())
    return question_and_answer(text_of(row.get("system"), "`system`"), question, text_of(row["output"], "`output`"))


def prompt_completion(row: Mapping[str, Any]) -> list[Message]:
    """Both are text, or both are lists of turns (TRL's conversational form)."""
    answer_column = "completion" if "completion" in row else "response"
    need(row, "prompt", answer_column)
    prompt, completion = row["prompt"], row[answer_column]
    if isinstance(prompt, list) and isinstance(completion, list):
        turns = [read_turn(turn, f"prompt[{index}]") for index, turn in enumerate(prompt)]
        return turns + [read_turn(turn, f"{answer_column}[{index}]") for index, turn in enumerate(completion)]
    return question_and_answer(
        text_of(row.get("system"), "`system`"), text_of(prompt, "`prompt`"), text_of(completion, f"`{answer_column}`")
    )


ALPACA = Format(
    "alpaca",
    "the columns `instruction` and `output`",
    lambda row: "instruction" in row and "output" in row,
    alpaca,
)
PROMPT_COMPLETION = Format(
    "prompt-completion",
    "the columns `prompt` and `completion` (or `response`)",
    lambda row: "prompt" in row and ("completion" in row or "response" in row),
    prompt_completion,
)
