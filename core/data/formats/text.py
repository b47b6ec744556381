"""Rows that hold a whole conversation in one text: Guanaco and Llama-2 dialects."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from core.data.formats.base import Format, text_of
from core.data.records import Message, RowError


def conversation_text(row: Mapping[str, Any]) -> str | None:
    """The column `text`, or else the only column if that is text."""
    value = row["text"] if "text" in row else next(iter(row.values()), None) if len(row) == 1 else None
    return value if isinstance(value, str) else None


def on_text(parse: Callable[[str], list[Message]]) -> Callable[[Mapping[str, Any]], list[Message]]:
    def convert(row: Mapping[str, Any]) -> list[Message]:
        text = conversation_text(row)
        if text is None:
            if "text" in row:
                text = text_of(row["text"], "`text`")
            else:
                raise RowError(
                    f"It has no column `text` (columns: {', '.join(map(str, row))}).",
                    "Put the conversation into a column `text`.",
                )
        if not text.strip():
            raise RowError("Its text is empty.", "Write a conversation, or remove the row.")
        return parse(text)

    return convert


def has(pattern: re.Pattern[str]) -> Callable[[Mapping[str, Any]], bool]:
    return lambda row: pattern.search(conversation_text(row) or "") is not None


# --- Guanaco: ### Human: … ### Assistant: …, inline (with or without a space before ###) or on lines of their own

MARKER = re.compile(r"###[ \t]*(Human|Assistant|System):[ \t]*")
GUANACO_ROLES = {"Human": "user", "Assistant": "assistant", "System": "system"}
FENCE = re.compile(rf"(?:^[ \t]*|{MARKER.pattern})(?:```|~~~)[ \t]*(\w\S*)?", re.M)


def parse_guanaco(text: str) -> list[Message]:
    """Every marker begins a turn, unless it is plainly a quotation.

    A marker is a quotation directly after an opening quotation mark or backtick, and inside a closed code block. Where
    the remaining markers do not alternate, the ones in mid-line are taken for quotations too if that makes the rest
    alternate; and failing that, the code blocks are taken for an accident. What is left cannot be told apart from real
    turns: an unquoted "### Human:" inside an answer begins a turn, and check_turns reports the row when that breaks the
    alternation.
    """
    fences = code_fences(text)
    unquoted = [marker for marker in MARKER.finditer(text) if not is_quoted(text, marker.start())]
    outside = [marker for marker in unquoted if not inside(fences, marker)]
    at_line_start = [marker for marker in outside if not text[: marker.start()].rpartition("\n")[2].strip()]
    markers = next((reading for reading in (outside, at_line_start, unquoted) if alternates(reading)), outside)
    if not markers:
        raise RowError('It has no "### Human:" and "### Assistant:" turns.', "Mark each turn so, or remove the row.")
    before = text[: markers[0].start()].strip()
    if before:
        raise RowError(
            f'There is text before the first marker: "{shorten(before)}".',
            'Put "### System:" before it if it is a system prompt, or remove it.',
        )
    ends = [marker.start() for marker in markers[1:]] + [len(text)]
    return [
        Message(role=GUANACO_ROLES[marker[1]], content=text[marker.end() : end].strip())
        for marker, end in zip(markers, ends, strict=True)
    ]


def is_quoted(text: str, position: int) -> bool:
    """Whether an opening quotation mark stands directly before; a closing one ("word"### Human:) does not count."""
    mark = text[position - 1 : position]
    if mark in ("“", "«", "‘", "„"):
        return True
    return mark in ('"', "'", "`") and (position < 2 or text[position - 2].isspace() or text[position - 2] in "([{")


def code_fences(text: str) -> list[tuple[int, int]]:
    """Spans of code blocks. A fence that names a language or begins a turn opens; where the one before was never
    closed, that one is ignored, so that a forgotten fence does not swallow the turns after it."""
    spans, opened = [], None
    for fence in FENCE.finditer(text):
        if opened is None or any(fence.groups()):
            opened = fence.start()
        else:
            spans.append((opened, fence.end()))
            opened = None
    return spans


def inside(spans: list[tuple[int, int]], marker: re.Match[str]) -> bool:
    return any(start < marker.start() < end for start, end in spans)


def alternates(markers: list[re.Match[str]]) -> bool:
    roles = [marker[1] for marker in markers]
    if roles[:1] == ["System"]:
        roles = roles[1:]
    return len(roles) > 1 and all(role == ("Human", "Assistant")[index % 2] for index, role in enumerate(roles))


def shorten(text: str, length: int = 60) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"


# --- Llama 2: <s>[INST] <<SYS>>\n…\n<</SYS>>\n\n question [/INST] answer </s><s>[INST] …

INST = re.compile(r"\[INST\](.*?)\[/INST\](.*?)(?=(?:<s>)?\s*\[INST\]|\Z)", re.S)
SYS = re.compile(r"\s*<<SYS>>(.*?)<</SYS>>(.*)", re.S)


def parse_llama2(text: str) -> list[Message]:
    first = text.find("[INST]")
    if first < 0 or text[:first].replace("<s>", "").strip():
        raise RowError('It does not begin with "[INST]".', "Write it as <s>[INST] question [/INST] answer </s>.")
    if text.count("[INST]") != text.count("[/INST]"):
        raise RowError(
            f'It has {text.count("[INST]")} "[INST]" but {text.count("[/INST]")} "[/INST]".', "Close each one."
        )
    messages: list[Message] = []
    for question, answer in INST.findall(text):
        system = SYS.fullmatch(question)
        if system:
            messages.append(Message(role="system", content=system[1].strip()))
            question = system[2]
        messages.append(Message(role="user", content=question.strip()))
        answer = answer.strip().removesuffix("<s>").rstrip().removesuffix("</s>").strip()
        if answer:
            messages.append(Message(role="assistant", content=answer))
    return messages


GUANACO = Format("guanaco", '"### Human:" / "### Assistant:" turns in a text', has(MARKER), on_text(parse_guanaco))
LLAMA2 = Format("llama2", '"[INST] … [/INST]" turns in a text', has(re.compile(r"\[INST\]")), on_text(parse_llama2))
