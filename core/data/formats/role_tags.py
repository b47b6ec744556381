"""Conversations in one text whose turns stand between tags: Llama 2's and Mistral's ([INST] … [/INST]), ChatML
(<|im_start|>), and what other chat templates write."""

from __future__ import annotations

import re
from collections.abc import Iterator

from core.data.dataset import Message, RowError
from core.data.formats.base import Format
from core.data.formats.column import has_dialect, text_reader
from core.data.formats.markup import CHATML, HOW, parse_markup, parse_rendered
from core.data.formats.text_edges import skip_beginning_marks, strip_edges

# <s>[INST] <<SYS>>\n…\n<</SYS>>\n\n question [/INST] answer </s><s>[INST] …
SYS = re.compile(r"\s*<<SYS>>(.*?)<</SYS>>(.*)", re.S)
SYSTEM_PROMPT = re.compile(r"\s*\[SYSTEM_PROMPT\](.*?)\[/SYSTEM_PROMPT\]", re.S)  # newer Mistral models
MISTRAL_UNREAD = re.compile(r"\[(?:AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|THINK|IMG)\]")


def parse_llama2(text: str) -> list[Message]:
    if mark := MISTRAL_UNREAD.search(text):
        raise RowError(f'It has "{mark[0]}", as Mistral marks tools, thoughts or pictures; that is not read.', HOW)
    text = text[skip_beginning_marks(text)[0] :]
    messages: list[Message] = []
    if system := SYSTEM_PROMPT.match(text):
        messages.append(Message(role="system", content=system[1].strip()))
        text = text[system.end() :]
    first = text.find("[INST]")
    if first < 0 or strip_edges(text[:first]):
        raise RowError('It does not begin with "[INST]".', "Write it as <s>[INST] question [/INST] answer </s>.")
    if text.count("[INST]") != text.count("[/INST]"):
        raise RowError(
            f'It has {text.count("[INST]")} "[INST]" but {text.count("[/INST]")} "[/INST]".', "Close each one."
        )
    for question, answer in exchanges(text):
        if within := SYS.fullmatch(question):
            messages.append(Message(role="system", content=within[1].strip()))
            question = within[2]
        messages.append(Message(role="user", content=question.strip()))
        if answer := strip_edges(answer.strip().removesuffix("<s>")):
            messages.append(Message(role="assistant", content=answer))
    return messages


def exchanges(text: str) -> Iterator[tuple[str, str]]:
    """What stands between [INST] and [/INST], and behind it up to the next [INST]."""
    begin = text.find("[INST]")
    while begin >= 0 and (middle := text.find("[/INST]", begin)) >= 0:
        end = text.find("[INST]", middle)
        yield text[begin + len("[INST]") : middle], text[middle + len("[/INST]") : end if end >= 0 else len(text)]
        begin = end


def parse_chatml(text: str) -> list[Message]:
    return parse_markup(text, CHATML)


LLAMA2 = Format("llama2", '"[INST] … [/INST]" turns in a text', has_dialect("llama2"), text_reader(parse_llama2))
CHATML_TEXT = Format("chatml", '"<|im_start|>" turns in a text', has_dialect("chatml"), text_reader(parse_chatml))
RENDERED = Format(
    "rendered",
    'turns between a chat template\'s own marks, such as "<|start_header_id|>", "<start_of_turn>" or "<|user|>"',
    has_dialect("rendered"),
    text_reader(parse_rendered),
)
