"""Formats that keep turns apart by structure lose nothing, whatever stands in a text; and those of comparisons."""

from __future__ import annotations

import csv
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data import Message, read_dataset
from core.data.check import DatasetChecker
from core.data.dataset import DatasetRow
from core.data.formats import FORMATS, detect_row
from tests.core.data.dialogues import dialogues, sharegpt_turns, words

few = settings(max_examples=60)
MARKS = (
    "### Human: hi",
    "ends\n### Assistant: no",
    "</s>",
    "<s>[INST] x [/INST]",
    "<<SYS>>",
    "a USER: b ASSISTANT: c",
    "<|im_end|>",
    "x <|im_start|>user\nx",
    "\n\nHuman: a\n\nAssistant: b",
)


@st.composite
def wild(draw: st.DrawFn) -> str:
    """Words with single marks of other formats between them, unquoted; at its ends they would be the text's markup."""
    parts = [draw(words())]
    for mark in draw(st.lists(st.sampled_from(MARKS), max_size=3)):
        parts += [mark, draw(words())]
    return draw(st.sampled_from((" ", "\n"))).join(parts)


@st.composite
def talks(draw: st.DrawFn) -> list[Message]:
    system = [Message(role="system", content=draw(wild()))] if draw(st.booleans()) else []
    turns = draw(st.integers(1, 3))
    return system + [Message(role=role, content=draw(wild())) for _ in range(turns) for role in ("user", "assistant")]


def convert(row: dict[str, Any], name: str) -> list[Message]:
    """As a scan reads it, whatever the format asks for."""
    found = detect_row(row)
    assert found is not None and found.name == name
    scan = DatasetChecker([DatasetRow(1, row)], name)
    (conversation,) = scan
    return conversation.messages


@few
@given(talks())
def test_lists_of_turns_keep_marks_of_other_formats(messages: list[Message]) -> None:
    assert convert({"messages": messages}, "messages") == messages
    assert convert({"conversations": sharegpt_turns(messages)}, "sharegpt") == messages


@few
@given(wild(), wild())
def test_columns_keep_marks_of_other_formats(question: str, answer: str) -> None:
    expected = [Message(role="user", content=question), Message(role="assistant", content=answer)]
    assert convert({"instruction": question, "output": answer}, "alpaca") == expected
    assert convert({"prompt": question, "completion": answer}, "prompt-completion") == expected
    assert convert({"question": question, "answer": answer}, "question-answer") == expected


@few
@given(words(), words(), words())
def test_of_compared_answers_the_chosen_one_is_read(question: str, answer: str, worse: str) -> None:
    expected = [Message(role="user", content=question), Message(role="assistant", content=answer)]
    turn = Message(role="assistant", content=answer)
    for row in (
        {"prompt": question, "chosen": answer, "rejected": worse},
        {"prompt": question, "chosen": [turn], "rejected": [Message(role="assistant", content=worse)]},
        {"chosen": expected, "rejected": [expected[0], Message(role="assistant", content=worse)]},
    ):
        assert convert(row, "preference") == expected
        assert FORMATS["preference"].asks
    assert convert({"prompt": question, "completion": answer, "label": True}, "kto") == expected


@few
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1).filter(str.strip))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert FORMATS["text"].convert({"text": text}) == [Message(role="text", content=text)]


@pytest.mark.slow
@few
@given(st.lists(dialogues(), min_size=1, max_size=4))
def test_what_the_studio_exports_reads_back(conversations: list[list[Message]]) -> None:
    for messages in conversations:
        row = json.loads(json.dumps({"messages": messages}, ensure_ascii=False))
        assert convert(row, "messages") == messages


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@settings(max_examples=20)
@given(pairs=st.lists(st.tuples(words(), words()), min_size=1, max_size=5))
def test_tables_keep_quotes_line_breaks_and_separators(
    tmp_path: Path, separator: str, pairs: list[tuple[str, str]]
) -> None:
    table = StringIO(newline="")
    writer = csv.writer(table, delimiter=separator)
    writer.writerows([("question", "answer"), *pairs])
    path = tmp_path / ("table.tsv" if separator == "\t" else "table.csv")
    path.write_text(table.getvalue(), encoding="utf-8", newline="")
    read = read_dataset(str(path))
    assert [tuple(turn["content"] for turn in conversation.messages) for conversation in read.conversations] == pairs
