"""Rows that compare answers: a chosen and a rejected one, or one answer with a thumb up or down (KTO).

Training on the good answers alone throws away what such data was made for, so it happens only when asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from core.data.dataset import Message, RowError, SkippedRow
from core.data.formats.base import Format
from core.data.formats.chat import add_system_prompt, find_turns, read_turn, read_turns, tools_beside_turns
from core.data.formats.columns import (
    CONTEXTS,
    as_context,
    find_columns,
    first_filled,
    read_cell,
    read_prompt_completion,
)
from core.data.formats.dialects import detect_dialect
from core.data.formats.embedded_chat import BEGINS_SO, PARSERS, read_embedded
from core.data.formats.role_prefixes import Dialect, parse
from core.data.formats.text_edges import skip_beginning_marks
from core.data.formats.tracking import ConversionNotes, TrackedMapping
from core.data.values import kind_of

TRANSCRIPT = Dialect(re.compile(r"(?:^|(?<=\n))(Human|Assistant):[ \t]*"), {"Human": "user", "Assistant": "assistant"})


def read_chosen_answer(row: TrackedMapping, notes: ConversionNotes) -> list[Message]:
    """The chosen side: turns, an answer to what was asked, or a transcript with "Human:" and "Assistant:" lines."""
    find_columns(row, ("chosen",), ("rejected",))
    answer, _ = row["chosen"], row["rejected"]  # looked through, so that neither counts as not understood
    prompt = row.peek("prompt")
    if isinstance(prompt, str) and isinstance(answer, str) and (whole := read_embedded(prompt, answer, notes)):
        row["prompt"]
        return whole
    turns = read_side(answer, "chosen", notes)
    if turns is None:
        raise RowError(f"`chosen` is {kind_of(answer)}, neither text nor turns.", "Write it as a string, or as turns.")
    if turns and turns[0]["role"] == "assistant":
        return [*as_context(read_prompt(row, notes)), *turns]
    return add_system_prompt(read_cell(row, "system"), turns)


def read_prompt(row: TrackedMapping, notes: ConversionNotes) -> list[Message]:
    """What both answers answer: a list of turns, `prompt` or `question`, or Alpaca's `instruction` with `input`."""
    if find_turns(row):
        return read_turns(row, notes)
    column = first_filled(row, ("prompt", "question"))
    if column is None and "instruction" in row:
        parts = [read_cell(row, "instruction"), read_cell(row, first_filled(row, CONTEXTS))]
        before = [Message(role="user", content="\n\n".join(part for part in parts if part.strip()))]
    else:
        before = (read_side(row[column], column, notes, role="user") or []) if column else []
    return add_system_prompt(read_cell(row, "system"), before)


def read_side(value: Any, column: str, notes: ConversionNotes, role: str = "assistant") -> list[Message] | None:
    if isinstance(value, list):
        return [read_turn(turn, f"{column}[{index}]", notes) for index, turn in enumerate(value)]
    if isinstance(value, Mapping):
        return [read_turn(value, column, notes)]
    if not isinstance(value, str):
        return None
    if BEGINS_SO.match(value, skip_beginning_marks(value)[0]) and (dialect := detect_dialect(value)):
        return PARSERS[dialect](value)
    if len(TRANSCRIPT.marker.findall(value)) > 1:
        return parse(value.strip(), TRANSCRIPT)
    return [Message(role=role, content=value)]


def read_labelled(row: TrackedMapping, notes: ConversionNotes) -> list[Message]:
    if not find_turns(row):
        find_columns(row, ("prompt",), ("completion", "response"), ("label",))
    if read_label(row) is None:
        raise RowError("It has no `label` that is true or false.", "Write true for a good answer, false for a bad one.")
    if not read_label(row):
        raise SkippedRow("Its label says that the answer is not a good one; it is left out.")
    return read_turns(row, notes) if find_turns(row) else read_prompt_completion(row, notes)


def read_label(row: Mapping[str, Any]) -> bool | None:
    """Its thumb up or down; as text where it comes from a table. None for a label that is something else."""
    for value in (row.get("label"), row.get("kto_tag")):
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.strip().lower() in ("true", "false"):
            return value.strip().lower() == "true"
    return None


def is_labelled(row: Mapping[str, Any]) -> bool:
    answered = "prompt" in row and ("completion" in row or "response" in row)
    return read_label(row) is not None and (answered or find_turns(row) is not None)


PREFERENCE = Format(
    "preference",
    "the columns `chosen` and `rejected`",
    lambda row: "chosen" in row and "rejected" in row,
    read_chosen_answer,
    tools_beside_turns,
    asks="It is preference data (chosen and rejected answers), which fine-tuning on examples does not compare.",
)
KTO = Format(
    "kto",
    "the columns `prompt` and `completion` (or a list of turns) and a `label` true or false",
    is_labelled,
    read_labelled,
    tools_beside_turns,
    asks="It is preference data (answers labelled good or bad), which fine-tuning on examples does not compare.",
)
