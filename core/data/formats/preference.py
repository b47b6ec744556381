"""Rows that compare answers: a chosen and a rejected one, or one answer with a thumb up or down (KTO).

Training on the good answers alone throws away what such data was made for, so it happens only when asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from core.data.dataset import LeftOut, Message, RowError
from core.data.formats.base import Format, kind_of
from core.data.formats.chat import find_turns, read_turn, read_turns, tools_beside_turns, with_system
from core.data.formats.columns import CONTEXTS, as_context, cell, find_columns, first_of, prompt_completion
from core.data.formats.dialects import dialect_of
from core.data.formats.embedded_chat import BEGINS_SO, PARSERS, conversation_in
from core.data.formats.role_prefixes import Dialect, parse
from core.data.formats.text_edges import beginning
from core.data.formats.unread_keys import Seen, Told

TRANSCRIPT = Dialect(re.compile(r"(?:^|(?<=\n))(Human|Assistant):[ \t]*"), {"Human": "user", "Assistant": "assistant"})


def chosen(row: Seen, told: Told) -> list[Message]:
    """The chosen side: turns, an answer to what was asked, or a transcript with "Human:" and "Assistant:" lines."""
    find_columns(row, ("chosen",), ("rejected",))
    answer, _ = row["chosen"], row["rejected"]  # looked through, so that neither counts as not understood
    prompt = row.peek("prompt")
    if isinstance(prompt, str) and isinstance(answer, str) and (whole := conversation_in(prompt, answer, told)):
        row["prompt"]
        return whole
    turns = read_side(answer, "chosen", told)
    if turns is None:
        raise RowError(f"`chosen` is {kind_of(answer)}, neither text nor turns.", "Write it as a string, or as turns.")
    if turns and turns[0]["role"] == "assistant":
        return [*as_context(asked(row, told)), *turns]
    return with_system(cell(row, "system"), turns)


def asked(row: Seen, told: Told) -> list[Message]:
    """What both answers answer: a list of turns, `prompt` or `question`, or Alpaca's `instruction` with `input`."""
    if find_turns(row):
        return read_turns(row, told)
    column = first_of(row, ("prompt", "question"))
    if column is None and "instruction" in row:
        parts = [cell(row, "instruction"), cell(row, first_of(row, CONTEXTS))]
        before = [Message(role="user", content="\n\n".join(part for part in parts if part.strip()))]
    else:
        before = (read_side(row[column], column, told, role="user") or []) if column else []
    return with_system(cell(row, "system"), before)


def read_side(value: Any, column: str, told: Told, role: str = "assistant") -> list[Message] | None:
    if isinstance(value, list):
        return [read_turn(turn, f"{column}[{index}]", told) for index, turn in enumerate(value)]
    if isinstance(value, Mapping):
        return [read_turn(value, column, told)]
    if not isinstance(value, str):
        return None
    if BEGINS_SO.match(value, beginning(value)[0]) and (dialect := dialect_of(value)):
        return PARSERS[dialect](value)
    if len(TRANSCRIPT.marker.findall(value)) > 1:
        return parse(value.strip(), TRANSCRIPT)
    return [Message(role=role, content=value)]


def liked(row: Seen, told: Told) -> list[Message]:
    if not find_turns(row):
        find_columns(row, ("prompt",), ("completion", "response"), ("label",))
    if label_of(row) is None:
        raise RowError("It has no `label` that is true or false.", "Write true for a good answer, false for a bad one.")
    if not label_of(row):
        raise LeftOut("Its label says that the answer is not a good one; it is left out.")
    return read_turns(row, told) if find_turns(row) else prompt_completion(row, told)


def label_of(row: Mapping[str, Any]) -> bool | None:
    """Its thumb up or down; as text where it comes from a table. None for a label that is something else."""
    for value in (row.get("label"), row.get("kto_tag")):
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.strip().lower() in ("true", "false"):
            return value.strip().lower() == "true"
    return None


def is_labelled(row: Mapping[str, Any]) -> bool:
    answered = "prompt" in row and ("completion" in row or "response" in row)
    return label_of(row) is not None and (answered or find_turns(row) is not None)


PREFERENCE = Format(
    "preference",
    "the columns `chosen` and `rejected`",
    lambda row: "chosen" in row and "rejected" in row,
    chosen,
    tools_beside_turns,
    asks="It is preference data (chosen and rejected answers), which fine-tuning on examples does not compare.",
)
KTO = Format(
    "kto",
    "the columns `prompt` and `completion` (or a list of turns) and a `label` true or false",
    is_labelled,
    liked,
    tools_beside_turns,
    asks="It is preference data (answers labelled good or bad), which fine-tuning on examples does not compare.",
)
