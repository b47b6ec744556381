"""Rows that compare answers: a chosen and a rejected one, or one answer with a thumb up or down (KTO).

Training on the good answers alone throws away what such data was made for, so it happens only when asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from core.data.formats.base import Format, kind_of
from core.data.formats.chat import read_turn
from core.data.formats.columns import find_columns, prompt_completion
from core.data.formats.marked import Dialect, parse
from core.data.records import LeftOut, Message, RowError

TRANSCRIPT = Dialect(re.compile(r"(?:^|(?<=\n))(Human|Assistant):[ \t]*"), {"Human": "user", "Assistant": "assistant"})


def chosen(row: Mapping[str, Any]) -> list[Message]:
    """The chosen side: turns, an answer to `prompt`, or a transcript with "Human:" and "Assistant:" lines."""
    find_columns(row, ("chosen",), ("rejected",))
    answer, prompt = row["chosen"], row.get("prompt", row.get("question"))
    turns = read_side(answer, "chosen")
    if turns is None:
        raise RowError(f"`chosen` is {kind_of(answer)}, neither text nor turns.", "Write it as a string, or as turns.")
    if turns and turns[0]["role"] == "assistant" and prompt is not None:
        return [*(read_side(prompt, "prompt", role="user") or []), *turns]
    return turns


def read_side(value: Any, column: str, role: str = "assistant") -> list[Message] | None:
    if isinstance(value, list):
        return [read_turn(turn, f"{column}[{index}]") for index, turn in enumerate(value)]
    if isinstance(value, Mapping):
        return [read_turn(value, column)]
    if not isinstance(value, str):
        return None
    if len(TRANSCRIPT.marker.findall(value)) > 1:
        return parse(value.strip(), TRANSCRIPT)
    return [Message(role=role, content=value)]


def liked(row: Mapping[str, Any]) -> list[Message]:
    find_columns(row, ("prompt",), ("completion", "response"), ("label",))
    if not row["label"]:
        raise LeftOut("Its label says that the answer is not a good one; it is left out.")
    return prompt_completion(row)


PREFERENCE = Format(
    "preference",
    "the columns `chosen` and `rejected`",
    lambda row: "chosen" in row and "rejected" in row,
    chosen,
    asks="It is preference data (chosen and rejected answers), which fine-tuning on examples does not compare.",
)
KTO = Format(
    "kto",
    "the columns `prompt`, `completion` and a `label` true or false",
    lambda row: isinstance(row.get("label"), bool) and "prompt" in row and ("completion" in row or "response" in row),
    liked,
    asks="It is preference data (answers labelled good or bad), which fine-tuning on examples does not compare.",
)
