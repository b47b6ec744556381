"""Rows of known columns and keys with any value in them: read, left out or a problem, and what was read is JSON."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.common.errors import UserError
from core.data.check import DatasetChecker
from core.data.column_mapping import KNOWN_COLUMNS
from core.data.dataset import DatasetRow
from core.data.formats import FORMATS
from core.data.formats.chat import COLUMNS, CONTENTS, REASONING, ROLES, SPEAKERS
from core.data.formats.parts import TEXT_KEYS, TEXT_TYPES, THOUGHT_TYPES
from core.data.formats.training_marks import DETAILS, MARKS, OPPOSITE, ROW_MARKS, UNCLEAR

MARKED = (
    "<s>[INST] a [/INST] b</s>",
    "### Human: a ### Assistant: b",
    "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>",
    "<|user|>a<|end|><|assistant|>b",
    "### Instruction: a\n### Response:",
    "[{",
    "{}",
    '{"name": "f"}',
)
plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from((0.5, float("nan"), float("inf"), b"\xff", datetime.datetime(2024, 1, 1))),
    st.sampled_from(MARKED),
    st.sampled_from(("a", "", " ", "false", *ROLES)),
)
PART = ("type", *TEXT_KEYS, *THOUGHT_TYPES, "train", "image_url")
TURN = (
    *SPEAKERS,
    *CONTENTS,
    *REASONING,
    *MARKS,
    *OPPOSITE,
    *UNCLEAR,
    *DETAILS,
    "image",
    "untrained",
    "tool_calls",
    "function_call",
)
CALL = ("function", "name", "arguments", "parameters", "id", "begin_offset", "end_offset", "train")
ROW = (*COLUMNS, *KNOWN_COLUMNS, *ROW_MARKS, "images", "mask", "functions", "kto_tag")


def objects(keys: tuple[str, ...], values: st.SearchStrategy[Any], most: int = 4) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.sampled_from(keys), values, max_size=most)


def or_lists(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(plain, values, st.lists(st.one_of(values, plain), max_size=3))


types = st.sampled_from((*TEXT_TYPES, *THOUGHT_TYPES))
parts = or_lists(st.one_of(objects(PART, plain), st.fixed_dictionaries({"type": types, "text": plain})))
calls = or_lists(objects(CALL, or_lists(objects(CALL, plain))))
contents = st.one_of(st.just("a"), st.just("b c"), parts)
extras = objects(TURN, st.one_of(plain, parts, calls), most=2)


def turn(role: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(lambda content, more: {"role": role, "content": content, **more}, contents, extras)


talks = st.one_of(
    st.tuples(turn("user"), turn("assistant")).map(list),
    st.tuples(turn("user"), turn("assistant"), turn("tool"), turn("assistant")).map(list),
    st.lists(st.one_of(turn("user"), objects(TURN, plain), plain), max_size=3),
)
known = st.one_of(
    st.fixed_dictionaries({"messages": talks}),
    st.fixed_dictionaries({"prompt": contents, "completion": contents}),
    st.fixed_dictionaries({"prompt": talks, "completion": st.tuples(turn("assistant")).map(list)}),
    st.fixed_dictionaries({"instruction": contents, "output": contents}),
    st.fixed_dictionaries({"text": st.sampled_from(MARKED)}),
    st.just({}),
)
rows = st.builds(lambda row, more: {**row, **more}, known, objects(ROW, st.one_of(plain, talks, calls), most=2))
formats = st.one_of(st.none(), st.none(), st.sampled_from(tuple(FORMATS)))


@pytest.mark.slow
@settings(max_examples=300)
@given(rows, formats)
def test_whatever_a_row_holds_it_is_read_or_a_problem_of_it(row: dict[str, Any], dataset_format: str | None) -> None:
    try:
        scan = DatasetChecker([DatasetRow(1, row)], dataset_format)
    except UserError:
        return
    conversations = list(scan)
    assert len(conversations) + len(scan.problems) + sum(note.row == 1 for note in scan.notes) > 0
    for conversation in conversations:
        written = json.dumps(conversation.to_dict(), allow_nan=False)
        again = list(DatasetChecker([DatasetRow(1, json.loads(written))]))
        if conversation.messages[0]["role"] != "text":
            assert again == conversations
